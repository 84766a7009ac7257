"""Reading and adding at positions of their own for every row: take_along and add_along, each the other's gradient.

As for `gather`, a position outside the axis reads zero and adds nothing in the loop form, and the run raises an error.
Leans on `elementwise.check_range`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...errors import DTypeError, ShapeError
from ...loops import expressions as loops
from ...shapes import Shape, show
from ..synonyms import also_named
from ..tensor import Like, Tensor, apply, as_tensor, broadcast_to, cast, normalize_axis
from .elementwise import check_range, equal, maximum, where
from .movement import expand_dims
from .registry import Bad, Op, Sample, register
from .source import iota


def _but(shape: Shape, axis: int) -> Shape:
    """The other sizes."""
    return shape[:axis] + shape[axis + 1 :]


def _check(x: Tensor, at: Tensor, axis: int) -> None:
    if at.dtype not in (dtypes.INT32, dtypes.INT64):
        raise DTypeError(f"positions must be int32 or int64, not {at.dtype}")
    if x.rank != at.rank or _but(x.shape, axis) != _but(at.shape, axis):
        raise ShapeError(f"positions {show(at.shape)} must have the sizes of {show(x.shape)} but along axis {axis}")


def _infer_take(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    x, at = inputs
    _check(x, at, attrs.axis)
    return at.shape, x.dtype


def _take_reference(node: Tensor, env: Any, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    size = x.shape[node.attrs.axis]
    if not size:
        return np.zeros(at.shape, x.dtype)
    inside = (at >= 0) & (at < size)
    picked = np.take_along_axis(x, np.where(inside, at, 0), node.attrs.axis)
    return np.where(inside, picked, np.zeros((), x.dtype))


def _lower_take(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    a = node.attrs.axis
    place = loops.Index([(loops.Dynamic(read(1, tuple(index))), 1)])
    value = read(0, (*index[:a], place, *index[a + 1 :]))
    return loops.guard([loops.Within(place, node.inputs[0].shape[a])], value, loops.const(0, node.dtype))


def _take_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    x, at = node.inputs
    return apply("add_along", (g, at), axis=node.attrs.axis, size=x.shape[node.attrs.axis]), None


register(
    Op(
        "take_along",
        "index",
        _infer_take,
        _take_reference,
        _lower_take,
        vjp=_take_gradient,
        samples=(
            Sample(((3, 4), (5, 4)), {"axis": 0}, dtypes=(None, "int32")),
            Sample(((2, 3, 4), (2, 3, 7)), {"axis": 2}, dtypes=(None, "int64")),
            Sample(((3, 1), (1, 1)), {"axis": 0}, dtypes=(None, "int32")),
            Sample(((2, 3), (2, 0)), {"axis": 1}, dtypes=(None, "int32")),
        ),
        bad=(
            Bad(((3, 4), (5, 4)), {"axis": 0}, dtypes=("float32", "float32"), says=("int32",)),
            Bad(((3, 4), (5, 3)), {"axis": 0}, dtypes=("float32", "int32"), says=("(3, 4)", "(5, 3)")),
        ),
    )
)


def _infer_add(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    x, at = inputs
    _check(x, at, attrs.axis)
    if x.shape != at.shape:
        raise ShapeError(f"values {show(x.shape)} and positions {show(at.shape)} must have one shape")
    return (*x.shape[: attrs.axis], attrs.size, *x.shape[attrs.axis + 1 :]), x.dtype


def _add_reference(node: Tensor, env: Any, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    from .source import concrete

    a = node.attrs.axis
    out = np.zeros(concrete(node.shape, env), dtypes.computed(node.dtype))
    places = [np.asarray(p) for p in np.indices(at.shape)]
    inside = (at >= 0) & (at < out.shape[a])
    places[a] = at
    np.add.at(out, tuple(p[inside] for p in places), x[inside])
    return out


def _lower_add(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    """Each place sums what is sent to it, as `scatter_add` does."""
    a, at = node.attrs.axis, node.inputs[1]
    source = axis(at.shape[a])
    place = (*index[:a], loops.at(source), *index[a + 1 :])
    hit = loops.call("eq", [read(1, place), loops.index_value(index[a], at.dtype)], dtypes.BOOL)
    body = loops.call("where", [hit, read(0, place), loops.const(0, node.dtype)], node.dtype)
    return loops.reduction("sum", [source], body, node.dtype)


register(
    Op(
        "add_along",
        "reduce",
        _infer_add,
        _add_reference,
        _lower_add,
        vjp=lambda n, g: (apply("take_along", (g, n.inputs[1]), axis=n.attrs.axis), None),
        samples=(
            Sample(((5, 4), (5, 4)), {"axis": 0, "size": 3}, dtypes=(None, "int32")),
            Sample(((2, 3, 7), (2, 3, 7)), {"axis": 2, "size": 4}, dtypes=(None, "int64")),
            Sample(((2, 0), (2, 0)), {"axis": 1, "size": 3}, dtypes=(None, "int32")),
        ),
        bad=(Bad(((5, 4), (3, 4)), {"axis": 0, "size": 3}, dtypes=("float32", "int32"), says=("(5, 4)", "(3, 4)")),),
        repeats=True,
        rounds=True,
    )
)


def _positions(op: str, x: Tensor, indices: Like, axis: int) -> tuple[Tensor, int]:
    a = normalize_axis(op, axis, x)
    at = as_tensor(indices)
    return (check_range(at, x.shape[a], "position") if at.dtype in (dtypes.INT32, dtypes.INT64) else at), a


@also_named()
def take_along_axis(x: Like, indices: Like, axis: int = -1) -> Tensor:
    """The elements of each row along `axis` at the row's own positions; `torch.gather(x, axis, indices)`.

    indices: int32 or int64, of x's sizes but along `axis`, each in [0, size); the result has their shape.
    Raises ShapeError or DTypeError where they do not fit, IndexLimitError in a run for a position outside.
    """
    x = as_tensor(x)
    at, a = _positions("take_along_axis", x, indices, axis)
    return apply("take_along", (x, at), axis=a)


@also_named()
def put_along_axis(x: Like, indices: Like, values: Like, axis: int = -1) -> Tensor:
    """`x` with values in place of each row's elements along `axis` at the row's own positions, of equal ones the last;
    PyTorch's `x.scatter(axis, indices, values)`. Shapes, dtypes and errors are those of `take_along_axis`.

    Every place looks for itself among the positions: suits some hundreds.
    """
    x = as_tensor(x)
    at, a = _positions("put_along_axis", x, indices, axis)
    values = broadcast_to(cast(values, x.dtype), at.shape)
    count, size = at.shape[a], x.shape[a]
    order = iota(count, dtypes.INT64).reshape(count, *(1,) * (x.rank - 1 - a))
    place = iota(size, dtypes.INT64).reshape(size, 1, *(1,) * (x.rank - 1 - a))
    last = where(equal(expand_dims(at, a), place), order, -1).max(a + 1)
    return where(last < 0, x, apply("take_along", (values, maximum(last, 0)), axis=a))


@also_named()
def add_along_axis(x: Like, indices: Like, values: Like, axis: int = -1) -> Tensor:
    """`x` with values added to each row along `axis` at the row's own positions, which add up where they repeat;
    PyTorch's `x.scatter_add(axis, indices, values)`. Shapes, dtypes and errors are those of `take_along_axis`."""
    x = as_tensor(x)
    at, a = _positions("add_along_axis", x, indices, axis)
    return x + apply("add_along", (cast(values, x.dtype), at), axis=a, size=x.shape[a])
