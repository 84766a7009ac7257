"""Sums that are known: deviations from a mean cancel, also where each is multiplied by a factor that repeats.

The gradient of a normalisation is full of them. A factor that repeats along a sum of anything else stays inside, since
the sum of the rest could overflow or underflow where the written order does not. Leans on `rows` for what repeats.
"""

from __future__ import annotations

from ...graph.tensor import Tensor, apply, full, full_value
from ...shapes import Dim, product
from ..rewrite import Any_, Rule, Table, op
from .rows import Axes, spread_row

x, y = Any_("x"), Any_("y")


def _sum(x: Tensor, axes: Axes) -> Tensor:
    return apply("sum", (x,), axes=axes)


def _twice(node: Tensor, x: Tensor) -> Tensor:
    total = _sum(x, node.attrs.axes)
    return total + total


def _known(x: Tensor, axes: Axes) -> Tensor | None:
    """The sum of `x` where it is known without adding up: of deviations from a mean, each times the same factor.

    It is 0, or NaN where the mean is not finite.
    """
    if x.op.name == "sub":
        mean = spread_row(x.inputs[1], axes)
        return None if mean is None or not _is_mean(mean, x.inputs[0], axes) else mean * full(mean.shape, 0, mean.dtype)
    if x.op.name == "mul":
        for one, other in (x.inputs, x.inputs[::-1]):
            row = spread_row(other, axes)
            total = _known(one, axes) if row is not None and one.op.name == "sub" else None
            if total is not None:
                result: Tensor | None = total * row
                return result
    return None


def _is_mean(mean: Tensor, x: Tensor, axes: Axes) -> bool:
    total = mean.inputs[0] if mean.op.name in ("div", "mul") else None
    summed = total is not None and total.op.name == "sum" and total.inputs[0] is x and total.attrs.axes == axes
    return summed and _is_count(mean, product(x.shape[a] for a in axes))


def _deviations(node: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    return _known(node.inputs[0], node.attrs.axes)


def _with_deviations(node: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    axes = node.attrs.axes
    for one, other in ((x, y), (y, x)):
        total = _known(other, axes)
        if total is not None:
            return _sum(one, axes) + total
    return None


def _is_count(mean: Tensor, count: Dim) -> bool:
    """Is the second operand of a mean the number of elements, or its reciprocal?"""
    by = mean.inputs[1]
    if mean.op.name == "mul":
        number = full_value(by)
        return isinstance(count, int) and number is not None and abs(number * count - 1) < 1e-6
    by = by.inputs[0] if by.op.name == "broadcast_to" else by
    return full_value(by) == count if by.op.name != "size" else bool(by.attrs.size == count)


TABLE = Table(
    "sums",
    [
        Rule("sum(repeated * (x - mean(x)))", op("sum", x * y, bind="node"), _deviations),
        Rule("sum(x + x)", op("sum", x + x, bind="node"), _twice),
        Rule("sum(x - mean(x))", op("sum", x - y, bind="node"), _deviations),
        Rule("sum(y + repeated * (x - mean(x)))", op("sum", x + y, bind="node"), _with_deviations),
    ],
)
