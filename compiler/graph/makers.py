"""Tensors from shapes and numbers: ones, full, arange, linspace, eye, and those shaped like another.

Leans on `ops.source`; steps of floats are an array that NumPy makes, so that they are NumPy's to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..errors import DTypeError, ShapeError
from ..shapes import Size, as_index
from .node import user_location
from .ops.elementwise import equal
from .ops.source import iota
from .tensor import Like, Number, Tensor, as_tensor, checked_shape
from .tensor import full as constant


def full(shape: Any, value: Number, dtype: Any = None) -> Tensor:
    """The number everywhere: of an int int32, of a float float32, of a bool bool, where `dtype` does not say.

    Raises ShapeError for what is no shape, DTypeError for a number that the dtype cannot hold.
    """
    size = checked_shape("full", shape)
    one = as_tensor(value)
    if one.op.name != "full":
        raise DTypeError(f"full: the value must be a number, not {value!r}; use kw.broadcast_to (at {user_location()})")
    return constant(size, value, dtypes.check(dtype) if dtype is not None else one.dtype)


def ones(shape: Any, dtype: Any = dtypes.DEFAULT_FLOAT) -> Tensor:
    """A constant of ones. Raises ShapeError for what is no shape."""
    return constant(checked_shape("ones", shape), 1, dtypes.check(dtype))


def full_like(x: Like, value: Number, dtype: Any = None) -> Tensor:
    """The number everywhere, in the shape of `x`, and in its dtype where `dtype` does not say."""
    x = as_tensor(x)
    return full(x.shape, value, dtype if dtype is not None else x.dtype)


def zeros_like(x: Like, dtype: Any = None) -> Tensor:
    """Zeros in the shape of `x`, and in its dtype where `dtype` does not say."""
    return full_like(x, 0, dtype)


def ones_like(x: Like, dtype: Any = None) -> Tensor:
    """Ones in the shape of `x`, and in its dtype where `dtype` does not say."""
    return full_like(x, 1, dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """start, start + step, ... before stop; `arange(n)` is 0, 1, ... n - 1. int32 of integers, float32 of floats.

    A size that is known at run time only may be the stop, with integers beside it and a step of 1. Raises ShapeError
    where it is not, or for a step of 0.
    """
    start, stop = (0, start) if stop is None else (start, stop)
    kind = dtypes.check(dtype) if dtype is not None else None
    if isinstance(start, Size) or isinstance(stop, Size):
        if as_index(step) != 1:
            raise ShapeError(f"arange: to {stop}, known at run time only, the step must be 1 (at {user_location()})")
        places = iota(stop - start, kind or dtypes.DEFAULT_INT)
        moved: Tensor = places + start
        return places if as_index(start) == 0 else moved
    if step == 0:
        raise ShapeError(f"arange: the step must not be 0 (at {user_location()})")
    if any(as_index(n) is None for n in (start, stop, step)):
        return as_tensor(np.arange(start, stop, step), kind or dtypes.DEFAULT_FLOAT)
    count, kind = len(range(start, stop, step)), kind or dtypes.DEFAULT_INT
    return iota(count, kind) if (start, step) == (0, 1) else _steps(count, int(start), int(step)).astype(kind)


def _steps(count: int, start: int, step: int) -> Tensor:
    return iota(count, dtypes.INT64) * step + start


def linspace(start: float, stop: float, num: int = 50, dtype: Any = dtypes.DEFAULT_FLOAT) -> Tensor:
    """`num` numbers at equal distances from `start` to `stop`, both included. Raises ShapeError for no count."""
    (count,) = checked_shape("linspace", (num,))
    if not isinstance(count, int):
        raise ShapeError(f"linspace: needs a count known while compiling, not {num} (at {user_location()})")
    return as_tensor(np.linspace(start, stop, count), dtypes.check(dtype))


def eye(n: Any, m: Any = None, k: int = 0, dtype: Any = dtypes.DEFAULT_FLOAT) -> Tensor:
    """(n, m) with ones on the k-th diagonal, above the main one for k > 0, and zeros elsewhere; m is n by default."""
    rows, columns = checked_shape("eye", (n, n if m is None else m))
    places = iota(rows, dtypes.INT64).reshape(rows, 1) + whole_number("eye", k)
    return equal(places, iota(columns, dtypes.INT64)).astype(dtype)


def whole_number(op: str, k: Any) -> int:
    """A diagonal's number."""
    number = as_index(k)
    if number is None:
        raise ShapeError(f"{op}: the diagonal's number must be an integer, not {k!r} (at {user_location()})")
    return number
