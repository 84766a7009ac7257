"""Gradients of strided uses by phases: the result's places split by their remainder, so that no term of a sum is empty.

The gradient of a convolution of stride s sums `g[(h + pad - kh) / s]` over the window, where that is whole: at each
place h for one in s of the taps kh. Places of one remainder, a phase, use the same taps, so with `h = s*hq + hp` and
`kh = s*kq + kp`, where kp follows from hp, the sum over kq is an ordinary convolution of stride 1,
`g[hq - kq + constant of the phase]`. The phases are an outer axis of one kernel, and its stores interleave them. The
same algebra serves transposed convolutions and every other sum that is guarded by a divisibility. Leans on `loops`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..loops import expressions as loops
from ..loops.expressions import Axis, Divides, Expr, Index, Within
from ..loops.kernels import Kernel, Store
from ..shapes import Dim


@dataclass(frozen=True)
class _Split:
    """`axis` of the result in quotient and phase, `tap` of the sum in its quotient: `table` has their values. The
    condition `exact` goes, those in `left` take its place."""

    axis: Axis
    parts: tuple[Axis, ...]
    tap: Axis | None
    quotient: tuple[Axis, ...]
    table: Mapping[Axis, Index]
    exact: Divides
    left: tuple[loops.Condition, ...]


def by_phases(kernel: Kernel) -> Kernel:
    """The kernel with the places of its result split in phases wherever a sum of it is guarded by a divisibility.

    Places whose number the stride does not divide, and sums with several reasons to divide one place, stay as they are.
    """
    while True:
        found = _find(kernel)
        if found is None:
            return kernel
        reduction, split = found
        stores = tuple(
            Store(s.buffer, tuple(i.substitute(split.table) for i in s.index), _apply(s.value, reduction, split))
            for s in kernel.stores
        )
        axes = tuple(p for x in kernel.axes for p in (split.parts if x is split.axis else (x,)))
        kernel = Kernel(kernel.name, axes, stores, kernel.nodes, kernel.reasons, loop=kernel.loop)


def _find(kernel: Kernel) -> tuple[Expr, _Split] | None:
    """(a sum, how one of its divisibilities goes away)."""
    for e in kernel.expressions:
        if e.kind == "reduce" and e.data[0] == "sum" and e.args[0].kind == "guard":
            for c in e.args[0].data:
                split = _split(kernel, e.data[1], c) if isinstance(c, Divides) else None
                if split is not None:
                    return e, split
    return None


def _split(kernel: Kernel, summed: tuple[Axis, ...], c: Divides) -> _Split | None:
    """The split that makes `c` hold for all terms, or a condition on the phase alone where no tap is left to choose.

    Axes whose factor the stride divides say nothing about the remainder: where the stride's places are an axis already,
    they leave the condition, and bounds of what is divided become bounds of them.
    """
    by = c.by
    if not c.index.affine_in(c.index.axes):
        return None
    matter = [x for x in c.index.axes if not _multiple(c.index.coefficient(x), by)]
    places, taps = ([x for x in axes if x in matter] for axes in (kernel.axes, summed))
    if len(places) != 1 or len(taps) > 1 or len(matter) > 1 + len(taps):
        return None
    (place,), tap = places, (taps[0] if taps else None)
    factor, const = c.index.coefficient(place), c.index.const
    by_tap = c.index.coefficient(tap) if tap is not None else 0
    if not (isinstance(factor, int) and isinstance(const, int) and isinstance(by_tap, int)):
        return None
    if not isinstance(place.extent, int) or place.extent % by:
        return None
    phase, table = place, dict[Axis, Index]()
    parts: tuple[Axis, ...] = (place,)
    if place.extent > by:
        quotient, phase = Axis(place.extent // by, place.hint), Axis(by, place.hint)
        parts, table = (quotient, phase), {place: loops.at(quotient) * by + loops.at(phase)}
    if tap is None:
        left = Divides(loops.at(phase) * factor + const, by)
        if left == c:
            return None  # all that can be said of the phase
        return _Split(place, parts, None, (), table, c, (left,))
    if not isinstance(tap.extent, int) or math.gcd(by_tap, by) != 1:
        return None
    trips = math.ceil(tap.extent / by)
    new = (Axis(trips, tap.hint),) if trips > 1 else ()
    first = ((loops.at(phase) * factor + const) * (-pow(by_tap, -1, by) % by)) % by
    table[tap] = (loops.at(new[0]) * by if new else Index()) + first
    return _Split(place, parts, tap, new, table, c, (Within(table[tap], tap.extent),))


def _multiple(factor: Dim, by: int) -> bool:
    return isinstance(factor, int) and factor % by == 0


def _apply(root: Expr, reduction: Expr, split: _Split) -> Expr:
    """The value with the split's axes replaced, in `reduction` the taps as well."""

    def change(e: Expr) -> Expr:
        if e is not reduction:
            return e
        kind, axes = e.data
        body = e.args[0]
        conditions = [_divided(c, split.exact) for c in body.data if c != split.exact]
        inner = loops.guard([*split.left, *conditions], *body.args)
        kept = [x for a in axes for x in (split.quotient if a is split.tap else (a,))]
        return loops.reduction(kind, kept, inner, e.dtype)

    return loops.substitute(loops.transform(root, change), split.table)


def _divided(c: loops.Condition, exact: Divides) -> loops.Condition:
    """A bound of what divides exactly, as a bound of the quotient."""
    if isinstance(c, Within) and c.index == exact.index and isinstance(c.low, int):
        high = c.high + (exact.by - 1)
        if isinstance(high, int):
            return Within(c.index // exact.by, high // exact.by, -(-c.low // exact.by))
    return c


__all__ = ["by_phases"]
