"""Order along an axis: sort, argsort, topk, by counting for every element how many come before it.

That is n^2 comparisons along an axis of n, in one kernel without branches, which suits axes of up to some hundreds,
such as classes. Longer ones whose size is known go through a network (`sorting_network`), but for those inside the step
of a scan, which cannot hold a loop. Leans on the op families.
"""

from __future__ import annotations

from functools import partial

from .. import dtypes
from ..errors import DTypeError, ShapeError
from ..shapes import Dim, as_index, show
from .node import user_location
from .ops.elementwise import equal, where
from .ops.movement import expand_dims, squeeze
from .ops.source import iota
from .recurrences import inside_step
from .sorting_network import ordered
from .synonyms import A_PAIR, also_named
from .tensor import Like, Tensor, apply, as_tensor, normalize_axis

LONG = 1000
"""Elements along an axis beyond which a network is faster than counting."""


@also_named()
def argsort(x: Like, axis: int = -1, descending: bool = False) -> Tensor:
    """The positions, int32, at which the elements along `axis` stand in increasing order; equal ones as they stand.

    NaN counts as the greatest. Numbers or bools of any shape, no gradient. Raises ShapeError for an axis that is none.
    """
    x = as_tensor(x)
    a = normalize_axis("argsort", axis, x)
    return _positions(x, a, x.shape[a], descending)


@also_named(A_PAIR.format("sort(x, axis)", "kw.argsort"))
def sort(x: Like, axis: int = -1, descending: bool = False) -> Tensor:
    """The elements along `axis` in increasing order, NaN last. The gradient goes back to where each stood."""
    x = as_tensor(x)
    a = normalize_axis("sort", axis, x)
    return apply("take_along", (x, _positions(x, a, x.shape[a], descending)), axis=a)


@also_named("gives a pair there, with the lower of two in the middle; here median(x, axis) gives the values")
def median(x: Like, axis: int = -1, keepdims: bool = False) -> Tensor:
    """The middle element along `axis`, or the mean of the two in the middle, as NumPy's; NaN where an element is NaN.

    Floats; the size of the axis must be known while compiling. Raises ShapeError or DTypeError.
    """
    x = as_tensor(x)
    a = normalize_axis("median", axis, x)
    size = x.shape[a]
    if not isinstance(size, int) or size < 1:
        raise ShapeError(
            f"median: axis {a} of {show(x.shape)} must have elements, and a size known while compiling "
            f"(at {user_location()})"
        )
    if not dtypes.is_float(x.dtype):
        raise DTypeError(f"median: floats are needed, not {x.dtype}; cast (at {user_location()})")
    ordered_ = sort(x, a)
    here = (slice(None),) * a
    low, high, last = (ordered_[(*here, slice(k, k + 1))] for k in ((size - 1) // 2, size // 2, size - 1))
    middle = where(equal(last, last), (low + high) / 2, last)
    return middle if keepdims else squeeze(middle, a)


@also_named()
def topk(x: Like, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k greatest elements along `axis` (the least where not `largest`), the greatest first, and their positions.

    Of equal elements the first come first. Raises ShapeError where k is no count, or the axis is shorter.
    """
    x = as_tensor(x)
    a = normalize_axis("topk", axis, x)
    count, size = as_index(k), x.shape[a]
    if count is None or count < 0 or not isinstance(size, int) or count > size:
        raise ShapeError(
            f"topk: axis {a} of {show(x.shape)} must have a size known while compiling, and k be a number up to it, "
            f"not {k!r}\n  at {user_location()}"
        )
    positions = _positions(x, a, count, largest)
    return apply("take_along", (x, positions), axis=a), positions


def _positions(x: Tensor, a: int, count: Dim, descending: bool) -> Tensor:
    """The positions of the first `count` elements in order along an axis."""
    size = x.shape[a]
    if isinstance(size, int) and size > LONG and not inside_step():
        order = ordered(x, a, size, partial(_goes_first, descending=descending))
        return order[(*(slice(None),) * a, slice(0, count))]
    rank = expand_dims(_rank(x, a, descending), a)
    place = iota(size, dtypes.INT32).reshape(1, size, *(1,) * (x.rank - a - 1))
    wanted = iota(count, dtypes.INT32).reshape(count, 1, *(1,) * (x.rank - a - 1))
    return apply("sum", (where(equal(rank, wanted), place, 0),), axes=(a + 1,))


def _rank(x: Tensor, a: int, descending: bool) -> Tensor:
    """How many elements along the axis come before each one, int32: of those that stand before it all that are not
    beyond it, of the others those that are on this side."""
    this, other = expand_dims(x, a + 1), expand_dims(x, a)
    size, trail = x.shape[a], (1,) * (x.rank - a - 1)
    earlier = iota(size, dtypes.INT32).reshape(1, size, *trail) < iota(size, dtypes.INT32).reshape(size, 1, *trail)
    this_first, other_first = _less(this, other), _less(other, this)
    if descending:
        this_first, other_first = other_first, this_first
    return apply("sum", (where(earlier, ~this_first, other_first).astype(dtypes.INT32),), axes=(a + 1,))


def _goes_first(x: Tensor, y: Tensor, descending: bool) -> Tensor:
    return _less(y, x) if descending else _less(x, y)


def _less(x: Tensor, y: Tensor) -> Tensor:
    """x < y, with NaN greater than every number."""
    return ~(y <= x) & equal(x, x) if dtypes.is_float(x.dtype) else x < y
