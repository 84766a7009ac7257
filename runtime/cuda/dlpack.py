"""DLPack's capsules: what one from another library says of its array, and one of our own.

Layouts and codes are those of DLPack's header (dlpack.h, 1.0) and of the array API standard. NumPy makes our capsules,
over addresses that it never reads: how long the memory lives, and what happens to a capsule that nobody takes, is in
its hands. Leans on ctypes and NumPy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

CPU, CUDA, CUDA_MANAGED = 1, 2, 13
"""Device types."""
PLAIN, VERSIONED = b"dltensor", b"dltensor_versioned"
"""Names of capsules that nobody has taken over."""
MAJOR = 1
BFLOAT16 = (4, 16)
KINDS = {0: "int", 1: "uint", 2: "float"}
NAMES = {BFLOAT16: "bfloat16", (6, 8): "bool"}
"""Element types by type code and bits, which `KINDS` has for codes with any number of bits."""


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


@dataclass(frozen=True)
class Described:
    """An array in another library's memory. strides: in bytes. device: its type and number."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    itemsize: int
    device: tuple[int, int]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.itemsize

    @property
    def contiguous(self) -> bool:
        """Do the elements follow each other in C's order?"""
        wanted = row_major(self.shape, self.itemsize)
        return not prod(self.shape) or all(
            stride == want for size, stride, want in zip(self.shape, self.strides, wanted) if size > 1
        )


def row_major(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Strides in C's order, in bytes."""
    return tuple(itemsize * prod(shape[i + 1 :]) for i in range(len(shape)))


def asked(value: Any, stream: int) -> Any:
    """The capsule of an object with `__dlpack__`, whose content is complete for what comes into `stream` next."""
    try:
        return value.__dlpack__(stream=stream, max_version=(MAJOR, 0))
    except TypeError:  # of before version 1, which took no max_version
        return value.__dlpack__(stream=stream)


def described(capsule: Any) -> Described:
    """What a capsule says. It is not taken over: the memory lives as long as the capsule. Raises BufferError for a
    version that is not known."""
    tensor = _tensor(capsule)
    shape = tuple(tensor.shape[: tensor.ndim])
    itemsize = -(-tensor.bits * tensor.lanes // 8)
    strides = tuple(n * itemsize for n in tensor.strides[: tensor.ndim]) if tensor.strides else None
    kind = (tensor.code, tensor.bits)
    name = NAMES.get(kind) or (f"{KINDS[tensor.code]}{tensor.bits}" if tensor.code in KINDS else f"DLPack type {kind}")
    return Described(
        (tensor.data or 0) + tensor.byte_offset,
        shape,
        row_major(shape, itemsize) if strides is None else strides,
        name if tensor.lanes == 1 else f"{name} in vectors of {tensor.lanes}",
        itemsize,
        (tensor.device_type, tensor.device_id),
    )


def capsule(owner: object, address: int, shape: Sequence[int], dtype: str, device: tuple[int, int]) -> Any:
    """A capsule of an array in C's order at `address`, which `owner` keeps there. dtype: a NumPy name, or bfloat16."""
    stored = "uint16" if dtype == NAMES[BFLOAT16] else dtype
    made = np.asarray(_Seen(owner, address, tuple(shape), np.dtype(stored).str)).__dlpack__()
    tensor = _tensor(made)
    tensor.device_type, tensor.device_id = device
    if dtype != stored:
        tensor.code, tensor.bits = BFLOAT16
    return made


class _Seen:
    """Memory as NumPy's array interface (version 3) describes it."""

    def __init__(self, owner: object, address: int, shape: tuple[int, ...], typestr: str) -> None:
        self.owner = owner
        self.__array_interface__ = {"version": 3, "data": (address, False), "shape": shape, "typestr": typestr}


def _tensor(capsule: Any) -> _Tensor:
    if _is_valid(capsule, VERSIONED):
        found = _Versioned.from_address(_pointer(capsule, VERSIONED))
        if found.major != MAJOR:
            raise BufferError(f"DLPack {found.major}.{found.minor} is not known here, only {MAJOR}.x")
        return found.tensor  # type: ignore[no-any-return]
    return _Tensor.from_address(_pointer(capsule, PLAIN))
