"""From groups of nodes to kernels: every group's values as scalar expressions over loop axes.

A node inside the group is substituted into its readers; a node stored by another group is a load. Depth is
bounded by the size of a group, so the substitution may recurse. Leans on the op rows' `lower`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .. import dtypes
from ..graph.node import location, name_of
from ..graph.tensor import Tensor
from ..loops import expressions as loops
from ..loops.kernels import Buffer, Kernel, Store, points
from .fuse import KernelGroup
from .normalize import normalize


class _Lowering:
    """The values of one group's nodes at given indices."""

    def __init__(self, stored: Mapping[Any, Buffer], inside: set[Any]):
        self.stored, self.inside = stored, inside
        self.known: dict[tuple[Any, tuple[loops.Index, ...]], loops.Expr] = {}

    def value(self, node: Tensor, index: tuple[loops.Index, ...]) -> loops.Expr:
        key = (node, index)
        if key not in self.known:
            buffer = self.stored.get(node)
            if buffer is not None and node not in self.inside:
                self.known[key] = loops.load(buffer, index, node.dtype)
            else:
                assert node.op.lower is not None, f"{node!r} has neither a buffer nor a lowering"
                value = node.op.lower(node, index, lambda k, i: self.value(node.inputs[k], tuple(i)), loops.Axis)
                self.known[key] = loops.stem_from(value, node)
        return self.known[key]


def lower(
    groups: Sequence[KernelGroup],
    why: Mapping[Any, str],
    stored: Mapping[Any, Buffer],
    targets: Mapping[Any, list[Buffer]],
    names: dict[str, int],
) -> list[Kernel]:
    """One kernel per group. `why` each node is where it is; `stored`: where each stored node is read; `targets`: every
    buffer it is written to; `names`: how often a kernel's name is taken."""
    return [_kernel(group, why, stored, targets, names) for group in groups]


def _kernel(
    group: KernelGroup,
    why: Mapping[Any, str],
    stored: Mapping[Any, Buffer],
    targets: Mapping[Any, list[Buffer]],
    names: dict[str, int],
) -> Kernel:
    lowering = _Lowering(stored, {n for n in group.members if n.op.lower is not None})
    axes, index = points(group.shape)
    stores = []
    for node in group.members:
        if node.op.lower is None:
            value = loops.load(stored[node], index, node.dtype)
        else:
            value = lowering.value(node, index)
        stores += [Store(b, index, _unrounded(value, b)) for b in targets[node]]
    nodes = tuple(dict.fromkeys([*group.inlined, *group.members]))
    reasons = tuple(f"{n.op.name}: {why.get(n, '')}" for n in nodes)
    return normalize(Kernel(_name(group, names), axes, tuple(stores), nodes, reasons))


def _unrounded(value: loops.Expr, into: Buffer) -> loops.Expr:
    """The value without the rounding that storing does anyway."""
    twice = into.dtype == dtypes.BFLOAT16 and value.kind == "call" and value.data == "round_bfloat16"
    return value.args[0] if twice else value


def _name(group: KernelGroup, taken: dict[str, int]) -> str:
    """A readable, unique identifier from the layer and what is computed."""
    last = group.members[-1]
    scope = next((location(n).scope for n in (group.heavy, last) if n is not None and location(n).scope), "")
    what = [_role(group.heavy)] if group.heavy is not None else []
    if name_of(last):
        what.append(str(name_of(last)))
    elif last is not group.heavy:
        moving = [n for n in [last, *reversed(group.inlined)] if n.op.kind not in ("movement", "source")]
        what += [_role(n) for n in (moving or [last])[:1] if n is not group.heavy]
    text = re.sub(r"\W+", "_", "_".join(filter(None, [scope, *what]))).strip("_").lower() or "kernel"
    taken[text] = taken.get(text, 0) + 1
    return text if taken[text] == 1 else f"{text}_{taken[text]}"


def _role(node: Tensor) -> str:
    """What a node does: the name of its op, or what a pass that made it calls it."""
    return getattr(node.attrs, "role", node.op.name)
