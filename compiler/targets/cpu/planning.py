"""The schedule of a kernel under its buffers' present orders, and what it should cost.

A contraction gets the cheapest register tile (`tiling`), a map of small tiles its own schedule (`transforms`); the rest
gets loops, chunked or blocked as its addresses want.
Costs are in cycles of one core. Leans on `schedule` for the choices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...loops import expressions as loops
from ...loops.expressions import Axis, Dynamic, Expr, Index
from ...loops.kernels import Kernel, address
from ...shapes import nominal
from ..shared.summed_axes import cuts_loop
from .schedule import BLOCK, CHUNK, LONGEST_CHUNK, Blocked, Chunked, Plain, Schedule
from .tiling import FAR, NEAR, plan_tile, whole
from .winograd_maps import plan_transform

ENOUGH = 8
"""Shares of work from which on threads find enough to do."""


def plan_schedule(kernel: Kernel) -> tuple[Schedule, float]:
    """The schedule for a kernel under its buffers' present orders, and its cost in cycles."""
    tile = plan_tile(kernel)
    if tile is not None:
        return tile, tile.cost + _traffic(kernel) * 0.02
    transform = plan_transform(kernel)
    if transform is not None:
        return transform, transform.cost
    order = _loop_order(kernel)
    lane = _lane(kernel, order)
    cost = _plain_cost(kernel, order, lane)
    if lane is not None:
        return _chunked(kernel, tuple(x for x in order if x is not lane), lane), cost
    across = _crossing(kernel, order)
    if across is not None:
        return Blocked(tuple(x for x in order[:-1] if x is not across), order[-1], across), cost
    return Plain(order), cost


def _chunked(kernel: Kernel, order: tuple[Axis, ...], lane: Axis) -> Chunked:
    """Chunks as long as a row of memory where the loops around them are enough work to share; else short ones."""
    around = {x for e in kernel.expressions if e.kind == "reduce" and lane in e.axes for x in e.axes}
    shares = math.prod(nominal(x.extent) for x in order if x in around)
    if shares < ENOUGH or not isinstance(lane.extent, int):
        return Chunked(order, lane)
    whole_row = CHUNK << max(0, math.ceil(math.log2(max(lane.extent, 1) / CHUNK)))
    return Chunked(order, lane, min(whole_row, LONGEST_CHUNK))


def _crossing(kernel: Kernel, order: tuple[Axis, ...]) -> Axis | None:
    """The axis along which loads are contiguous where it is not the last of the store."""
    if len(order) < 2 or any(e.kind == "reduce" for e in kernel.expressions):
        return None
    for e in kernel.loads:
        place = address(e)
        if whole(place.coefficient(order[-1])) and place.coefficient(order[-1]) != 1:
            unit = [x for x in order[:-1] if place.coefficient(x) == 1]
            small = unit and nominal(unit[0].extent) * nominal(order[-1].extent) < BLOCK * BLOCK
            if unit and not small:
                return unit[0]
    return None


def _accesses(kernel: Kernel) -> list[tuple[Index, bool]]:
    """Every load's and store's address, and whether it stands inside a reduction."""
    inside: set[Expr] = set()
    for e in kernel.expressions:
        if e.kind == "reduce":
            inside.update(loops.postorder(e.args))
    found = [(address(e), e in inside) for e in kernel.loads]
    return found + [(s.buffer.address(s.index), False) for s in kernel.stores]


def _loop_order(kernel: Kernel) -> tuple[Axis, ...]:
    """Output axes by falling stride in the largest store."""
    store = kernel.stores[-1]
    place = store.buffer.address(store.index)
    return tuple(sorted(kernel.axes, key=lambda x: -nominal(place.coefficient(x))))


def _lane(kernel: Kernel, order: tuple[Axis, ...]) -> Axis | None:
    """The output axis to put inside the reductions: unit stride in what they load, when no summed axis is."""
    reductions = [e for e in kernel.expressions if e.kind == "reduce"]
    if not reductions or not order:
        return None
    red = {x for e in reductions for x in e.data[1]}
    score: dict[Axis, int] = {}
    for place, inside in _accesses(kernel):
        if inside:
            for x in place.axes:
                score[x] = score.get(x, 0) + (place.coefficient(x) == 1)
    along_red = max((score.get(x, 0) for x in red), default=0)
    uneven = _uneven(reductions)
    best = max(order, key=lambda x: -1 if x in uneven else score.get(x, 0))
    dependent = any(best in e.axes for e in reductions)
    return best if dependent and score.get(best, 0) > along_red and nominal(best.extent) >= 8 else None


def _uneven(reductions: Sequence[Expr]) -> set[Axis]:
    """Axes along which loops end at places read from data: side by side, their elements would take all trips."""
    ends = [c for e in reductions if e.args[0].kind == "guard" for c in e.args[0].data if cuts_loop(c, e.data[1])]
    atoms = [atom for c in ends for atom, _ in c.index.terms]
    return {x for atom in atoms if isinstance(atom, Dynamic) for x in atom.value.axes}


def _plain_cost(kernel: Kernel, order: Sequence[Axis], lane: Axis | None) -> float:
    fast = lane or (order[-1] if order else None)
    total = 0.0
    inner_red = {x for e in kernel.expressions if e.kind == "reduce" for x in e.data[1]}
    for place, inside in _accesses(kernel):
        points = math.prod(nominal(x.extent) for x in place.axes)
        along = place.coefficient(fast) if fast is not None else 0
        unit = along in (0, 1) or (inside and lane is None and any(place.coefficient(r) == 1 for r in inner_red))
        total += points * (NEAR if unit else FAR)
    macs = sum(_terms(e, order if lane is None else ()) for e in kernel.expressions if e.kind == "reduce")
    return total + macs * (0.3 if lane is not None else 1.0) + 50.0


def _terms(e: Expr, order: Sequence[Axis]) -> int:
    """How many terms the reduction e adds up in loops of this order: it stands in the innermost that it depends on."""
    inner = max((place for place, x in enumerate(order) if x in e.axes), default=-1)
    return math.prod(nominal(x.extent) for x in {*order[: inner + 1], *e.axes, *e.data[1]})


def _traffic(kernel: Kernel) -> float:
    return float(sum(math.prod(nominal(d) for d in b.shape) for b in [*kernel.reads(), *kernel.writes()]))
