"""`kw.compile(..., device="cuda")`: cubins from the cache or compiled now, and the program handed to the GPU's runtime.

Where the driver, a GPU or the extra is missing, one line says what and how to get it. Nothing runs on the CPU instead.
Leans on `program`, `build` and `runtime.cuda`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from .... import runtime
from ....runtime.cuda import CudaExecutable, Gpu, OnDevice, absent
from ....runtime.locks import once
from ... import config, dtypes
from ...errors import CompileError
from ...graph.tensor import Tensor
from ...lowering.kernel_order import MemoryPlan, lifetimes, stretches
from ...shapes import typical as typical_sizes
from ..base import Compiled
from ..shared import artefact
from ..shared.alike_texts import AlikeTexts
from ..shared.flow import needs
from ..shared.kernel_info import KernelInfo, kernel_info
from ..shared.store import symbol
from ..shared.workers import build_all
from . import build, cubin_store, program
from .build import Arch
from .given import check_given
from .tensor_cores import TensorCoreTiled, check_precision


def require(index: int = 0) -> None:
    """Raise CompileError, in one line, where GPU number `index` cannot be used. Where kernels have to be compiled, and
    only there, `cubins` asks for the packages too."""
    missing = absent(index)
    if missing:
        packages = build.missing_parts()
        more = f" and, to compile kernels, the packages {', '.join(packages)} ({build.INSTALL})" if packages else ""
        raise CompileError(
            f"compile: device 'cuda' needs {missing}{more}; device 'cpu' runs the same program on this machine"
        )


@once
def driver(index: int) -> Gpu:
    """The process's handle of a GPU."""
    return Gpu(index)


@dataclass(frozen=True)
class CudaKernelInfo(KernelInfo):
    """One CUDA kernel, for reading. arithmetic: what its multiply-adds are done in: tf32 or bfloat16 on tensor cores,
    else float32 (or float64)."""

    arithmetic: str = "float32"

    @cached_property
    def asm(self) -> str:
        """The PTX."""
        return str(cubin_store.kept(self.key)["ptx"])

    @cached_property
    def resources(self) -> str:
        """What ptxas says of registers, shared memory and spills."""
        return str(cubin_store.kept(self.key)["log"])

    @cached_property
    def llvm(self) -> str:
        """Refused: numba-cuda's LLVM IR is not kept."""
        raise CompileError("a CUDA kernel has no LLVM IR to show; its assembly is PTX")


def architecture(name: str) -> Arch:
    """(9, 0) of "sm_90". Raises CompileError for a name that is none."""
    found = re.fullmatch(r"sm_(\d+)(\d)", name)
    if found is None:
        raise CompileError(f"an architecture is written sm_80 or sm_90, not {name!r}")
    return int(found[1]), int(found[2])


def kernel_key(kernel: program.CudaKernel, arch: Arch) -> str:
    """The key of a kernel's cubin in the cache."""
    return build.key(kernel.source.text, kernel.source.kinds, kernel.bounds, arch)


def cubins(kernels: Sequence[program.CudaKernel], arch: Arch) -> dict[str, bytes]:
    """Cubins by key, from the cache, or compiled now on all cores and kept. Raises CompileError without the extra."""
    found: dict[str, bytes] = {}
    missing: dict[str, program.CudaKernel] = {}
    makers = cubin_store.makers()
    for kernel in kernels:
        key = kernel_key(kernel, arch)
        if key in found or key in missing:
            continue
        parts = cubin_store.find(key, makers)
        if parts is None:
            missing[key] = kernel
        else:
            found[key] = cubin_store.cubin(parts)
    if not missing:
        return found
    build.require()

    def keep(name: str, built: build.Code) -> None:
        key = name.removeprefix(symbol(""))
        if built.cubin is not None:
            found[key] = built.cubin
            cubin_store.keep(key, built.cubin, built, missing[key].source.text)

    jobs = {symbol(key): (k.source.text, k.source.kinds, k.bounds, arch) for key, k in missing.items()}
    cubin_store.share()
    build_all(jobs, config.helpers(), keep, build.compile_job)
    if missing.keys() - found.keys():
        raise CompileError(f"CUDA kernels need nvJitLink to become machine code; run: {build.INSTALL}")
    return found


class CudaCompiled(Compiled):
    """The program on GPU number `index`; every step one CUDA graph."""

    def __init__(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        updates: Mapping[Tensor, Tensor],
        index: int = 0,
        typical: Mapping[str, int] = MappingProxyType({}),
        device: Gpu | None = None,
        precision: str = "float32",
    ):
        check_precision(precision)
        super().__init__(inputs, outputs, updates)
        if device is None:
            require(index)
            device = driver(index)
        with typical_sizes(typical):
            built = program.build_kernels(self.inputs, self.outputs, self.updates, precision, device.arch)
        self.trace = built.planned.trace
        self.program, states = assemble(built, device.arch)
        self.kernels = _infos(built.kernels, [kernel_key(k, device.arch) for k in built.kernels])
        self.executable = CudaExecutable(self.program, states, device)

    def run(self, arrays: Sequence[Any], steps: int = 1, per_step: Sequence[int] = ()) -> list[np.ndarray]:
        return self.executable.run(self._given(arrays), steps, frozenset(per_step))

    def on_device(self, *arrays: Any, steps: int = 1, per_step: Sequence[int] = ()) -> Any:
        """As a call, with outputs that stay on the GPU: a list of `DeviceArray`s (one where the program has one
        output), each of which owns its memory. steps and per_step: as in `run`. Raises as `run` does, and
        DeviceMemoryError before anything has run."""
        made = self.executable.run_on_device(self._given(arrays), steps, frozenset(per_step))
        out = [array.named(y.dtype) for array, y in zip(made, self.outputs, strict=True)]
        return out[0] if len(out) == 1 else out

    def _given(self, arrays: Sequence[Any]) -> list[np.ndarray | OnDevice]:
        return check_given(self.inputs, arrays, self.executable.driver)

    def profile(self, *arrays: Any, repeats: int = 10) -> list[float]:
        """The device's seconds per kernel for one step, in the order of `kernels`; variables end as they began."""
        return self.executable.profile(self._given(arrays), repeats)

    def step_seconds(self, *arrays: Any, rounds: int = 5, calls: int = 1) -> list[float]:
        """The device's seconds for a step in each of `rounds` of `calls` steps in a row, without what goes to and from
        the host; variables end as they began."""
        return self.executable.step_seconds(self._given(arrays), rounds, calls)

    def __str__(self) -> str:
        from ..shared.inspect import table

        return table(self)


class CudaListing:
    """The kernels of a program for an architecture such as "sm_90", for reading: no GPU is needed, and the extra only
    for PTX. Raises CompileError for an architecture that is none."""

    def __init__(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        updates: Mapping[Tensor, Tensor],
        arch: str = "sm_90",
        typical: Mapping[str, int] = MappingProxyType({}),
        precision: str = "float32",
    ):
        self.arch = architecture(arch)
        with typical_sizes(typical):
            built = program.build_kernels(inputs, outputs, updates, precision, self.arch)
        self.built, self.trace = built.kernels, built.planned.trace
        self.kernels = _infos(self.built, [kernel_key(k, self.arch) for k in self.built])

    def compile(self, *infos: CudaKernelInfo) -> None:
        """Make kernels' PTX, for `asm` and `resources`. Raises CompileError without the extra."""
        number = {id(k): i for i, k in enumerate(self.kernels)}
        cubins([self.built[number[id(info)]] for info in infos], self.arch)

    def __str__(self) -> str:
        from ..shared.inspect import table

        return table(self)


def assemble(built: program.CudaPlan, arch: Arch) -> tuple[runtime.Program, list[Any]]:
    """(the artefact for the runtime with a cubin for every kernel, the states it runs over)."""
    number = built.buffers
    code = cubins(built.kernels, arch)
    specs = [program.specification(k, kernel_key(k, arch), number) for k in built.kernels]
    kernels = built.planned.kernels  # of a stream: each is a phase of its own
    order = MemoryPlan(kernels, [], lifetimes(kernels, range(len(kernels))), stretches(kernels))
    return artefact.program("program", built.planned, order, specs, code)


def _infos(built: Sequence[program.CudaKernel], keys: Sequence[str]) -> list[CudaKernelInfo]:
    read, alike = needs([k.kernel for k in built]), AlikeTexts()

    def info(k: program.CudaKernel, key: str, needed: tuple[int, ...]) -> CudaKernelInfo:
        arithmetic = k.schedule.precision if isinstance(k.schedule, TensorCoreTiled) else dtypes.FLOAT32
        return kernel_info(k.kernel, key, k.source, CudaKernelInfo, alike, needs=needed, arithmetic=arithmetic)

    return [info(*each) for each in zip(built, keys, read)]
