"""The CPU that kernels are compiled for: its name, its features, its vector registers.

By default it is the machine this process runs on. `KERNELWRIGHT_CPU` or `targeting("x86-64-v3")` choose another, to
run on older machines or to read what a machine elsewhere would run. Leans on llvmlite alone, so that a cache key is
computed without importing Numba.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import llvmlite.binding as llvm

from ....runtime import matrix_unit
from ....runtime.locks import once
from ...errors import CompileError

ITEM_BYTES = {
    "float64": 8,
    "int64": 8,
    "uint64": 8,
    "float32": 4,
    "int32": 4,
    "uint32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int16": 2,
    "uint16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}
NATIVE = "native"
CPUS = {
    "x86_64-unknown-linux-gnu": (
        *("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "nehalem", "sandybridge", "haswell", "skylake"),
        *("skylake-avx512", "icelake-server", "sapphirerapids", "alderlake", "znver1", "znver2", "znver3", "znver4"),
    ),
    "aarch64-unknown-linux-gnu": (
        *("cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1", "neoverse-v1", "neoverse-n2", "apple-m1"),
    ),
}
"""LLVM's names of the CPUs that may be asked for, by triple. Arm's are given Neon, not SVE, whose width varies."""

MATRIX_UNITS = ("sapphirerapids",)
"""Of the CPUs that may be asked for by name, those whose matrix unit multiplies bfloat16 (AMX)."""

SIDE, DEPTH = 16, 32
"""Of a tile register of the matrix unit: rows, as many as columns of sums; words of bfloat16 in a row."""

PROBE = """
declare <16 x float> @llvm.fmuladd.v16f32(<16 x float>, <16 x float>, <16 x float>)
define void @probe(ptr %a, ptr %b) {
  %x = load <16 x float>, ptr %a
  %y = load <16 x float>, ptr %b
  %z = call <16 x float> @llvm.fmuladd.v16f32(<16 x float> %x, <16 x float> %y, <16 x float> %x)
  store <16 x float> %z, ptr %a
  ret void
}
"""
"""A multiply-add of 64 bytes. The registers and instructions that LLVM makes of it tell what the CPU has."""

NARROW_PROBE = """
define void @probe(ptr %a, ptr %b) {
  %x = load <16 x float>, ptr %a
  %y = fptrunc <16 x float> %x to <16 x bfloat>
  store <16 x bfloat> %y, ptr %b
  ret void
}
"""


@dataclass(frozen=True)
class Machine:
    """One CPU as LLVM knows it. `fma`: multiply-adds are one instruction. `masks`: they have registers of their own.
    `pairs`: dot products of pairs of bfloat16 (AVX-512 BF16). `matrix_unit`: products of tiles of bfloat16 (AMX)."""

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int
    fma: bool
    masks: bool
    pairs: bool = False
    matrix_unit: bool = False

    def lanes(self, dtype: str) -> int:
        """How many elements of `dtype` one vector register holds."""
        return self.vector_bytes // ITEM_BYTES[dtype]

    def holds(self, rows: int, columns: int) -> bool:
        """Do the sums of a register tile stay in registers, with a row of operands and what a step needs besides?

        That is a register for the other operand, and one for the product where multiply-adds are two instructions. On
        Arm, LLVM loads two more operands ahead.
        """
        spare = 3 if self.triple.startswith("aarch64") else 1 if self.fma else 2
        return rows * columns + columns + spare <= self.vector_registers

    @property
    def needs(self) -> tuple[str, ...]:
        """The features, in LLVM's names, that a CPU must have to run what is compiled for the target.

        Those that its description turns on; for a CPU chosen by name, those of its vectors.
        """
        given = tuple(name[1:] for name in self.features.split(",") if name.startswith("+"))
        given = tuple(name for name in given if self.matrix_unit or name not in matrix_unit.FEATURES)
        if given or not self.triple.startswith("x86_64"):
            return given
        wide = {64: ("avx512f", "avx512bw", "avx512dq", "avx512vl"), 32: ("avx2",)}.get(self.vector_bytes, ())
        return (*wide, *["fma"] * self.fma, *["avx512bf16"] * self.pairs, *matrix_unit.FEATURES * self.matrix_unit)

    @property
    def runs_here(self) -> bool:
        """Can this machine run what is compiled for the target?"""
        here = described(NATIVE)
        same = self.triple.partition("-")[0] == here.triple.partition("-")[0]
        has = self.fma <= here.fma and self.pairs <= here.pairs and self.matrix_unit <= here.matrix_unit
        return same and has and self.vector_bytes <= here.vector_bytes


_chosen: ContextVar[str | None] = ContextVar("cpu", default=None)


@contextmanager
def targeting(cpu: str) -> Iterator[None]:
    """Programs compiled inside are for `cpu`: "native", or a name of LLVM's such as "x86-64-v3" or "neoverse-n1".

    Raises CompileError for a name that is not in `CPUS`.
    """
    described(cpu)
    token = _chosen.set(cpu)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen() -> str:
    """The name of the CPU that kernels are compiled for at present."""
    return _chosen.get() or os.environ.get("KERNELWRIGHT_CPU") or NATIVE


def target() -> Machine:
    """The CPU that kernels are compiled for at present."""
    return described(chosen())


@once
def described(cpu: str) -> Machine:
    """A CPU by its name."""
    if cpu == NATIVE:
        features = dict(llvm.get_host_cpu_features())
        features["prefer-256-bit"] = False  # full 512-bit registers, also where LLVM's tuning shies away from them
        if not llvm.get_process_triple().startswith(("x86_64", "i686")):
            del features["prefer-256-bit"]
        text = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
        return _probed(llvm.get_process_triple(), llvm.get_host_cpu_name(), text)
    for triple, names in CPUS.items():
        if cpu in names:
            return _probed(triple, cpu, "-prefer-256-bit" if triple.startswith("x86_64") else "-sve")
    known = ", ".join([NATIVE, *(name for names in CPUS.values() for name in names)])
    raise CompileError(f"there is no CPU {cpu!r} to compile for (KERNELWRIGHT_CPU); use one of {known}")


def _probed(triple: str, cpu: str, features: str) -> Machine:
    module = llvm.parse_assembly(PROBE)
    module.triple = triple
    text = machine(triple, cpu, features).emit_assembly(module)
    if "zmm" in text:
        width, registers = 64, 32
    elif "ymm" in text:
        width, registers = 32, 16
    else:
        width, registers = 16, 16 if "xmm" in text else 32
    fma = "vfmadd" in text or "fmla" in text
    pairs = "zmm" in text and _narrows(triple, cpu, features)
    unit = "zmm" in text and (cpu in MATRIX_UNITS or ("+amx-bf16" in features and matrix_unit.permitted()))
    return Machine(triple, cpu, features, width, registers, fma, "zmm" in text, pairs, unit)


def _narrows(triple: str, cpu: str, features: str) -> bool:
    """Has the CPU instructions for bfloat16?"""
    module = llvm.parse_assembly(NARROW_PROBE)
    module.triple = triple
    return "vcvtneps2bf16" in machine(triple, cpu, features).emit_assembly(module)


@once
def machine(triple: str, cpu: str, features: str) -> llvm.TargetMachine:
    """LLVM's code generator for a CPU."""
    if triple.partition("-")[0] == llvm.get_process_triple().partition("-")[0]:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    try:
        kind = llvm.Target.from_triple(triple)
    except RuntimeError as error:
        raise CompileError(f"this LLVM cannot compile for {cpu} ({triple}): {error}") from None
    return kind.create_target_machine(cpu, features, opt=3, reloc="pic", codemodel="small")


def lanes(dtype: str) -> int:
    """How many elements of `dtype` one vector register of the present target holds."""
    return target().lanes(dtype)
