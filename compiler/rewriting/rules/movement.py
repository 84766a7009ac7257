"""Movement that cancels: transposes, reshapes, broadcasts, slices, pads and flips of each other. Leans on `rewrite`."""

from __future__ import annotations

from typing import Any

from ...graph.ops.movement import reshape, transpose
from ...graph.ops.registry import OPS
from ...graph.ops.slicing import flip
from ...graph.tensor import Tensor, apply, broadcast_to, full
from ...shapes import product
from ..rewrite import Any_, Number, Rule, Table, op

x, y = Any_("x"), Any_("y")


def _transposes(node: Tensor, inner: Tensor, x: Tensor) -> Tensor:
    return transpose(x, tuple(inner.attrs.axes[a] for a in node.attrs.axes))


def _transpose_is_reshape(node: Tensor, x: Tensor) -> Tensor | None:
    """A transpose that only moves axes of size 1."""
    moved = [a for a in node.attrs.axes if x.shape[a] != 1]
    return reshape(x, node.shape) if moved == sorted(moved) else None


def _slices(node: Tensor, inner: Tensor, x: Tensor) -> Tensor | None:
    a, b = node.attrs, inner.attrs
    starts = tuple(s + t * k for s, t, k in zip(b.starts, a.starts, b.steps))
    steps = tuple(s * t for s, t in zip(a.steps, b.steps))
    return apply("slice", (x,), starts=starts, sizes=a.sizes, steps=steps)


def _slice_of_all(node: Tensor, x: Tensor) -> Tensor | None:
    return x if node.shape == x.shape and all(s == 0 for s in node.attrs.starts) else None


def _slice_of_pad(node: Tensor, inner: Tensor, x: Tensor) -> Tensor | None:
    a, b = node.attrs, inner.attrs
    undone = a.starts == b.low and a.sizes == x.shape and all(t == k + 1 for t, k in zip(a.steps, b.interior))
    return x if undone else None


def _pad_of_nothing(node: Tensor, x: Tensor) -> Tensor | None:
    return x if node.shape == x.shape and all(v == 0 for v in node.attrs.low) else None


def _flips(node: Tensor, inner: Tensor, x: Tensor) -> Tensor:
    axes = tuple(sorted(set(node.attrs.axes) ^ set(inner.attrs.axes)))
    return flip(x, axes) if axes else x


def _broadcast_of_reshape(node: Tensor, inner: Tensor, x: Tensor) -> Tensor | None:
    """Leading axes of size 1 that broadcasting would put there itself."""
    lead = inner.rank - x.rank
    plain = lead > 0 and inner.shape == (1,) * lead + x.shape
    return apply("broadcast_to", (x,), shape=node.shape) if plain else None


def _sum_of_broadcast(node: Tensor, inner: Tensor, x: Tensor) -> Tensor | None:
    """Summing an axis that only repeats is a product with its length; other axes are summed as before."""
    lead = inner.rank - x.rank
    repeated = [a for a in node.attrs.axes if a < lead or (x.shape[a - lead] == 1 and inner.shape[a] != 1)]
    count = product(inner.shape[a] for a in repeated)
    if not repeated or not isinstance(count, int) or count == 0:
        return None
    left = [a for a in range(inner.rank) if a not in repeated]
    kept = tuple(d for i, d in enumerate(x.shape) if i + lead not in repeated)
    rest = broadcast_to(reshape(x, kept), tuple(inner.shape[a] for a in left))
    axes = tuple(i for i, a in enumerate(left) if a in node.attrs.axes)
    total = apply("sum", (rest,), axes=axes) if axes else rest
    return total * full(total.shape, count, node.dtype)


def _again(node: Tensor, inner: Tensor, x: Tensor) -> Tensor:
    left = [a for a in range(x.rank) if a not in inner.attrs.axes]
    axes = tuple(sorted([*inner.attrs.axes, *(left[a] for a in node.attrs.axes)]))
    return apply(node.op.name, (x,), axes=axes)


def _reduce_ones(node: Tensor, x: Tensor) -> Tensor | None:
    """Axes of size 1 need no reduction."""
    ones = [a for a in node.attrs.axes if x.shape[a] == 1]
    if not ones:
        return None
    rest = [a for a in node.attrs.axes if a not in ones]
    small = reshape(x, tuple(d for i, d in enumerate(x.shape) if i not in ones))
    axes = tuple(a - sum(o < a for o in ones) for a in rest)
    return apply(node.op.name, (small,), axes=axes) if axes else small


def _unary_of_reshape(node: Tensor, inner: Tensor, x: Tensor) -> Tensor:
    """Elementwise first, reshape after: so reshapes meet and cancel."""
    return reshape(apply(node.op.name, (x,), **dict(node.attrs.items())), node.shape)


def _number_of_reshape(node: Tensor, inner: Tensor, x: Tensor, c: Any) -> Tensor:
    number = next(i for i in node.inputs if i is not inner)
    moved = full(x.shape, c, number.dtype)
    inputs = (x, moved) if node.inputs[0] is inner else (moved, x)
    return reshape(apply(node.op.name, inputs), node.shape)


_REDUCE = [o.name for o in OPS.values() if o.associative]
_UNARY = [o.name for o in OPS.values() if o.pointwise and len(o.samples[0].shapes) == 1]
_BINARY = [o.name for o in OPS.values() if o.pointwise and len(o.samples[0].shapes) == 2]


def _both_reshaped(node: Tensor, left: Tensor, right: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    return reshape(apply(node.op.name, (x, y)), node.shape) if x.shape == y.shape else None


def _with_numbers() -> list[Rule]:
    c = Number("c")
    moved = op("reshape", x, bind="inner")
    rules = []
    for name in _BINARY:
        rules.append(Rule(f"{name} of reshape and number", op(name, moved, c, bind="node"), _number_of_reshape))
        if not OPS[name].commutative:
            rules.append(Rule(f"{name} of number and reshape", op(name, c, moved, bind="node"), _number_of_reshape))
        pair = op("reshape", x, bind="left"), op("reshape", y, bind="right")
        rules.append(Rule(f"{name} of reshapes", op(name, *pair, bind="node"), _both_reshaped))
    return rules


TABLE = Table(
    "movement",
    [
        Rule("transpose of transpose", op("transpose", op("transpose", x, bind="inner"), bind="node"), _transposes),
        Rule("transpose of size-1 axes", op("transpose", x, bind="node"), _transpose_is_reshape),
        Rule(
            "reshape of reshape", op("reshape", op("reshape", x), bind="node"), lambda node, x: reshape(x, node.shape)
        ),
        Rule("reshape to itself", op("reshape", x, bind="node"), lambda node, x: x if node.shape == x.shape else None),
        Rule(
            "broadcast of broadcast",
            op("broadcast_to", op("broadcast_to", x), bind="node"),
            lambda node, x: broadcast_to(x, node.shape),
        ),
        Rule(
            "broadcast to itself",
            op("broadcast_to", x, bind="node"),
            lambda node, x: x if node.shape == x.shape else None,
        ),
        Rule(
            "broadcast of leading 1s",
            op("broadcast_to", op("reshape", x, bind="inner"), bind="node"),
            _broadcast_of_reshape,
        ),
        Rule("slice of slice", op("slice", op("slice", x, bind="inner"), bind="node"), _slices),
        Rule("slice of all", op("slice", x, bind="node"), _slice_of_all),
        Rule("slice of pad", op("slice", op("pad", x, bind="inner"), bind="node"), _slice_of_pad),
        Rule("pad of nothing", op("pad", x, bind="node"), _pad_of_nothing),
        Rule("flip of flip", op("flip", op("flip", x, bind="inner"), bind="node"), _flips),
        Rule("sum of broadcast", op("sum", op("broadcast_to", x, bind="inner"), bind="node"), _sum_of_broadcast),
        *[Rule(f"{name} of {name}", op(name, op(name, x, bind="inner"), bind="node"), _again) for name in _REDUCE],
        *[Rule(f"{name} over size 1", op(name, x, bind="node"), _reduce_ones) for name in _REDUCE],
        *[
            Rule(f"{name} of reshape", op(name, op("reshape", x, bind="inner"), bind="node"), _unary_of_reshape)
            for name in _UNARY
        ],
        *_with_numbers(),
    ],
)
