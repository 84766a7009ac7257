"""The terms of a stage as counters, one for each summed axis, that carry into the next as digits do: no stage divides.

Leans on `panel_elements` for the axes, on `panel_share` for the terms that a thread has.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...loops.expressions import Axis, Index
from ...shapes import product
from .contraction import whole
from .panel_elements import Elements
from .panel_share import Registers, Share, by_trip
from .writer import CudaWriter


class Terms:
    """The counters of an operand's terms, in stages of `depth`. `count` is how many trips have terms of their own: one
    where a thread has the same in each, or where a stage's are those of the innermost axis, a step apart."""

    def __init__(self, elements: Elements, share: Share, depth: int) -> None:
        self.elements, self.share, self.depth = elements, share, depth
        self.summed = elements.summed
        together = len(self.summed) == 1 or whole(self.summed[-1].extent, depth)
        self.count = 1 if share.by_rows or together else share.trips

    def prepare(self, w: CudaWriter) -> None:
        """A counter for each summed axis, of each trip's first term; how far a stage moves each; where they end."""
        name = self.share.name
        self.counters = [Registers(w, f"{name}_{x.hint}{i}", self.count) for i, x in enumerate(self.summed)]
        with self.share.loop(w, self.count) as trip:
            first = self.share.fast if self.share.by_rows else self.share.line(trip)  # of the first trip if of one
            begun = [c.at(trip) for c in self.counters]
            if self.summed[-1].extent == self.depth:  # a stage has terms of the innermost axis alone
                *outer, innermost = begun
                w.line(f"{innermost} = int32({first})")
                for each in outer:
                    w.line(f"{each} = int32(0)")
            else:
                self._digits(w, first, begun, wrap="int32({})")
        self.moves = [str(d) for d in digits(self.depth, self.summed)] if known(self.summed) else []
        if not self.moves:
            self.moves = [f"{name}_by{i}" for i in range(len(self.summed))]
            self._digits(w, str(self.depth), self.moves)
        self._prepare_end(w)

    def _prepare_end(self, w: CudaWriter) -> None:
        """Where the terms of this block end, as the outermost counter counts them."""
        found = self.elements
        self.end = w.names.size(self.summed[0].extent)
        if not found.ends:
            return
        limits = [w.names.size(found.outer.extent)]
        for c in found.ends:
            before = Index([(atom, n) for atom, n in c.index.terms if atom is not found.outer], c.index.const)
            limits.append(f"{w.names.size(c.high)} - ({w.index(before)})")
        text = f"max(0, min({', '.join(limits)}))"  # of a part past the last element, which has none
        each = w.names.size(found.of_outer)
        self.end = f"{self.share.name}_end"
        w.line(f"{self.end} = int32({text if each == '1' else f'{text} * {each}'})")

    def _digits(self, w: CudaWriter, flat: str, targets: Sequence[str], wrap: str = "{}") -> None:
        """Lines that take a number of terms apart, the outermost axis' part first of all."""
        for i in range(len(targets) - 1, 0, -1):
            extent = w.names.size(self.summed[i].extent)
            w.line(f"{targets[i]} = {wrap.format(f'rest({flat}, {extent})')}")
            over = w.fresh("over")
            w.line(f"{over} = quotient({flat}, {extent})")
            flat = over
        w.line(f"{targets[0]} = {wrap.format(flat)}")

    def bind(self, w: CudaWriter, trip: str) -> None:
        """Have the summed axes the values that a trip's terms have."""
        for x, counter in zip(self.summed, self.counters):
            w.bind(x, counter.at(trip))
        w.bind(self.summed[-1], self._innermost(trip))

    def _innermost(self, trip: str) -> str:
        """The innermost axis of a trip's terms; trips share a counter where a stage has terms of that axis alone."""
        counter = self.counters[-1].at(trip)
        shared = self.count == 1 and not self.share.by_rows
        return f"({counter}{by_trip(trip, self.share.at_once)})" if shared and trip else counter

    def valid(self, trip: str, ahead: bool) -> list[str]:
        """The condition under which a trip's terms are some of the sum's; `ahead`: also in a stage past the last."""
        first = self.counters[0].at(trip) if len(self.summed) > 1 else self._innermost(trip)
        ends = ahead or self.elements.ends or not whole(product(x.extent for x in self.summed), self.depth)
        return [f"within({first}, {self.end})"] if ends else []

    def move(self, w: CudaWriter, trip: str) -> None:
        """On to the terms of the next stage: an axis that ends goes on in the one outside it."""
        carries = False
        for i in range(len(self.summed) - 1, -1, -1):
            counter = self.counters[i].at(trip)
            if self.moves[i] != "0":
                self.counters[i].set(w, trip, f"{counter} + {self.moves[i]}")
            carries = i > 0 and (carries or self.moves[i] != "0")
            if carries:
                extent, outer = w.names.size(self.summed[i].extent), self.counters[i - 1]
                with w.nest(f"if {counter} >= {extent}:"):
                    self.counters[i].set(w, trip, f"{counter} - {extent}")
                    outer.set(w, trip, f"{outer.at(trip)} + 1")


def known(axes: Sequence[Axis]) -> bool:
    """Are all extents but the outermost numbers?"""
    return all(isinstance(x.extent, int) for x in axes[1:])


def digits(number: int, axes: Sequence[Axis]) -> list[int]:
    """A number of terms as so many of each axis, the outermost first."""
    found: list[int] = []
    for x in reversed(axes[1:]):
        assert isinstance(x.extent, int)
        number, rest = divmod(number, max(1, x.extent))
        found.append(rest)
    return [number, *reversed(found)]
