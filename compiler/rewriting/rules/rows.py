"""Reading and writing softmax's shape: a sum of exponentials along axes, spread over its rows again.

What is spread may have lost its reshape where the axes lead. Leans on `tensor`.
"""

from __future__ import annotations

from typing import Any

from ... import dtypes
from ...graph.ops.elementwise import exp, maximum, minimum
from ...graph.ops.movement import expand_dims
from ...graph.tensor import Tensor, apply, broadcast_to, full_value

Axes = tuple[int, ...]


def spread(row: Tensor, axes: Axes, like: Tensor) -> Tensor:
    """`row`, which lacks `axes`, repeated along them to the shape of `like`."""
    return broadcast_to(expand_dims(row, axes), like.shape)


def spread_row(node: Tensor, axes: Axes) -> Any:
    """The row (a tensor) that `node` repeats along `axes`, or None where it is something else."""
    if node.op.name != "broadcast_to":
        return None
    inner = node.inputs[0]
    kept = tuple(1 if i in axes else d for i, d in enumerate(node.shape))
    reduced = tuple(d for i, d in enumerate(node.shape) if i not in axes)
    if inner.shape == kept and inner.op.name == "reshape" and inner.inputs[0].shape == reduced:
        return inner.inputs[0]
    return inner if inner.shape == reduced and axes == tuple(range(len(axes))) else None


def exp_sum(row: Tensor) -> tuple[Tensor, Axes] | None:
    """(exp(x), axes) where `row` is its sum."""
    if row.op.name == "sum" and row.inputs[0].op.name == "exp":
        return row.inputs[0], row.attrs.axes
    return None


def spread_exp_sum(node: Tensor) -> tuple[Tensor, Tensor, Axes] | None:
    """(exp(x), its sum, axes) where `node` is that sum spread over its own rows."""
    if node.op.name != "broadcast_to":
        return None
    row: Tensor = node.inputs[0]
    row = row.inputs[0] if row.op.name == "reshape" else row
    found = exp_sum(row)
    if found is None or spread_row(node, found[1]) is not row or found[0].shape != node.shape:
        return None
    return found[0], row, found[1]


def is_softmax(node: Tensor) -> bool:
    """exp(x) / sum(exp(x)) along some axes."""
    found = spread_exp_sum(node.inputs[1]) if node.op.name == "div" else None
    return found is not None and found[0] is node.inputs[0]


def is_shifted(x: Tensor) -> bool:
    """x - max(x): stable already under exp."""
    if x.op.name != "sub":
        return False
    node = x.inputs[1]
    while node.op.kind == "movement" or node.op.name == "stop_gradient" or _kept_finite(node):
        node = node.inputs[0]
    result: bool = node.op.name == "max"
    return result


def finite(row: Tensor) -> Tensor:
    """`row` with infinities as the greatest finite numbers."""
    most = dtypes.largest(row.dtype)
    return minimum(maximum(row, -most), most)


def _kept_finite(node: Tensor) -> bool:
    if node.op.name not in ("minimum", "maximum"):
        return False
    number = full_value(node.inputs[1])
    return number is not None and abs(number) == dtypes.largest(node.dtype)


def has_elements(x: Tensor, axes: Axes) -> bool:
    """The maximum over `axes` exists."""
    return all(x.shape[a] != 0 for a in axes)


def softmax(x: Tensor, axes: Axes) -> Tensor:
    """exp(x) / sum(exp(x)), shifted by the maximum unless it is already. The shift is kept finite, so that an infinite
    x makes NaN of its own place alone, as in the quotient."""
    e = exp(x if is_shifted(x) else x - spread(finite(apply("max", (x,), axes=axes)), axes, x))
    return e / spread(apply("sum", (e,), axes=axes), axes, x)
