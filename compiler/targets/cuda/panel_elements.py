"""What the elements of an operand of tensor cores are: where they lie, under which conditions they exist, and along
which axes their terms go.

Conditions are told apart by when they are asked: those of a whole block once, those that only say where a block's terms
end by the counter of its terms, the others at each element. Leans on `panels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...loops import expressions as loops
from ...loops.expressions import Axis, Condition, Expr, Index, Within
from ...loops.kernels import address
from ...shapes import Dim, product
from .panels import SharedPanel, copied, parted


@dataclass(frozen=True)
class Elements:
    """`load` is None where elements are computed. `summed` are the axes of the terms as a thread counts them: one where
    the operand goes through several as through one, the pieces of a stage as the outermost where it is cut. `outer` is
    the outermost axis that `ends` speak of, each of whose places has `of_outer` terms of the first of `summed`."""

    load: Expr | None
    place: Index
    conditions: tuple[Condition, ...]
    of_block: tuple[Condition, ...]
    ends: tuple[Within, ...]
    summed: tuple[Axis, ...]
    outer: Axis
    of_outer: Dim = 1

    def parts(self, index: Index) -> tuple[Index, Index]:
        """A place or a condition's index as what rows contribute and what terms do."""
        found = parted(index, self.summed)
        assert found is not None
        return found


def elements(panel: SharedPanel, summed: tuple[Axis, ...], depth: int, pieces: bool) -> Elements:
    """The elements of a panel whose stages have `depth` terms; pieces: those of the innermost axis alone."""
    conditions, load = copied(panel.operand, summed) or ((), None)
    of_block = tuple(c for c in conditions if not c.index.axes & {*panel.axes, *summed})
    ends = tuple(c for c in conditions if isinstance(c, Within) and not pieces and _is_end(c, panel.axes, summed))
    others = tuple(c for c in conditions if c not in of_block and c not in ends)
    place = address(load) if load is not None else Index([])
    found = Elements(load, place, others, of_block, ends, summed, summed[0])
    if load is None:
        return found
    if pieces:
        return _cut(found, depth)
    free = not any(c.index.axes & set(summed) for c in others)
    return _joined(found) if free and _in_one(place, summed) else found


def _is_end(c: Within, rows: Sequence[Axis], summed: Sequence[Axis]) -> bool:
    """Does a condition only say where the outermost terms of this block end?"""
    outer, *others = summed
    apart = not c.index.axes & {*rows, *others} and c.index.affine_in([outer])
    return c.low == 0 and apart and c.index.coefficient(outer) == 1


def _in_one(place: Index, summed: Sequence[Axis]) -> bool:
    """Does a place go through these axes, the last one innermost, as through one?"""
    stride = place.coefficient(summed[-1])
    for x in reversed(summed):
        if place.coefficient(x) != stride:
            return False
        stride = stride * x.extent
    return len(summed) > 1 and place.affine_in(summed)


def _joined(found: Elements) -> Elements:
    """With the terms along one axis."""
    whole_sum = Axis(product(x.extent for x in found.summed), "k")
    moving = Index([(whole_sum, found.place.coefficient(found.summed[-1]))])
    fixed, _ = found.parts(found.place)
    place = Index([*fixed.terms, *moving.terms], fixed.const)
    return replace(found, place=place, summed=(whole_sum,), of_outer=product(x.extent for x in found.summed[1:]))


def _cut(found: Elements, depth: int) -> Elements:
    """With the innermost terms in pieces of a stage, which become the outermost axis."""
    last = found.summed[-1]
    assert isinstance(last.extent, int)
    piece, within = Axis(last.extent // depth, f"{last.hint}_piece"), Axis(depth, last.hint)
    table = {last: loops.at(piece) * depth + loops.at(within)}
    conditions = tuple(replace(c, index=c.index.substitute(table)) for c in found.conditions)
    summed = (piece, *found.summed[:-1], within)
    return replace(found, place=found.place.substitute(table), summed=summed, conditions=conditions)
