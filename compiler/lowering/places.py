"""Where in the texts of kernels the values of nodes will stand, to bound what fusion puts into one kernel.

A value that is read at the same index twice is computed once, but `concat([y[:, -1:], y[:, :-1]])` reads y at two
indices, and what y is made of stands in the text twice. In a chain of such steps that doubles with each, so fusion
counts places instead of nodes. Leans on `graph`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..graph.tensor import Tensor

MAX_TEXT = 90
"""Operations in a kernel's text, counted once per place. Each may be one choice inside another, and Python takes 100
levels of indentation."""


class Place:
    """One index at which values are read in a group's kernel: its own point, or what movement makes of that."""

    __slots__ = ("_inside", "group")

    def __init__(self, group: Any):
        self.group = group
        self._inside: dict[tuple[Any, int], Place] = {}

    def through(self, reader: Tensor, operand: int) -> Place:
        """Where `reader`, which stands here, reads its operand; the same point where it reads point by point."""
        if reader.op.kind == "elementwise":
            return self
        return self._inside.setdefault((reader, operand), Place(self.group))


def places(node: Tensor, readers: Sequence[Tensor], known: Mapping[Any, Sequence[Place]]) -> list[Place]:
    """All places at which the readers read the node. known: the readers' own."""
    found: dict[Place, None] = {}
    for reader in readers:
        for operand, x in enumerate(reader.inputs):
            if x is node:
                found.update(dict.fromkeys(p.through(reader, operand) for p in known[reader]))
    return list(found)


def text_in(node: Tensor, at: Sequence[Place]) -> Counter[Any]:
    """How many operations the node adds to the text of each group, computed at all these places."""
    each = len(node.inputs) if node.op.joins else 1
    text: Counter[Any] = Counter()
    for place in at:
        text[place.group] += each
    return text
