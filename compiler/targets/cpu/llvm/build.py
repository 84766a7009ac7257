"""Kernel source in, relocatable object code out.

`build` takes readable Python source and gives an ELF object with one C function,
`void name(int64 *table, int64 thread, int64 threads)`, which needs neither Numba nor Python: only the C library's
mathematics. The module is optimised once, by LLVM's own pipeline. Leans on `frontend.py` (imported on first use,
since importing Numba takes a while), `target.py` and llvmlite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter

import llvmlite.binding as llvm
from llvmlite.binding import ffi

from .....runtime import elf
from .....runtime.locks import LLVM
from ..machine import chosen, machine, target, targeting

C_MATHEMATICS = """
    exp exp2 expm1 log log2 log10 log1p pow sin cos sincos tan sinh cosh tanh asin acos atan atan2 asinh acosh atanh
    erf erfc tgamma lgamma fmod floor ceil trunc round rint nearbyint roundeven fma sqrt cbrt hypot ldexp fmin fmax
    fminimum fmaximum memcpy memmove memset
"""
C_LIBRARY = frozenset(re.findall(r"\w+", C_MATHEMATICS))
SYMBOL = re.compile(r"[A-Za-z_]\w*\Z")


class BuildError(Exception):
    """A kernel that cannot become free-standing object code."""


@dataclass(frozen=True)
class Built:
    """A compiled kernel: `object` is what to load and to cache, the rest is for readers."""

    object: bytes
    symbol: str
    llvm: str
    seconds: float = field(compare=False)

    @cached_property
    def asm(self) -> str:
        """The assembly, made when first asked for (that costs a second run of the code generator)."""
        return assembly(self.llvm)


def build(source: str, name: str) -> Built:
    """Compile the function `name` of `source`."""
    if not SYMBOL.match(name):
        raise BuildError(f"{name!r} is not a C symbol")
    started = perf_counter()
    with LLVM:
        readable, code = _generated(source, name)
    foreign = sorted(symbol for symbol in undefined_symbols(code) if not _in_c_library(symbol))
    if foreign:
        raise BuildError(f"kernel {name} needs {', '.join(foreign)}, which only exists inside Numba or Python")
    if not elf.defines(code, name):
        raise BuildError(f"the object made for kernel {name} does not define it")
    return Built(code, name, readable, perf_counter() - started)


def _generated(source: str, name: str) -> tuple[str, bytes]:
    """(optimised LLVM IR, object code)."""
    from .frontend import lower  # imports Numba, under the lock: its modules import each other in circles

    text, linked = lower(source, name)
    module = llvm.parse_assembly(text)
    for other in linked:
        module.link_in(llvm.parse_assembly(other))
    _optimise(module)
    readable = str(module)  # before the code generator rewrites it
    return readable, _machine().emit_object(module)


@dataclass(frozen=True)
class For:
    """`build` for a CPU by name, as something that can be sent to a helper process."""

    cpu: str

    def __call__(self, source: str, name: str) -> Built:
        with targeting(self.cpu):
            return build(source, name)


def build_for_target() -> For:
    """`build` for the present target, in whatever process it is called."""
    return For(chosen())


def assembly(text: str) -> str:
    """The assembly of an optimised module."""
    with LLVM:
        module = llvm.parse_assembly(text)
        generator = _machine()
        generator.set_asm_verbosity(True)
        return generator.emit_assembly(module)


def _machine() -> llvm.TargetMachine:
    """The code generator for the present target."""
    this = target()
    return machine(this.triple, this.cpu, this.features)


def _optimise(module: llvm.ModuleRef) -> None:
    """LLVM's -O3, once."""
    generator = _machine()
    module.triple = generator.triple
    module.data_layout = str(generator.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = True
    options.loop_interleaving = True
    options.loop_unrolling = True
    builder = llvm.create_pass_builder(generator, options)
    passes = builder.getModulePassManager()
    passes.run(module, builder)
    ffi.lib.LLVMPY_DisposeNewModulePassManger(passes)  # llvmlite forgets to, and each is a tenth of a megabyte
    passes.detach()


def _in_c_library(symbol: str) -> bool:
    """Whether every C library defines `symbol`."""
    return symbol in C_LIBRARY or (symbol.endswith("f") and symbol[:-1] in C_LIBRARY)


def undefined_symbols(code: bytes) -> Iterator[str]:
    """The names that a 64-bit little-endian ELF object expects others to define."""
    try:
        yield from (name for name, defined in elf.symbols(code) if not defined)
    except ValueError as error:
        raise BuildError(str(error)) from None
