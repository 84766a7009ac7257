"""Panels: what a row of tiles reads of one operand, copied into a small dense array with its padding as zeros.

A convolution's rows of pixels overlap, and its windows reach over the image's edge. Copied once per row of pixels, the
operand has no edges, its rows lie side by side and its sums run along memory, so that every tile of the row is a full
one; the copy is read `window size x filters / tile width` times. Leans on `loops`, and on `core`
for the caches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Index
from .core import core

MOST_ELEMENTS = 64 << 10
"""Elements of the greatest panel, as it lives on the stack; a quarter of the second cache at most."""

Form = tuple[tuple[Axis, int], ...]


@dataclass(frozen=True)
class Panel:
    """`value` at `axes` (outermost first; 0 where a condition fails) and the outer axes; an element that the tile
    reads lies at `place`, in terms of the tile's row and summed axes."""

    axes: tuple[Axis, ...]
    value: Expr
    conditions: tuple[loops.Condition, ...]
    place: Index

    @property
    def size(self) -> int:
        return math.prod(map(extent, self.axes))

    def pieces(self) -> tuple[list[tuple[Axis, Axis, int]], Expr]:
        """Loops that fill the panel, and the value in terms of their axes: (axis, axis of the panel that bounds it,
        places of this axis per place of that one). The last axes are joined where their values lie in one piece."""
        axes, value = list(self.axes), self.value
        bounded = {x for c in self.conditions for x in c.index.axes}
        of = {x: (x, 1) for x in axes}
        while len(axes) > 1 and of[axes[-1]][0] not in bounded:
            outer, inner = axes[-2:]
            place = value.data[0].address(value.data[1])
            if place.coefficient(outer) != place.coefficient(inner) * inner.extent:
                break
            joined = Axis(extent(outer) * extent(inner))
            table = {outer: loops.at(joined) // inner.extent, inner: loops.at(joined) % inner.extent}
            value = loops.substitute(value, table)
            of[joined] = (outer, extent(inner))
            axes[-2:] = [joined]
        return [(x, *of[x]) for x in axes], value


def make_panel(a: Expr, conditions: Sequence[loops.Condition], row: Axis, summed: Sequence[Axis]) -> Panel | None:
    """The panel of the load `a` under `conditions` for tiles with rows along `row`; None where there is none.

    Every index has to be a sum of outer axes and of one form, such as `2*w + kw`, over the row and summed axes, and
    forms must not share axes: each becomes an axis of the panel.
    """
    inner = {row, *summed}
    forms: dict[Form, None] = {}
    indices = [*a.data[1], *(c.index for c in conditions)]
    for index in indices:
        form = _form(index, inner)
        if form is None:
            return None
        if form:
            forms[form] = None
    axes = [x for form in forms for x, _ in form]
    if row not in axes or len(set(axes)) != len(axes):
        return None
    order = {x: i for i, x in enumerate(summed)}
    ordered = sorted(forms, key=lambda form: max(order.get(x, -1) for x, _ in form))
    table = {form: _axis_of(form) for form in ordered}
    if math.prod(extent(axis) for axis, _, _ in table.values()) > min(MOST_ELEMENTS, core().l2 // 16):
        return None

    def moved(index: Index) -> Index:
        form = _form(index, inner)
        if not form:
            return index
        axis, step, low = table[form]
        return Index([*((x, c) for x, c in index.terms if x not in inner), (axis, step)], index.const + low)

    value = loops.load(a.data[0], [moved(i) for i in a.data[1]], a.dtype)
    kept = tuple(loops.Within(moved(c.index), c.high, c.low) for c in conditions if isinstance(c, loops.Within))
    place, stride = Index(), 1
    for form in reversed(ordered):
        axis, step, low = table[form]
        place = place + Index([(x, c // step * stride) for x, c in form], -low // step * stride)
        stride *= extent(axis)
    return Panel(tuple(table[form][0] for form in ordered), value, kept, place)


def extent(x: Axis) -> int:
    """The extent of an axis of which it is known."""
    assert isinstance(x.extent, int)
    return x.extent


def _form(index: Index, inner: set[Axis]) -> Form | None:
    """The part of an index over the inner axes, in a canonical order; None where it is not affine with whole factors
    and known extents."""
    form = []
    for atom, c in index.terms:
        if isinstance(atom, Axis):
            if atom in inner:
                if not isinstance(c, int) or not isinstance(atom.extent, int):
                    return None
                form.append((atom, c))
        elif isinstance(atom, loops.Dynamic):
            if atom.value.axes & inner:
                return None
        elif atom.index.axes & inner:
            return None
    return tuple(sorted(form))


def _axis_of(form: Form) -> tuple[Axis, int, int]:
    """(an axis over the values of the form, the distance of neighbouring values, the least value)."""
    step = math.gcd(*(c for _, c in form))
    reach = sum(abs(c) // step * (extent(x) - 1) for x, c in form)
    low = sum(c * (extent(x) - 1) for x, c in form if c < 0)
    return Axis(reach + 1), step, low


__all__ = ["MOST_ELEMENTS", "Panel", "make_panel"]
