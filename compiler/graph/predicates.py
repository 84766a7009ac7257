"""Questions about elements, and their truth: isnan, less, logical_and, ... under NumPy's names.

Leans on the operators of tensors.
"""

from __future__ import annotations

import math

from .. import dtypes
from .makers import full_like
from .ops.elementwise import where
from .tensor import Like, Tensor, as_tensor, cast, elementwise


def isnan(x: Like) -> Tensor:
    """Is it NaN? bool; False of integers and bools."""
    x = as_tensor(x)
    return elementwise("ne", x, x) if dtypes.is_float(x.dtype) else full_like(x, False, dtypes.BOOL)


def isinf(x: Like) -> Tensor:
    """Is it infinite, of either sign? bool; False of integers and bools."""
    x = as_tensor(x)
    return elementwise("eq", abs(x), math.inf) if dtypes.is_float(x.dtype) else full_like(x, False, dtypes.BOOL)


def isfinite(x: Like) -> Tensor:
    """Is it neither infinite nor NaN? bool; True of integers and bools."""
    x = as_tensor(x)
    return abs(x) < math.inf if dtypes.is_float(x.dtype) else full_like(x, True, dtypes.BOOL)


def nan_to_num(x: Like, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """`x` with numbers in place of NaN and of infinities, which by default become the greatest and least of the dtype.

    The gradient stops where a number was put.
    """
    x = as_tensor(x)
    if not dtypes.is_float(x.dtype):
        return x
    most = dtypes.largest(x.dtype)
    high = where(elementwise("eq", x, math.inf), most if posinf is None else posinf, x)
    both = where(elementwise("eq", x, -math.inf), -most if neginf is None else neginf, high)
    return where(isnan(x), nan, both)


def less(x: Like, y: Like) -> Tensor:
    """x < y, element by element; both broadcast."""
    return elementwise("lt", x, y)


def less_equal(x: Like, y: Like) -> Tensor:
    """x <= y, element by element; both broadcast."""
    return elementwise("le", x, y)


def greater(x: Like, y: Like) -> Tensor:
    """x > y, element by element; both broadcast."""
    return elementwise("lt", y, x)


def greater_equal(x: Like, y: Like) -> Tensor:
    """x >= y, element by element; both broadcast."""
    return elementwise("le", y, x)


def logical_and(x: Like, y: Like) -> Tensor:
    """Are both not zero? bool; numbers or bools, which broadcast."""
    return elementwise("logical_and", _truth(x), _truth(y))


def logical_or(x: Like, y: Like) -> Tensor:
    """Is one of them not zero? bool; numbers or bools, which broadcast."""
    return elementwise("logical_or", _truth(x), _truth(y))


def logical_xor(x: Like, y: Like) -> Tensor:
    """Is one of them, and not both, not zero? bool; numbers or bools, which broadcast."""
    return elementwise("ne", _truth(x), _truth(y))


def logical_not(x: Like) -> Tensor:
    """Is it zero? bool; numbers or bools of any shape."""
    return elementwise("logical_not", _truth(x))


def _truth(x: Like) -> Tensor:
    return cast(as_tensor(x), dtypes.BOOL)
