"""Elements in other places: roll, tile, repeat, split, diagonals and triangles, axes moved, masks filled.

All are composed of movement, which kernels do as index arithmetic. Leans on the op families.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from .. import dtypes
from ..errors import ShapeError
from ..shapes import Dim, as_index, product, show
from .makers import whole_number
from .node import user_location
from .ops.elementwise import where
from .ops.movement import expand_dims, reshape, transpose
from .ops.reduce import sum_
from .ops.slicing import concat
from .ops.source import iota
from .synonyms import also_named
from .tensor import Like, Tensor, as_tensor, broadcast_to, checked_shape, normalize_axes, normalize_axis


def ravel(x: Like) -> Tensor:
    """All elements as a vector, in row-major order."""
    return reshape(x, (-1,))


def swapaxes(x: Like, axis1: int, axis2: int) -> Tensor:
    """`x` with two axes in each other's place; `torch.transpose(x, axis1, axis2)`."""
    x = as_tensor(x)
    a, b = (normalize_axis("swapaxes", axis, x) for axis in (axis1, axis2))
    return transpose(x, [b if i == a else a if i == b else i for i in range(x.rank)])


def moveaxis(x: Like, source: Any, destination: Any) -> Tensor:
    """`x` with the axes `source` at the places `destination`, the others in their order.

    Raises ShapeError for axes that x has not, that repeat, or where there are not as many of both.
    """
    x = as_tensor(x)
    places = [list(a) if isinstance(a, Iterable) else [a] for a in (source, destination)]
    for each in places:
        normalize_axes("moveaxis", each, x)
    old, new = ([normalize_axis("moveaxis", a, x) for a in each] for each in places)
    if len(old) != len(new):
        raise ShapeError(f"moveaxis: {source} and {destination} are not as many (at {user_location()})")
    rest = iter(i for i in range(x.rank) if i not in old)
    at = dict(zip(new, old))
    return transpose(x, [at[i] if i in at else next(rest) for i in range(x.rank)])


@also_named()
def roll(x: Like, shift: Any, axis: Any = None) -> Tensor:
    """`x` moved `shift` places along `axis`, what leaves at the end coming in at the front; without axis as a vector.

    Several shifts go with as many axes. Along an axis whose size is known at run time only, a run checks that it is no
    shorter than the shift. Raises ShapeError where the shifts do not fit the axes.
    """
    x = as_tensor(x)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    shifts = list(shift) if isinstance(shift, Iterable) else [shift]
    axes = list(axis) if isinstance(axis, Iterable) else [axis]
    if len(shifts) != len(axes) or any(as_index(s) is None for s in shifts):
        raise ShapeError(f"roll: shift {shift!r} must be an integer for each axis of {axis!r} (at {user_location()})")
    for s, a in zip(shifts, axes):
        x = _rolled(x, int(s), normalize_axis("roll", a, x))
    return x


def _rolled(x: Tensor, shift: int, axis: int) -> Tensor:
    size = x.shape[axis]
    if isinstance(size, int):
        shift = shift % size if size else 0
    if shift == 0:
        return x
    before = (slice(None),) * axis
    return concat([x[(*before, slice(-shift, None))], x[(*before, slice(None, -shift))]], axis)


def tile(x: Like, reps: Any) -> Tensor:
    """`x` written `reps` times after itself along each axis, the last if there are fewer; `torch.tile`."""
    x = as_tensor(x)
    times = checked_shape("tile", reps)
    rank = max(x.rank, len(times))
    sizes = (1,) * (rank - x.rank) + x.shape
    times = (1,) * (rank - len(times)) + times
    apart = reshape(x, [n for d in sizes for n in (1, d)])
    copies = broadcast_to(apart, [n for pair in zip(times, sizes) for n in pair])
    return reshape(copies, [product(pair) for pair in zip(times, sizes)])


@also_named()
def repeat(x: Like, repeats: Dim, axis: int | None = None) -> Tensor:
    """Every element `repeats` times in a row along `axis`, or of x as a vector; `torch.repeat_interleave`.

    A tensor method of PyTorch's called `repeat` is `tile` here. Raises ShapeError where `repeats` is no size.
    """
    x = as_tensor(x)
    if axis is None:
        return repeat(ravel(x), repeats, 0)
    a = normalize_axis("repeat", axis, x)
    (times,) = checked_shape("repeat", (repeats,))
    copies = broadcast_to(expand_dims(x, a + 1), (*x.shape[: a + 1], times, *x.shape[a + 1 :]))
    return reshape(copies, (*x.shape[:a], x.shape[a] * times, *x.shape[a + 1 :]))


@also_named("gives pieces of a size there; here split(x, parts, axis) takes their number, or where they begin")
def split(x: Like, parts: Any, axis: int = 0) -> list[Tensor]:
    """`parts` equal pieces along `axis`, or those that begin at the places given: `numpy.split`.

    `torch.split` takes the pieces' size where this takes their number; `chunk` cuts what is no multiple. Raises
    ShapeError where the pieces are not equal, or the axis has no size while compiling.
    """
    x = as_tensor(x)
    a, size = known_axis("split", axis, x)
    count = as_index(parts)
    if count is None:
        return _cut(x, [0, *(slice(None, stop).indices(size)[1] for stop in parts), size], a)
    if count < 1 or size % count:
        raise ShapeError(
            f"split: axis {a} of {show(x.shape)} has no {count} equal parts; give the places where parts begin, or use "
            f"kw.chunk\n  at {user_location()}"
        )
    return _cut(x, [i * (size // count) for i in range(count + 1)], a)


@also_named()
def chunk(x: Like, chunks: int, axis: int = 0) -> list[Tensor]:
    """At most `chunks` pieces along `axis`, equal but for a smaller last one: `torch.chunk`."""
    x = as_tensor(x)
    a, size = known_axis("chunk", axis, x)
    count = as_index(chunks)
    if count is None or count < 1:
        raise ShapeError(
            f"chunk: the number of pieces must be an integer of at least 1, not {chunks!r} (at {user_location()})"
        )
    length = max(-(-size // count), 1)
    return _cut(x, [*range(0, size, length), size] if size else [0, 0], a)


def known_axis(op: str, axis: int, x: Tensor, way_out: str = "slice it, as in x[:4]") -> tuple[int, int]:
    """(axis, its size). Raises ShapeError, with the way out, for a size known at run time only."""
    a = normalize_axis(op, axis, x)
    size = x.shape[a]
    if not isinstance(size, int):
        raise ShapeError(
            f"{op}: axis {a} of {show(x.shape)} has a size known at run time only; {way_out}\n  at {user_location()}"
        )
    return a, size


def _cut(x: Tensor, places: Sequence[int], axis: int) -> list[Tensor]:
    before = (slice(None),) * axis
    return [x[(*before, slice(start, stop))] for start, stop in pairwise(places)]


@also_named()
def diagonal(x: Like, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements (i, i + offset) of two axes, as the last axis of the result.

    Raises ShapeError where these axes are one, or have no sizes while compiling.
    """
    x = as_tensor(x)
    (a, rows), (b, columns) = known_axis("diagonal", axis1, x), known_axis("diagonal", axis2, x)
    if a == b:
        raise ShapeError(f"diagonal: the axes {axis1} and {axis2} of {show(x.shape)} are one (at {user_location()})")
    k = whole_number("diagonal", offset)
    first = k if k >= 0 else -k * columns
    count = max(0, min(rows, columns - k) if k >= 0 else min(rows + k, columns))
    flat = moveaxis(x, (a, b), (-2, -1))
    flat = reshape(flat, (*flat.shape[:-2], rows * columns))
    if not count:
        return flat[..., :0]
    return flat[..., first : first + (count - 1) * (columns + 1) + 1 : columns + 1]


@also_named()
def trace(x: Like, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of `diagonal`."""
    return sum_(diagonal(x, offset, axis1, axis2), -1)


def tril(x: Like, k: int = 0) -> Tensor:
    """`x` with zeros above the k-th diagonal of its last two axes. Raises ShapeError for a vector or a scalar."""
    return _triangle("tril", x, k)


def triu(x: Like, k: int = 0) -> Tensor:
    """`x` with zeros below the k-th diagonal of its last two axes. Raises ShapeError for a vector or a scalar."""
    return _triangle("triu", x, k)


def _triangle(op: str, x: Like, k: int) -> Tensor:
    x = as_tensor(x)
    if x.rank < 2:
        raise ShapeError(f"{op}: {show(x.shape)} has no two axes (at {user_location()})")
    rows, columns = x.shape[-2:]
    row = iota(rows, dtypes.INT64).reshape(rows, 1) + whole_number(op, k)
    column = iota(columns, dtypes.INT64)
    return where(row >= column if op == "tril" else row <= column, x, False if x.dtype == dtypes.BOOL else 0)


def outer(x: Like, y: Like) -> Tensor:
    """The products of every element of x, as a vector, with every one of y: (elements of x, elements of y)."""
    return expand_dims(ravel(x), 1) * ravel(y)


def masked_fill(x: Like, mask: Like, value: Like) -> Tensor:
    """`x` with `value` where the mask holds; all three broadcast. The mask is bool; the dtype is that of x."""
    x = as_tensor(x)
    return where(mask, value, x).astype(x.dtype)


def nonzero(x: Like) -> Tensor:
    """Raises ShapeError: how many places there are depends on the data, and shapes here do not. The error says what to
    write."""
    raise ShapeError(
        f"nonzero: {as_tensor(x).brief()} has as many places as its data says, and no shape depends on data. Keep the "
        "shape and choose by the mask: kw.where(mask, x, 0), kw.count_nonzero(x), kw.argmax(mask.astype('int32')) for "
        f"the first place, or take np.nonzero of what the program returns\n  at {user_location()}"
    )
