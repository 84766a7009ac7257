"""Running sums and products along an axis, composed of shifted copies (Hillis and Steele 1986, "Data parallel
algorithms"): after k steps an element holds its 2^k predecessors, so an axis of n takes log2(n) steps.

The gradient follows from that of the steps, also beside zeros of a product. Leans on the op families.
"""

from __future__ import annotations

from typing import Any

from .. import dtypes
from .arrangement import known_axis, ravel
from .ops.slicing import pad
from .synonyms import also_named
from .tensor import Like, Tensor, as_tensor, elementwise


@also_named()
def cumsum(x: Like, axis: int | None = None) -> Tensor:
    """The sums of the elements up to each along `axis`, of x as a vector without axis. Integers and bools are added up
    in int64, uint64 in uint64. Raises ShapeError for an axis whose size is known at run time only."""
    return _running("cumsum", "add", 0, x, axis)


@also_named()
def cumprod(x: Like, axis: int | None = None) -> Tensor:
    """The products of the elements up to each along `axis`, as `cumsum` adds them up."""
    return _running("cumprod", "mul", 1, x, axis)


def _running(name: str, op: str, neutral: int, x: Like, axis: Any) -> Tensor:
    x = as_tensor(x)
    if axis is None:
        x, axis = ravel(x), 0
    a, size = known_axis(name, axis, x, "give the input a size there")
    if not dtypes.is_float(x.dtype) and x.dtype != dtypes.UINT64:
        x = x.astype(dtypes.INT64)
    step = 1
    while step < size:
        ahead = x[(*(slice(None),) * a, slice(None, size - step))]
        x = elementwise(op, x, pad(ahead, [(step, 0) if i == a else 0 for i in range(x.rank)], neutral))
        step *= 2
    return x
