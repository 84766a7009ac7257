"""From a graph to CUDA kernels in order, each with its schedule and its source.

`run_program` runs one without a GPU. Leans on `target` for the passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ....runtime import CudaBatchSpec, CudaKernelSpec, flags
from ....runtime.sizes import Poly, evaluate
from ... import dtypes
from ...graph.reference import bind
from ...graph.tensor import Tensor
from ...loops.kernels import Buffer, Kernel
from ...shapes import poly, product, value
from ..base import Options, Planned
from ..shared.artefact import arguments, numbered
from ..shared.store import symbol
from . import lockstep
from .build import Arch, Code, compile_kernel
from .printer import CudaSource, print_kernel
from .schedule import Launch, Schedule
from .target import Cuda
from .writer import storage


@dataclass(frozen=True, eq=False)
class CudaKernel:
    """One kernel of a program: its loop form, its schedule and its source."""

    kernel: Kernel
    schedule: Schedule
    source: CudaSource

    @property
    def name(self) -> str:
        return self.kernel.name

    def compile(self, arch: Arch = (9, 0)) -> Code:
        """PTX and cubin. Raises CompileError without the extra `cuda`."""
        return compile_kernel(self.source.text, self.source.kinds, self.bounds, arch)

    @property
    def bounds(self) -> tuple[int, int]:
        """Threads of a block, and blocks that a multiprocessor must have registers for."""
        return self.source.launch.threads, self.source.launch.resident

    def __str__(self) -> str:
        return self.source.pretty(self.name)


def blocks(launch: Launch, sizes: Mapping[str, int]) -> int:
    """How many blocks a run starts."""
    return math.prod(-(-value(extent, sizes) // size) for extent, size in launch.blocks)


def run_lockstep(kernel: CudaKernel, memory: Mapping[Buffer, np.ndarray], sizes: Mapping[str, int]) -> None:
    """Run one kernel in lockstep on flat arrays in their physical order."""
    source = kernel.source
    if source.members:
        places = {b: i for i, b in enumerate(memory)}
        addresses = {i: memory[b].ctypes.data for b, i in places.items()}
        arrays = {memory[b].ctypes.data: memory[b] for m in source.members for b in m.names.buffers}
        count, table = batch(kernel, "", places).table(addresses, sizes)
        lockstep.run(source.text, source.launch.threads, count, [np.array(table)], at=lambda a, _: arrays[a])
        return
    given: list[Any] = [evaluate(poly(size), dict(sizes)) for size in source.names.sizes]
    given += [memory[b] for b in source.names.buffers]
    lockstep.run(source.text, source.launch.threads, blocks(source.launch, sizes), given)


def specification(kernel: CudaKernel, key: str, number: Mapping[Buffer, int]) -> CudaKernelSpec | CudaBatchSpec:
    """A kernel as data for the runtime, its cubin under `key` and its buffers by their numbers."""
    if kernel.source.members:
        return batch(kernel, key, number)
    launch = kernel.source.launch
    given = arguments(kernel.source, number)
    return CudaKernelSpec(kernel.name, key, symbol(key), given, launch.threads, _grid(launch), launch.shared)


def batch(kernel: CudaKernel, key: str, number: Mapping[Buffer, int]) -> CudaBatchSpec:
    """Kernels in one launch as data for the runtime."""
    members = kernel.source.members
    given = tuple(a for m in members for a in arguments(m, number))
    grids = tuple(_grid(m.launch) for m in members)
    return CudaBatchSpec(kernel.name, key, symbol(key), given, kernel.source.launch.threads, grids)


def _grid(launch: Launch) -> tuple[tuple[Poly, int], ...]:
    return tuple((poly(extent), size) for extent, size in launch.blocks)


def _slices(
    kernel: CudaKernel, memory: Mapping[Buffer, np.ndarray], place: int, sizes: Mapping[str, int]
) -> dict[Buffer, np.ndarray]:
    """The places of sequences that a kernel is given at one turn of its loop: views of their memory."""
    found = {}
    for b in kernel.source.names.buffers:
        if b.whole is not None:
            size = value(product(b.shape), sizes)
            found[b] = memory[b.whole][place * size : (place + 1) * size]
    return found


def flat(buffer: Buffer, array: np.ndarray) -> np.ndarray:
    """A logical array as a buffer's memory."""
    return np.array(array.transpose(buffer.order), storage(buffer), order="C").reshape(-1)


def logical(buffer: Buffer, memory: np.ndarray, sizes: Mapping[str, int]) -> np.ndarray:
    """A buffer's memory as a logical array."""
    shape = [value(d, sizes) for d in buffer.shape]
    view = memory.reshape([shape[i] for i in buffer.order])
    return np.array(view.transpose(np.argsort(buffer.order)) if shape else view, dtypes.stored(buffer.dtype), order="C")


@dataclass(frozen=True, eq=False)
class CudaPlan:
    """A program as CUDA kernels in the order they run."""

    planned: Planned
    kernels: tuple[CudaKernel, ...]

    @property
    def buffers(self) -> dict[Buffer, int]:
        """Every buffer's number, inputs and outputs first."""
        return numbered(self.planned, self.planned.kernels)


def build_kernels(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    updates: Mapping[Tensor, Tensor],
    precision: str = "float32",
    arch: Arch = (8, 0),
) -> CudaPlan:
    """The passes, in order, for an architecture and later ones of its generation. Raises CompileError for a precision
    that is none."""
    planned = Cuda(Options(precision=precision), arch=arch).planned(inputs, outputs, updates)
    return CudaPlan(planned, tuple(CudaKernel(k, k.schedule, print_kernel(k, k.schedule)) for k in planned.kernels))


def run_program(program: CudaPlan, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs of one run in lockstep, without a GPU; variables are updated. For checking kernels on small shapes.

    Raises IndexLimitError where a computed index is out of range.
    """
    sizes = bind({b.node: a for b, a in zip(program.planned.inputs, arrays)})
    given = dict(zip(program.planned.inputs, arrays))
    memory: dict[Buffer, np.ndarray] = {}
    for b in dict.fromkeys(b.memory for b in program.buffers):
        if b in given:
            memory[b] = flat(b, given[b])
        elif b.kind == "state":
            memory[b] = flat(b, b.node.attrs.state.get())
        elif b.kind == "constant":
            memory[b] = flat(b, b.node.attrs.value.array)
        else:
            memory[b] = np.zeros(value(product(b.shape), sizes), storage(b))
    for loop, together in groupby(program.kernels, lambda k: k.kernel.loop):
        body, turns = list(together), range(1 if loop is None else value(loop.length, sizes))
        for place in reversed(turns) if loop is not None and loop.reverse else turns:
            for kernel in body:
                run_lockstep(kernel, memory | _slices(kernel, memory, place, sizes), sizes)
    for b in program.buffers:
        if b.kind == "state":
            b.node.attrs.state.set(logical(b, memory[b], sizes))
    outputs = [logical(b, memory[b], sizes) for b in program.planned.returned]
    return flags.taken(program.planned.limits.computed, outputs, lambda: sizes)
