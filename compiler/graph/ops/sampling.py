"""Reading and adding at points of a grid that are data: pick and scatter-points, each the other's gradient.

Where `gather` has one list of positions along one axis, here every row of the leading axes has its own, along several
axes at once: pixels of each image at (row, column). A point outside the grid reads a given number and adds nothing.
The index of each axis stays apart, so that no address has to be divided. Leans on `loops` and the op table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...errors import DTypeError, ShapeError
from ...loops import expressions as loops
from ...shapes import Shape, show
from ..node import user_location
from ..tensor import Tensor, apply
from .registry import Bad, Op, Sample, register
from .source import concrete


def _check_points(points: Sequence[Tensor], lead: Shape) -> Shape:
    """The shape of the points after the leading axes."""
    for p in points:
        if p.dtype not in (dtypes.INT32, dtypes.INT64):
            raise DTypeError(f"positions must be int32 or int64, not {p.dtype}")
        if p.shape != points[0].shape or p.shape[: len(lead)] != lead:
            raise ShapeError(
                f"positions have one shape that begins with {show(lead)}, not "
                f"{' and '.join(show(q.shape) for q in points)}"
            )
    return points[0].shape[len(lead) :]


def _inside(points: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    result: np.ndarray = np.logical_and.reduce([(p >= 0) & (p < size) for p, size in zip(points, sizes)])
    return result


def _numpy_index(x: np.ndarray, points: Sequence[np.ndarray], lead: int) -> tuple[np.ndarray, ...]:
    """NumPy's index of the points: the leading axes counted, the others given (and kept inside)."""
    shape, rank = points[0].shape, points[0].ndim
    counted = [np.arange(shape[a]).reshape([-1 if b == a else 1 for b in range(rank)]) for a in range(lead)]
    return (*counted, *(np.clip(p, 0, max(n - 1, 0)) for p, n in zip(points, x.shape[lead:])))


def _infer_pick(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    x, *points = inputs
    if not dtypes.is_float(x.dtype):
        raise DTypeError(f"needs floats, not {x.dtype}")
    lead = x.rank - len(points)
    if not points or lead < 0:
        raise ShapeError(f"{len(points)} positions do not fit {show(x.shape)}")
    return x.shape[:lead] + _check_points(points, x.shape[:lead]), x.dtype


def _reference_pick(node: Tensor, env: Any, x: np.ndarray, *points: np.ndarray) -> np.ndarray:
    lead = x.ndim - len(points)
    fill = np.asarray(node.attrs.fill, x.dtype)
    if not all(x.shape[lead:]):
        return np.full(points[0].shape, fill)
    return np.where(_inside(points, x.shape[lead:]), x[_numpy_index(x, points, lead)], fill)


def _lower_pick(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    x = node.inputs[0]
    lead = x.rank - len(node.inputs) + 1
    places = [loops.Index([(loops.Dynamic(read(k, index)), 1)]) for k in range(1, len(node.inputs))]
    value = read(0, (*index[:lead], *places))
    inside = [loops.Within(place, size) for place, size in zip(places, x.shape[lead:])]
    return loops.guard(inside, value, loops.const(node.attrs.fill, node.dtype))


def _pick_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    x, *points = node.inputs
    lead = x.rank - len(points)
    return apply("scatter_points", (g, *points), sizes=x.shape[lead:], lead=lead), *(None for _ in points)


register(
    Op(
        "pick",
        "index",
        _infer_pick,
        _reference_pick,
        _lower_pick,
        vjp=_pick_gradient,
        samples=(
            Sample(((2, 3, 2), (2, 5), (2, 5)), {"fill": 0.5}, dtypes=(None, "int32", "int32"), high=4),
            Sample(((3, 4), (3, 2, 2)), {"fill": 0.0}, dtypes=(None, "int64"), high=5),
            Sample(((3, 2), (4,), (4,)), {"fill": -1.0}, dtypes=(None, "int32", "int32")),
        ),
        bad=(
            Bad(((3, 4), (3, 2)), {"fill": 0.0}, dtypes=("float32", "float32"), says=("int32",)),
            Bad(((3, 4), (2, 2)), {"fill": 0.0}, dtypes=("float32", "int32"), says=("(3,)", "(2, 2)")),
        ),
        rounds=True,
    )
)


def _infer_scatter(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    x, *points = inputs
    if not points or any(p.shape != x.shape for p in points) or len(points) != len(attrs.sizes):
        raise ShapeError(f"values {show(x.shape)} need {len(attrs.sizes)} positions of their shape")
    if not 0 <= attrs.lead <= x.rank:
        raise ShapeError(f"{attrs.lead} leading axes do not fit {show(x.shape)}")
    _check_points(points, x.shape[: attrs.lead])
    return x.shape[: attrs.lead] + tuple(attrs.sizes), x.dtype


def _reference_scatter(node: Tensor, env: Any, x: np.ndarray, *points: np.ndarray) -> np.ndarray:
    out = np.zeros(concrete(node.shape, env), dtypes.computed(node.dtype))
    lead = node.attrs.lead
    if out.size:
        inside = _inside(points, out.shape[lead:])
        np.add.at(out, _numpy_index(out, points, lead), np.where(inside, x, 0))
    return out


def _lower_scatter(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    """Each place sums what is sent to it from its own row: no atomics, the same bits on any number of threads."""
    lead = node.attrs.lead
    red = [axis(d) for d in node.inputs[0].shape[lead:]]
    inner = (*index[:lead], *map(loops.at, red))
    value = read(0, inner)
    for k, place in enumerate(index[lead:], 1):
        dtype = node.inputs[k].dtype
        hit = loops.call("eq", [read(k, inner), loops.index_value(place, dtype)], dtypes.BOOL)
        value = loops.call("where", [hit, value, loops.const(0, node.dtype)], node.dtype)
    return loops.reduction("sum", red, value, node.dtype)


register(
    Op(
        "scatter_points",
        "reduce",
        _infer_scatter,
        _reference_scatter,
        _lower_scatter,
        vjp=lambda n, g: (apply("pick", (g, *n.inputs[1:]), fill=0.0), *(None for _ in n.inputs[1:])),
        samples=(
            Sample(((2, 5),) * 3, {"sizes": (3, 2), "lead": 1}, dtypes=(None, "int32", "int32"), high=4),
            Sample(((3, 2, 2),) * 2, {"sizes": (4,), "lead": 1}, dtypes=(None, "int64"), high=5),
        ),
        bad=(Bad(((5, 4), (5, 3)), {"sizes": (3,), "lead": 1}, ("float32", "int32"), says=("(5, 4)", "(5, 3)")),),
        repeats=True,
        rounds=True,
    )
)


def pick(x: Tensor, *points: Tensor, fill: float = 0.0) -> Tensor:
    """`x` at points given by one integer tensor per trailing axis; `fill` where a point lies outside.

    x: (*lead, *sizes) floats; each of the points: (*lead, *out), one per size. Result (*lead, *out). Differentiable in
    x. Raises ShapeError or DTypeError where they do not fit.
    """
    if not isinstance(fill, (int, float, np.integer, np.floating)):
        raise DTypeError(f"pick: fill is a number, not {fill!r} (at {user_location()})")
    return apply("pick", (x, *points), fill=float(fill))
