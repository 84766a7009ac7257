"""The conditions of a contraction's sum: how many terms they leave, and which part of a packed contraction keeps them.

A condition that speaks of neither the rows nor the columns of tiles is the same for a whole task, so the sum itself
keeps it: its loops end where the condition does, and neither operand is copied there. The others are zeros in the copy
of a. Leans on `loops`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...loops import expressions as loops
from ...loops.expressions import Axis, Condition, Divides, Expr
from ...shapes import nominal

PLACES = 2
"""Of the axes around the sum that a condition which cuts it may speak of, at most: every one of them has tasks of its
own, so it should be the phases of a stride, not the taps of a window or the rows of an image."""


@dataclass(frozen=True)
class Kept:
    """Which conditions cut the loops of the sum, and which make zeros in the copy of a."""

    of_sum: tuple[Condition, ...] = ()
    of_a: tuple[Condition, ...] = ()


def kept(
    a: Expr, b: Expr, conditions: Sequence[Condition], rows: Sequence[Axis], lane: Axis, summed: Sequence[Axis]
) -> Kept | None:
    """Where a contraction keeps its conditions whose tiles have these rows, and columns along `lane`; None where
    neither its sum nor the copy of a can."""
    across = {lane, *rows}
    of_sum = tuple(c for c in conditions if not across & c.index.axes and _cuts(c, summed))
    of_a = tuple(c for c in conditions if c not in of_sum)
    if any(lane in c.index.axes for c in of_a) or not set(protecting(b, conditions)) <= set(of_sum):
        return None
    return Kept(of_sum, of_a)


def protecting(load: Expr, conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions without which a load would read outside of its buffer: those that bound an index of it, and where
    there is none, all that speak of what the index does."""
    buffer, index = load.data
    needed: list[Condition] = []
    for i, extent in zip(index, buffer.shape):
        if not i.within(extent):
            bounds = [c for c in conditions if isinstance(c, loops.Within) and c.index == i]
            needed += bounds or [c for c in conditions if c.index.axes & i.axes]
    return list(dict.fromkeys(needed))


def terms_left(summed: Iterable[Axis], conditions: Iterable[Condition]) -> float:
    """How many terms of a sum its conditions leave, on the average."""
    axes = set(summed)
    terms = float(math.prod(nominal(r.extent) for r in axes))
    for c in conditions:
        if isinstance(c, Divides):
            terms /= c.by
            continue
        taps = [(x, k) for x, k in c.index.terms if isinstance(x, Axis) and x in axes and isinstance(k, int) and k > 0]
        if len(taps) == 1 and len(c.index.terms) == 2 and any(isinstance(x, loops.Mod) for x, _ in c.index.terms):
            terms *= min(nominal(c.high) / (taps[0][1] * nominal(taps[0][0].extent)), 1.0)
    return terms


def _cuts(c: Condition, summed: Sequence[Axis]) -> bool:
    """Is the condition a bound of at most one loop of the sum, the same at all but a few places?"""
    inside = [x for x in summed if x in c.index.axes]
    if math.prod(nominal(x.extent) for x in c.index.axes if x not in inside) > PLACES:
        return False
    if not inside:
        return True
    if isinstance(c, Divides) or len(inside) > 1 or not c.index.affine_in(inside):
        return False
    return isinstance(c.index.coefficient(inside[0]), int)


__all__ = ["Kept", "kept", "protecting", "terms_left"]
