"""The seam to the CUDA compiler: Python source of a kernel in, PTX and a cubin out. No driver and no GPU are needed.

Everything that knows numba-cuda, NVVM or nvJitLink is in this file and in `intrinsics.py`, so that another code
generator can take their place. numba-cuda is used as a code generator only; its dispatcher, which needs a driver, is
not. Leans on the extra `cuda`, imported inside the functions that need it.
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.locks import LLVM
from ...errors import CompileError
from ...loops.definition import split, weak_by_argument
from ..shared.wrapping import wrapping

Arch = tuple[int, int]
Bounds = tuple[int, int]

INSTALL = 'pip install "kernelwright[cuda]"'
PARTS = {"numba_cuda": "numba-cuda", "cuda.core": "cuda-core", "cuda.bindings": "cuda-bindings"}
NVJITLINK = ("nvidia-nvjitlink", "nvidia-nvjitlink-cu12")
POINTER_ALIGN = 16  # buffers start on a boundary of at least this many bytes, but for places of sequences


@dataclass(frozen=True)
class Code:
    """A compiled kernel. `cubin` is None where nvJitLink is absent; `log` has its registers, spills and warnings."""

    name: str
    arch: Arch
    ptx: str
    cubin: bytes | None
    log: str


def missing_parts() -> list[str]:
    """The packages of the extra `cuda` that are not installed."""
    return [package for module, package in PARTS.items() if not _present(module)]


def _present(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def require() -> None:
    """Raise CompileError, in one line, where the extra `cuda` is not installed."""
    absent = missing_parts()
    if absent:
        raise CompileError(f"CUDA kernels need {' and '.join(absent)}, not installed here; run: {INSTALL}")


GENERATOR = (
    *(
        Path(__file__).parent / f"{name}.py"
        for name in ("bfloat16", "build", "intrinsics", "mma", "shared_memory", "wgmma")
    ),
    Path(__file__).parents[2] / "dtypes.py",
    *(Path(__file__).parents[2] / "loops" / name for name in ("definition.py", "functions.py", "philox.py")),
    *(Path(__file__).parents[1] / "shared" / name for name in ("saturate.py", "whole_numbers.py", "wrapping.py")),
)
"""The files that decide what a kernel's source becomes; a change in one changes every key, but for PANELS."""
PANELS = ("mma.py", "shared_memory.py", "wgmma.py")
"""Those of GENERATOR that have a part in kernels with panels only, which alone may call their functions."""


@cache
def generator(panels: bool = True) -> str:
    """The hash of this code generator, for kernels with panels in shared memory or without."""
    own = hashlib.sha256()
    for path in GENERATOR:
        if panels or path.name not in PANELS:
            own.update(path.read_bytes())
    return own.hexdigest()


def _has_panels(text: str) -> bool:
    return "panel(" in text


@cache
def versions() -> str:
    """The packages that compile kernels here, "none" for what is not installed, and the toolkit's libNVVM where it
    has no package."""
    packages = ("numba", "numba-cuda", "llvmlite", "nvidia-nvvm", *NVJITLINK)
    found = {package: _version(package) for package in packages}
    if found["nvidia-nvvm"] == "none":
        found["libnvvm"] = _toolkit_nvvm()
    return " ".join(f"{package}={which}" for package, which in found.items())


def _toolkit_nvvm() -> str:
    """Path and size of the libNVVM that numba-cuda would load: the library does not tell its toolkit's version."""
    if not _present("cuda.pathfinder"):
        return "none"
    pathfinder = import_module("cuda.pathfinder")
    try:
        path = Path(pathfinder.load_nvidia_dynamic_lib("nvvm").abs_path).resolve()
        return f"{path}:{path.stat().st_size}"
    except (pathfinder.DynamicLibNotFoundError, OSError):
        return "none"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def key(text: str, arguments: Sequence[str], bounds: Bounds, arch: Arch) -> str:
    """The content hash of what goes in. What comes out differs in names from process to process, and in instructions
    where the packages have other `versions`."""
    parts = [generator(_has_panels(text)), text, " ".join(arguments), str(bounds), f"sm_{arch[0]}{arch[1]}"]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


def _numba_cuda() -> Any:
    """`numba.cuda` with what it needs to work.

    numba-cuda 0.30.4 names `np.row_stack` at its first compile, which NumPy 2.5 removed. It was an alias of
    `np.vstack`, and is one again here; numba-cuda no longer takes such fixes.
    """
    require()
    if not hasattr(np, "row_stack"):
        np.row_stack = np.vstack
    return import_module("numba.cuda")


def compile_kernel(text: str, arguments: Sequence[str], bounds: Bounds, arch: Arch = (9, 0), name: str = "") -> Code:
    """PTX and, where nvJitLink is installed, a cubin of `def kernel(...)`.

    `arguments` are NumPy dtype names, `float32*` for a pointer to a boundary of 16 bytes, `float32*?` for one to any
    element; `bounds` the threads of a block, and how many blocks a multiprocessor must have registers for. Raises
    CompileError where the extra is missing or the source is not a kernel.
    """
    name = name or f"kw_{key(text, arguments, bounds, arch)}"
    with LLVM:
        target = (*arch, "a") if OF_ONE_ARCHITECTURE in text else arch
        ptx = _ptx(text, arguments, bounds, target, name)
        cubin, log = _link(ptx, target)
    return Code(name, arch, ptx, cubin, log)


OF_ONE_ARCHITECTURE = "wgmma"
"""Instructions whose name has this are of sm_90a alone: their code runs on no later one."""


def compile_job(job: tuple[str, Sequence[str], Bounds, Arch], name: str) -> Code:
    """`compile_kernel` as helper processes call it."""
    return compile_kernel(*job, name=name)


def _ptx(text: str, arguments: Sequence[str], bounds: Bounds, arch: Sequence[int | str], name: str) -> str:
    cuda = _numba_cuda()
    from .intrinsics import namespace

    names = {"cuda": cuda, "math": math, "np": np, **namespace(_has_panels(text))}
    definitions, kernel = split(text)
    for each, source in definitions.items():
        exec(compile(weak_by_argument(ast.parse(source)), f"<scalar function {each}>", "exec"), names)
        names[each] = cuda.jit(device=True, inline="always")(names[each])  # a call would ask the driver for its device
    exec(compile(wrapping(ast.parse(kernel)), f"<kernel {name}>", "exec"), names)
    function = names["kernel"]
    function.__module__ = "kernel"
    try:
        library, _ = import_module("numba.cuda.compiler")._compile_pyfunc_with_fixup(
            function, _signature(arguments), device=False, abi="numba", cc=arch, launch_bounds=bounds
        )
    except import_module("numba.core.errors").NumbaError as error:  # numba-cuda's own errors are of that kind too
        raise CompileError(f"kernel {name} was not understood by numba-cuda: {error}\n{text}") from error
    except import_module("numba.cuda.cudadrv.error").CudaSupportError as error:
        raise CompileError(
            f"kernel {name} calls a function of numba-cuda's own, which it compiles with a driver only\n{text}"
        ) from error
    entry = library.get_function(library._entry_name)
    for argument, kind in zip(entry.args, arguments, strict=True):
        if "*" in kind:
            argument.add_attribute("noalias")
        if kind.endswith("*"):
            argument.attributes.align = POINTER_ALIGN
    ptx = "\n".join(library.get_asm_strs(cc=arch))
    return re.sub(rf"(?<![\w$]){re.escape(library._entry_name)}(?![\w$])", name, ptx)


def _signature(arguments: Sequence[str]) -> Any:
    types: Any = import_module("numba.cuda.types")

    def one(kind: str) -> Any:
        plain = getattr(types, kind.rstrip("*?"))
        return types.CPointer(plain) if "*" in kind else plain

    return types.void(*map(one, arguments))


def _link(ptx: str, arch: Sequence[int | str]) -> tuple[bytes | None, str]:
    """(cubin, what ptxas says of it), with nvJitLink; it needs no driver."""
    if all(_version(package) == "none" for package in NVJITLINK):
        return None, "nvJitLink is not installed: PTX only"
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch=f"sm_{''.join(map(str, arch))}", ptxas_options=["-v"])
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    linked = linker.link("cubin")
    log = linker.get_info_log() or ""
    return bytes(linked.code), log
