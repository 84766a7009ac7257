"""Axes that one walk through memory runs over in one go: where one ends, the next goes on.

Leans on `expressions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..shapes import Dim
from .expressions import Axis, Index


def steps(axis: Axis, places: Iterable[Index]) -> list[Dim]:
    """How far each address moves for one step along the axis."""
    return [place.coefficient(axis) for place in places]


def goes_on(outer: Sequence[Dim], inner: Sequence[Dim], axis: Axis) -> bool:
    """Is a step of the outer axis, in every address, as far as all of the inner `axis`? Both are given by `steps`."""
    return all(of_outer == of_inner * axis.extent for of_outer, of_inner in zip(outer, inner))


def bent(index: Index) -> set[Axis]:
    """The axes inside divisions, remainders and data, along which the index does not move in equal steps."""
    return {a for atom, _ in index.terms if not isinstance(atom, Axis) for a in Index([(atom, 1)]).axes}
