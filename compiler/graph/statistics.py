"""Reductions composed of sums and extremes, as NumPy and PyTorch name them: var, std, logsumexp, norm, any, all, ...

Each is fused like the reductions that it is made of, and its gradient follows from theirs. Leans on the op families.
"""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..errors import ShapeError
from ..shapes import Dim, as_index
from .node import user_location
from .ops.elementwise import exp, log, maximum, minimum, sqrt, stop_gradient, where
from .ops.movement import squeeze
from .ops.reduce import max_, mean, min_, sum_
from .ops.source import size_of
from .synonyms import also_named
from .tensor import Like, Tensor, as_tensor, cast, dim_of, normalize_axes

DIVISORS = "divides by n - 1 there and by n in NumPy; give correction=1 or correction=0"


@also_named()
def any_(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Is an element over `axis` not zero? bool; False of no elements. Numbers or bools of any shape."""
    return count_nonzero(x, axis, keepdims) > 0


@also_named()
def all_(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Is no element over `axis` zero? bool; True of no elements. Numbers or bools of any shape."""
    return count_nonzero(~as_tensor(x).astype(dtypes.BOOL), axis, keepdims) <= 0


@also_named()
def count_nonzero(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """How many elements over `axis` are not zero, int64. NaN is not zero."""
    return sum_(as_tensor(x).astype(dtypes.BOOL), axis, keepdims)


@also_named(DIVISORS, ("ddof", "correction"))
def var(
    x: Like, axis: Any = None, keepdims: bool = False, ddof: int | None = None, correction: int | None = None
) -> Tensor:
    """The mean over `axis` of (x - mean)^2, by two passes over x. Of integers and bools as float32.

    The squares' sum is divided by n - ddof, ddof = 0 as in NumPy; `correction` is the same under PyTorch's name, whose
    own default is 1. NaN, or infinity, where n <= ddof. Raises ShapeError where ddof is no integer, or both are given.
    """
    x = as_tensor(x)
    less = _correction("var", ddof, correction)
    wide = _wider(x)
    if wide is not None:
        narrow = x.dtype if dtypes.is_float(x.dtype) else dtypes.DEFAULT_FLOAT
        return cast(var(x.astype(wide), axis, keepdims, less), narrow)
    axes = normalize_axes("var", axis, x)
    d = x - mean(x, axes, keepdims=True)
    squares: Tensor = sum_(d * d, axes, keepdims)
    return squares / _rest(dim_of(x, axes), less, x.dtype)


@also_named(DIVISORS, ("ddof", "correction"))
def std(
    x: Like, axis: Any = None, keepdims: bool = False, ddof: int | None = None, correction: int | None = None
) -> Tensor:
    """The square root of `var`. Its gradient is 0 where all elements are equal, as in PyTorch."""
    return _root(var(x, axis, keepdims, _correction("std", ddof, correction)))


@also_named()
def logsumexp(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over `axis`, shifted by the greatest element so that nothing overflows.

    Floats, integers as float32. -inf of nothing but -inf. Raises ShapeError over no elements.
    """
    x = as_tensor(x)
    x = x if dtypes.is_float(x.dtype) else x.astype(dtypes.DEFAULT_FLOAT)
    axes = normalize_axes("logsumexp", axis, x)
    peak = stop_gradient(max_(x, axes, keepdims=True))
    most = dtypes.largest(x.dtype)
    shift = minimum(maximum(peak, -most), most)  # finite, so that a row of nothing but -inf stays -inf
    total = log(sum_(exp(x - shift), axes, keepdims=True)) + shift
    return total if keepdims else squeeze(total, axes)


@also_named()
def norm(x: Like, ord: float = 2, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The length of the vectors over `axis` (all elements by default): `numpy.linalg.vector_norm`.

    ord 2 is the root of the squares' sum, 1 the sum of the sizes, 0 the count of what is not zero, inf and -inf the
    greatest and the least size, any other p the p-th root of the sum of the sizes to the p. Floats. The gradient of the
    2-norm is 0 for a vector of zeros, as in PyTorch. Raises ShapeError for ord inf over no elements.
    """
    x = as_tensor(x)
    x = x if dtypes.is_float(x.dtype) else x.astype(dtypes.DEFAULT_FLOAT)
    if ord == 2:
        return _root(sum_(x * x, axis, keepdims))
    if ord == 0:
        return count_nonzero(x, axis, keepdims).astype(x.dtype)
    if abs(ord) == math.inf:
        return (max_ if ord > 0 else min_)(abs(x), axis, keepdims)
    return sum_(abs(x), axis, keepdims) if ord == 1 else sum_(abs(x) ** ord, axis, keepdims) ** (1 / ord)


@also_named()
def ptp(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The greatest less the least element over `axis`. Numbers; raises ShapeError over no elements."""
    return max_(x, axis, keepdims) - min_(x, axis, keepdims)


def _correction(op: str, ddof: Any, correction: Any) -> int:
    given = [as_index(n) for n in (ddof, correction) if n is not None]
    if len(given) > 1 or None in given:
        raise ShapeError(
            f"{op}: give one of ddof and correction, an integer taken off the count, not ddof={ddof!r} and "
            f"correction={correction!r} (at {user_location()})"
        )
    return given[0] or 0 if given else 0


def _wider(x: Tensor) -> str | None:
    """The dtype in which statistics of x are computed, where it is not x's."""
    if not dtypes.is_float(x.dtype):
        return dtypes.FLOAT64
    return dtypes.FLOAT32 if x.dtype == dtypes.BFLOAT16 else None


def _rest(count: Dim, less: int, dtype: str) -> Like:
    """count - less, 0 where that is negative."""
    if isinstance(count, int):
        return float(max(count - less, 0))
    return where(size_of(count, dtype) > less, size_of(count, dtype) - less, 0.0)


def _root(x: Tensor) -> Tensor:
    """sqrt(x) with a gradient of 0 at 0."""
    zero = x <= 0
    return where(zero, x, sqrt(where(zero, 1.0, x)))
