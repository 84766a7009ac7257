"""Expressions as plain rows, from which they are made again: what `copy.deepcopy` and `pickle` do with tensors.

A variable's row holds its state, so that what is copied or pickled together shares its new variables, as it shared the
old ones. Updates that come with a value (`companions`) are a program's, not an expression's, and are not in the rows.
Nothing here recurses: a graph may be deeper than Python's stack. Leans on `tensor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .node import Location, location, name_of, set_location, set_name, toposort
from .tensor import Tensor, apply

Row = tuple[str, tuple[int, ...], dict[str, Any], Location, str | None]
"""Op, rows of its inputs, attributes, where the user wrote it, the user's name for it."""


def as_rows(wanted: Sequence[Tensor]) -> tuple[list[Row], list[int]]:
    """What the tensors need, inputs first, and which of the rows they are."""
    order = toposort(wanted)
    place = {node: i for i, node in enumerate(order)}
    rows = [
        (n.op.name, tuple(place[i] for i in n.inputs), dict(n.attrs.items()), location(n), name_of(n)) for n in order
    ]
    return rows, [place[x] for x in wanted]


def from_rows(rows: Sequence[Row], wanted: Sequence[int]) -> list[Tensor]:
    """The tensors that `as_rows` took apart, or their equals over new variables."""
    made: list[Tensor] = []
    for op, inputs, attrs, where, name in rows:
        node = apply(op, [made[i] for i in inputs], **attrs)
        set_location(node, where)
        if name is not None:
            set_name(node, name)
        made.append(node)
    return [made[i] for i in wanted]


def revived(rows: Sequence[Row]) -> Tensor:
    """The tensor of the last row."""
    return from_rows(rows, [len(rows) - 1])[0]
