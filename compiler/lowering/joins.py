"""Joins of many arrays in parts: each is a choice among its arrays, and a kernel should not choose among thousands.

A tree of joins takes the place of one. Fusion then stores the lower ones where together they would be too large for a
kernel. Leans on `graph`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..graph.node import inherit_location, name_of, set_name, toposort
from ..graph.tensor import Tensor, apply
from ..rewriting.rewrite import Report, rebuild

MAX_PARTS = 24
"""Arrays that one join puts together: a kernel tests each in turn."""


def part_joins(wanted: Sequence[Tensor]) -> tuple[list[Tensor], Report]:
    """Equal tensors in which no join has more than `MAX_PARTS` parts."""
    report = Report()
    new: dict[Tensor, Tensor] = {}
    for node in toposort(wanted):
        made = rebuild(node, [new[x] for x in node.inputs])
        if node.op.joins and len(node.inputs) > MAX_PARTS:
            made = _tree(made)
            report.hits["a join in parts"] += 1
        if made is not node:
            inherit_location(made, node)
            name = name_of(node)
            if name is not None and name_of(made) is None:
                set_name(made, name)
        new[node] = made
    return [new[y] for y in wanted], report


def _tree(node: Tensor) -> Tensor:
    """The join of joins of as equal numbers of parts as can be."""
    attrs = dict(node.attrs.items())
    parts: list[Tensor] = list(node.inputs)
    while len(parts) > 1:
        count = -(-len(parts) // MAX_PARTS)
        ends = [len(parts) * i // count for i in range(count + 1)]
        runs = [parts[a:b] for a, b in pairwise(ends)]
        parts = [apply(node.op.name, run, **attrs) for run in runs]
        for part in parts:
            inherit_location(part, node)
    return parts[0]
