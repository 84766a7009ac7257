"""The machine that kernels are compiled for: its name, its features, its vector registers.

Leans on llvmlite alone, so that a cache key is computed without importing Numba.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

ITEM_BYTES = {
    "float64": 8,
    "int64": 8,
    "uint64": 8,
    "float32": 4,
    "int32": 4,
    "uint32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}


@dataclass(frozen=True)
class Target:
    """One CPU as LLVM knows it."""

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int

    @property
    def masks(self) -> bool:
        """Are loads and stores of some lanes of a vector as fast as those of all?"""
        return self.vector_bytes == 64

    def lanes(self, dtype: str) -> int:
        """How many elements of `dtype` one vector register holds."""
        return self.vector_bytes // ITEM_BYTES[dtype]


@cache
def target() -> Target:
    """The machine this process runs on."""
    features = dict(llvm.get_host_cpu_features())
    wide = features.get("avx512f", False)
    if wide:
        features["prefer-256-bit"] = False  # full 512-bit registers, also where LLVM's tuning shies away from them
    text = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
    triple = llvm.get_process_triple()
    arm = triple.startswith(("aarch64", "arm64"))
    vector_bytes = 64 if wide else 32 if features.get("avx", False) else 16
    return Target(triple, llvm.get_host_cpu_name(), text, vector_bytes, 32 if wide or arm else 16)


def lanes(dtype: str) -> int:
    """How many elements of `dtype` one vector register of this machine holds."""
    return target().lanes(dtype)
