"""Reading and adding at positions that are data: gather and scatter-add, each the other's gradient.

An index outside the axis reads zero and adds nothing in the loop form (never out of bounds), and the run raises an
error: before it starts where the index is an input, when it ends where it is computed. Leans on
`elementwise.check_range`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...errors import DTypeError, ShapeError
from ...loops import expressions as loops
from ...shapes import Dim, show
from ..node import user_location
from ..synonyms import also_named
from ..tensor import Like, Tensor, apply, as_tensor, checked_shape, normalize_axis
from .elementwise import check_range, equal
from .registry import Bad, Op, Sample, register
from .source import iota


def _infer_gather(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    x, at = inputs
    if at.dtype not in (dtypes.INT32, dtypes.INT64):
        raise DTypeError(f"positions must be int32 or int64, not {at.dtype}")
    if not 0 <= attrs.axis < x.rank:
        raise ShapeError(f"axis {attrs.axis} does not fit {show(x.shape)}")
    return x.shape[: attrs.axis] + at.shape + x.shape[attrs.axis + 1 :], x.dtype


def _gather_reference(node: Tensor, env: Any, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    a = node.attrs.axis
    size = x.shape[a]
    inside = (at >= 0) & (at < size)
    if not size:
        return np.zeros(x.shape[:a] + at.shape + x.shape[a + 1 :], x.dtype)
    picked = np.take(x, np.where(inside, at, 0), a)
    return np.where(inside.reshape(at.shape + (1,) * (x.ndim - a - 1)), picked, np.zeros((), x.dtype))


def _lower_gather(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    x, at = node.inputs
    a = node.attrs.axis
    position = read(1, tuple(index[a : a + at.rank]))
    place = loops.Index([(loops.Dynamic(position), 1)])
    value = read(0, (*index[:a], place, *index[a + at.rank :]))
    return loops.guard([loops.Within(place, x.shape[a])], value, loops.const(0, node.dtype))


def _gather_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    x, at = node.inputs
    return apply("scatter_add", (g, at), axis=node.attrs.axis, size=x.shape[node.attrs.axis]), None


register(
    Op(
        "gather",
        "index",
        _infer_gather,
        _gather_reference,
        _lower_gather,
        vjp=_gather_gradient,
        samples=(
            Sample(((3, 4), (5,)), {"axis": 0}, dtypes=(None, "int32")),
            Sample(((4, 3), (2, 3)), {"axis": 1}, dtypes=(None, "int32")),
            Sample(((3,), ()), {"axis": 0}, dtypes=(None, "int64")),
        ),
        bad=(Bad(((3, 4), (5,)), {"axis": 0}, dtypes=("float32", "float32"), says=("int32",)),),
    )
)


def _infer_scatter(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    x, at = inputs
    a = attrs.axis
    if x.shape[a : a + at.rank] != at.shape:
        raise ShapeError(f"values {show(x.shape)} do not fit positions {show(at.shape)} at axis {a}")
    return x.shape[:a] + (attrs.size,) + x.shape[a + at.rank :], x.dtype


def _scatter_reference(node: Tensor, env: Any, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    from .source import concrete

    a = node.attrs.axis
    out = np.zeros(concrete(node.shape, env), dtypes.computed(node.dtype))
    inside = (at >= 0) & (at < out.shape[a])
    np.add.at(out, (slice(None),) * a + (at[inside],), x[(slice(None),) * a + (inside,)])
    return out


def _lower_scatter(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    """Each place sums what is sent to it: no atomics, the same bits on any number of threads."""
    at = node.inputs[1]
    a = node.attrs.axis
    red = [axis(d) for d in at.shape]
    inner = tuple(loops.at(r) for r in red)
    hit = loops.call("eq", [read(1, inner), loops.index_value(index[a], at.dtype)], dtypes.BOOL)
    value = read(0, (*index[:a], *inner, *index[a + 1 :]))
    body = loops.call("where", [hit, value, loops.const(0, node.dtype)], node.dtype)
    return loops.reduction("sum", red, body, node.dtype)


register(
    Op(
        "scatter_add",
        "reduce",
        _infer_scatter,
        _scatter_reference,
        _lower_scatter,
        vjp=lambda n, g: (apply("gather", (g, n.inputs[1]), axis=n.attrs.axis), None),
        samples=(
            Sample(((5, 4), (5,)), {"axis": 0, "size": 3}, dtypes=(None, "int32")),
            Sample(((4, 6), (6,)), {"axis": 1, "size": 3}, dtypes=(None, "int32")),
        ),
        bad=(Bad(((5, 4), (3,)), {"axis": 0, "size": 3}, dtypes=("float32", "int32"), says=("(5, 4)", "(3,)")),),
        repeats=True,
        rounds=True,
    )
)


@also_named("stands for kw.take_along_axis(x, indices, axis) there; gather(x, positions, axis) is its index_select")
def gather(x: Tensor, positions: Tensor, axis: int = 0) -> Tensor:
    """`x` at integer positions along one axis (numpy.take). Positions must lie in [0, size)."""
    x, positions = as_tensor(x), as_tensor(positions)
    a = normalize_axis("gather", axis, x)
    if positions.dtype in (dtypes.INT32, dtypes.INT64):
        positions = check_range(positions, x.shape[a], "position")
    return apply("gather", (x, positions), axis=a)


@also_named()
def take(x: Like, indices: Like, axis: int | None = None) -> Tensor:
    """NumPy's `take`: the elements of `x`, flattened where axis is None, at integer positions in [0, size)."""
    x = as_tensor(x)
    return gather(x.reshape(-1), as_tensor(indices), 0) if axis is None else gather(x, as_tensor(indices), axis)


@also_named("stands for kw.add_along_axis(x, indices, values, axis) there")
def scatter_add(values: Tensor, positions: Tensor, size: Dim, axis: int = 0) -> Tensor:
    """Zeros of `size` along `axis`, with `values` added at the positions (repeated positions add up)."""
    values, positions = as_tensor(values), as_tensor(positions)
    a = normalize_axis("scatter_add", axis, values, values.rank - positions.rank + 1)
    (length,) = checked_shape("scatter_add", (size,))
    if positions.dtype in (dtypes.INT32, dtypes.INT64):
        positions = check_range(positions, length, "position")
    return apply("scatter_add", (values, positions), axis=a, size=length)


def one_hot(labels: Tensor, classes: int, dtype: str = dtypes.DEFAULT_FLOAT) -> Tensor:
    """1 at the label, 0 elsewhere: labels (...,) -> (..., classes). Labels must lie in [0, classes)."""
    labels = as_tensor(labels)
    if not dtypes.is_integer(labels.dtype):
        raise DTypeError(f"one_hot: labels must be integers, not {labels.dtype} (at {user_location()})")
    return hits(labels, classes).astype(dtype)


def hits(labels: Tensor, classes: int) -> Tensor:
    """Is this the label's class? (...,) -> (..., classes) of bool."""
    (classes,) = checked_shape("one_hot", (classes,))  # type: ignore[assignment]
    checked = check_range(labels, classes)
    if classes > np.iinfo(labels.dtype).max:  # the classes themselves would wrap around
        checked = checked.astype(dtypes.INT64)
    row = iota(classes, checked.dtype).reshape((1,) * labels.rank + (classes,))
    return equal(checked.reshape(*labels.shape, 1), row)
