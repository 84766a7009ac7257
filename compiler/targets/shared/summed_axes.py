"""Questions about the axes of reductions: their order through memory, which conditions become bounds of loops, and
which reductions one loop serves.

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


def shared_reductions(values: Sequence[Expr]) -> list[Expr]:
    """The reductions that depend on no other reduction's terms, those needed first first. Not those under guards,
    which may have no value where the guard does not hold."""
    reachable: set[Expr] = set()
    stack = list(values)
    while stack:
        e = stack.pop()
        if e not in reachable:
            reachable.add(e)
            stack += e.args[1:] if e.kind == "guard" else e.args
            stack += [a.value for i in loops.indices(e) for a, _ in i.terms if isinstance(a, loops.Dynamic)]
    found = [e for e in loops.postorder(values) if e.kind == "reduce" and e in reachable]
    terms = {x for e in found for x in e.data[1]}
    return [e for e in found if not e.axes & terms]


def in_one_loop(heads: Sequence[Expr]) -> list[list[Expr]]:
    """Shared reductions in order, those over the same axes together where none needs another."""
    found: list[list[Expr]] = []
    for e in heads:
        below = set(loops.postorder(e.args))
        last = found[-1] if found else []
        same = last and e.data[1] == last[0].data[1] and "argmax" not in (e.data[0], last[0].data[0])
        if same and below.isdisjoint(last):
            last.append(e)
        else:
            found.append([e])
    return found


def over_the_same(values: Sequence[Expr]) -> dict[Expr, tuple[Expr, ...]]:
    """For a reduction, those that one loop without conditions takes with it, itself among them: what they read at each
    of their terms is read once."""
    found: dict[Expr, tuple[Expr, ...]] = {}
    for together in in_one_loop(shared_reductions(values)):
        alike: dict[object, list[Expr]] = {}
        for e in together:
            if e.args[0].kind != "guard":
                alike.setdefault((e.data, e.axes, e.args[0].dtype), []).append(e)
        for group in alike.values():
            terms = set(group[0].data[1])
            read = [{x for x in loops.loads(e.args) if not x.axes.isdisjoint(terms)} for e in group]
            if len(group) > 1 and set.intersection(*read):
                found |= dict.fromkeys(group, tuple(group))
    return found
