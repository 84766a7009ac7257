"""Element types by their NumPy names, and how they promote.

Integers and bools promote as in NumPy; a float and an integer give the float, as in PyTorch. Python numbers are weak
and take the type of the tensor they meet (a Python float with an integer tensor gives the default float).

bfloat16 is a type of values in memory: the upper 16 bits of a float32. Kernels compute with it in float32 and round to
nearest even where it is stored or cast to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DTypeError

BOOL = "bool"
INT8, INT16, INT32, INT64 = "int8", "int16", "int32", "int64"
UINT8, UINT16, UINT32, UINT64 = "uint8", "uint16", "uint32", "uint64"
BFLOAT16, FLOAT32, FLOAT64 = "bfloat16", "float32", "float64"
DEFAULT_FLOAT, DEFAULT_INT = FLOAT32, INT32

INTEGERS = (INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64)
FLOATS = (BFLOAT16, FLOAT32, FLOAT64)
ITEMSIZE = {BOOL: 1, **{each: np.dtype(each).itemsize for each in INTEGERS}, BFLOAT16: 2, FLOAT32: 4, FLOAT64: 8}


def check(dtype: object) -> str:
    """The dtype's name, from a name, a NumPy dtype or a NumPy scalar type."""
    if type(dtype) is str and dtype in ITEMSIZE:
        return dtype
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except TypeError:
        name = str(dtype)
    if name not in ITEMSIZE:
        raise DTypeError(f"dtype {name!r} is not supported; use one of {', '.join(ITEMSIZE)}")
    result: str = name
    return result


def is_float(dtype: str) -> bool:
    return dtype in FLOATS


def computed(dtype: str) -> str:
    """The type in which kernels and the reference compute with values of `dtype`."""
    return FLOAT32 if dtype == BFLOAT16 else dtype


def stored(dtype: str) -> str:
    """NumPy's type of the words in which values of `dtype` lie in memory."""
    return "uint16" if dtype == BFLOAT16 else dtype


def largest(dtype: str) -> float:
    """The greatest finite number of a float type."""
    return (2 - 2.0**-7) * 2.0**127 if dtype == BFLOAT16 else float(np.finfo(dtype).max)


def is_integer(dtype: str) -> bool:
    return dtype in INTEGERS


def converted(values: Any, dtype: str) -> np.ndarray:
    """An array of another NumPy type. Any shape.

    A float that becomes an integer is cut towards zero; one outside the integers' range becomes their nearest end, and
    NaN becomes 0. Integers wrap around. That is what kernels do too, in every element of an array.
    """
    array = np.asarray(values)
    kind = np.dtype(dtype)
    with np.errstate(all="ignore"):
        if array.dtype.kind != "f" or kind.kind not in "iu":
            return array.astype(kind)
        limits = np.iinfo(kind)
        low, high = float(limits.min), float(limits.max + 1)  # powers of two, which floats hold
        inside = (array >= low) & (array < high)
        cut = np.where(inside, array, array.dtype.type(0)).astype(kind)
        ends = np.where(array >= high, kind.type(limits.max), np.where(array < low, kind.type(limits.min), cut))
        return np.asarray(ends, kind)


def promote(a: str, b: str) -> str:
    """Where two types meet: floats before integers; of integers and bools NumPy's, the smallest integer type that
    holds both. Nothing but float64 holds uint64 and negative numbers."""
    floats = [each for each in FLOATS if each in (a, b)]
    return floats[-1] if floats else np.promote_types(a, b).name
