"""Questions about the axes of a reduction: their order through memory, and which conditions become bounds of loops.

Leans on `loops`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Index
from ...shapes import nominal


def is_identity(kind: str, otherwise: Expr) -> bool:
    """Does reducing over `otherwise` change nothing?"""
    if otherwise.kind != "const":
        return False
    v = loops.const_value(otherwise)
    if kind in ("sum", "prod"):
        return bool(v == (0 if kind == "sum" else 1))
    if not dtypes.is_float(otherwise.dtype):
        return False
    return bool(v == (math.inf if kind == "min" else -math.inf))


def cuts_loop(c: loops.Condition, axes: Sequence[Axis]) -> bool:
    """Is the condition a bound (or a stride) for exactly one of the axes?"""
    inside = [a for a in axes if a in c.index.axes]
    if len(inside) != 1 or not c.index.affine_in(inside):
        return False
    k = c.index.coefficient(inside[0])
    return isinstance(k, int) and (abs(k) == 1 or isinstance(c, loops.Within))


def memory_order(axes: Sequence[Axis], body: Expr) -> tuple[Axis, ...]:
    """The axes with the longest steps through memory outermost."""
    steps = dict.fromkeys(axes, 0)
    for e in loops.loads([body]):
        buffer, index = e.data
        place = buffer.address(index)
        for a in axes:
            steps[a] = max(steps[a], nominal(place.coefficient(a)))
    return tuple(sorted(axes, key=lambda a: -steps[a]))


def flat(axes: Sequence[Axis]) -> Index:
    place = Index()
    for x in axes:
        place = place * x.extent + loops.at(x)
    return place
