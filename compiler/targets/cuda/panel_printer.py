"""An operand on its way to shared memory, printed: which elements a thread brings, and how each gets there.

A thread has the same rows in every stage; its terms move on by the depth of a stage. So places and conditions are taken
apart once: what its rows contribute stands in registers before the first stage, what the terms contribute is made of
their counters. Leans on `panel_elements` for places and conditions, on `panel_share` and `panel_terms` for what of them
a thread has, on `shared_memory` for what the source calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ... import dtypes
from ...loops.expressions import Condition, Divides, Index
from ...shapes import Dim, product
from .contraction import whole
from .panel_elements import elements
from .panel_share import Registers, Share, by_trip
from .panel_terms import Terms
from .panels import SharedPanel
from .tensor_cores import TensorCoreTiled
from .writer import LOADED, CudaWriter


class Side:
    """One operand: its panel, and its names in the source ("a" with rows "m", "b" with columns "n")."""

    def __init__(self, schedule: TensorCoreTiled, panel: SharedPanel, name: str, side: str, size: int) -> None:
        self.panel, self.name, self.side, self.size = panel, name, side, size
        t = schedule.tile
        self.elements = elements(panel, schedule.summed, t.depth, schedule.pieces)
        self.share = Share(panel, name, size, t.depth, t.threads)
        self.terms = Terms(self.elements, self.share, t.depth)
        self.rows = self.share.trips if self.share.by_rows else 1  # trips with rows of their own
        self.room = panel.room(size, t.depth)
        self.row_step, self.term_step = panel.steps(size, t.depth)

    # ------------------------------------------------------------ before the first stage
    def prepare(self, w: CudaWriter, count: str) -> None:
        """This thread's place within the lines that it fills, and what its rows and its first terms contribute."""
        self.share.prepare(w)
        steps = (self.row_step, self.term_step) if self.share.by_rows else (self.term_step, self.row_step)
        place = self.panel.place(f"{self.name}_tile", self.share.line(""), self.share.fast, *steps)
        w.line(f"{self.name}_put = {place}")
        self.terms.prepare(w)
        self._prepare_rows(w, count)
        if self._by_registers():
            kind = dtypes.stored(self.panel.words) if self._as_it_lies() else "float32"
            w.scratch.append(f"{self.name}_x = cuda.local.array({self.share.trips * self.share.vector}, {kind})")
            self._load(w)

    def _prepare_rows(self, w: CudaWriter, count: str) -> None:
        """Rows past the last one are those of the last: what comes of them is never stored."""
        extent = product(x.extent for x in self.panel.axes)
        self.fixed: list[Registers | None] = []
        self.places: list[Registers] = []
        linear = self._linear(extent)
        self.rows = 1 if linear else self.rows
        with self.share.loop(w, self.rows) as trip, w.bound(*self.panel.axes):
            row = f"{self.side}0 + {self.share.row(trip) if self.share.by_rows else self.share.fast}"
            last = self.share.each if self.share.by_rows else self.share.vector
            held = row if whole(extent, self.size) else f"min({row}, {count} - {last})"
            w.line(f"{self.side} = {held}")
            w.decode(self.side, self.panel.axes, f"i{self.side}")
            if self.elements.load is None:
                self._keep_axes(w, trip)
            else:
                self._keep_parts(w, trip, linear)

    def _linear(self, extent: Dim) -> bool:
        """Is what rows contribute to places and conditions the same step from trip to trip?"""
        one = len(self.panel.axes) == 1 and self.share.by_rows and whole(extent, self.size)
        if self.elements.load is None or not one:
            return False
        return all(self.elements.parts(index)[0].affine_in(self.panel.axes) for index in self._indices())

    def _indices(self) -> list[Index]:
        """What rows contribute to: the element's place, and each condition."""
        return [self.elements.place, *(c.index for c in self.elements.conditions)]

    def _keep_parts(self, w: CudaWriter, trip: str, linear: bool) -> None:
        """The rows' parts of the element's place and of each condition that speaks of them."""
        for i, index in enumerate(self._indices()):
            fixed, _ = self.elements.parts(index)
            if not fixed.terms:
                self.fixed.append(None)
                continue
            step = fixed.coefficient(self.panel.axes[0]) * (self.share.at_once * self.share.each) if linear else 0
            text = w.names.size(step) if linear and self.share.trips > 1 else ""
            kept = Registers(w, f"{self.name}_from" if i == 0 else f"{self.name}_at{i}", self.rows, text)
            kept.set(w, trip, w.index(Index(fixed.terms)))
            self.fixed.append(kept)

    def _keep_axes(self, w: CudaWriter, trip: str) -> None:
        """The rows' coordinates, of which an operand that is computed may make anything."""
        for i, x in enumerate(self.panel.axes):
            kept = Registers(w, f"{self.name}_row{i}", self.rows)
            kept.set(w, trip, w.axis_names[x])
            self.places.append(kept)

    # ------------------------------------------------------------ each stage
    def fill(self, w: CudaWriter) -> None:
        """This thread's share of a stage, and its terms moved on to those of the next."""
        if self._by_registers():
            self._fill_from_registers(w)
            return
        with self._trips(w) as trip, self.share.existing(w, trip):
            with self._bound(w, trip):
                self._copy(w, trip)
            self._move(w, trip)

    def _by_registers(self) -> bool:
        """Do elements pass through registers, a stage ahead, on their way?"""
        return not self.panel.vector or self.panel.rounded

    def _as_it_lies(self) -> bool:
        """Do elements go from memory to shared memory with nothing done to them in between?"""
        load = self.elements.load
        return load is not None and bool(load.data[0].dtype == self.panel.words)

    @contextmanager
    def _trips(self, w: CudaWriter) -> Iterator[str]:
        """A loop over the trips, after which terms that they share move on."""
        with self.share.loop(w, self.share.trips) as trip:
            yield trip
        if self.terms.count == 1:
            self.terms.move(w, "")

    def _move(self, w: CudaWriter, trip: str) -> None:
        """The terms that a trip has for itself move on."""
        if self.terms.count > 1:
            self.terms.move(w, trip)

    @contextmanager
    def _bound(self, w: CudaWriter, trip: str) -> Iterator[None]:
        """Where the axes have this trip's values."""
        with w.bound(*self.panel.axes, *self.elements.summed):
            self.terms.bind(w, trip)
            for x, place in zip(self.panel.axes, self.places):
                w.bind(x, place.at(trip))
            yield

    def _at(self, trip: str, e: int = 0) -> str:
        """The address of this thread's elements of a trip, in the stage that is filled; of its row `e`, if turned."""
        line = self.row_step if self.share.by_rows else self.term_step
        row = f" + {e * self.share.slow * line}" if e else ""
        return f"{self.name}_put + stage * {self.room}{by_trip(trip, line * self.share.at_once)}{row}"

    # ------------------------------------------------------------ copies
    def _copy(self, w: CudaWriter, trip: str) -> None:
        load = self.elements.load
        assert load is not None
        valid = " and ".join(self._valid(w, trip)) or "True"
        how = "cached" if self.panel.cached else "async"
        place = self._place(w, trip)
        w.line(f"copy_{how}_{self.panel.nbytes}({self._at(trip)}, {w.names.buffer(load.data[0])}, {place}, {valid})")

    def _place(self, w: CudaWriter, trip: str) -> str:
        """Where the element lies."""
        return self._sum(w, self.elements.place, self.fixed[0], 0, trip)

    def _valid(self, w: CudaWriter, trip: str, ahead: bool = False) -> list[str]:
        """The conditions under which the element exists; `ahead`: also of a stage past the last."""
        pairs = zip(self.elements.conditions, self.fixed[1:])
        return self.terms.valid(trip, ahead) + [self._condition(w, c, fixed, trip) for c, fixed in pairs]

    def _condition(self, w: CudaWriter, c: Condition, fixed: Registers | None, trip: str) -> str:
        if isinstance(c, Divides):
            return f"({self._sum(w, c.index, fixed, 0, trip)}) % {c.by} == 0"
        return f"within({self._sum(w, c.index, fixed, -c.low, trip)}, {w.names.size(c.high - c.low)})"

    def _sum(self, w: CudaWriter, index: Index, fixed: Registers | None, more: Dim, trip: str) -> str:
        """An index from its rows' part and its terms'."""
        rows, terms = self.elements.parts(index)
        moving = Index(terms.terms, rows.const + more)
        if fixed is None:
            return w.index(moving)
        text = w.index(moving) if moving.terms or moving.const != 0 else ""
        return f"{fixed.at(trip)} + {text}" if text else fixed.at(trip)

    # ------------------------------------------------------------ through registers
    def _fill_from_registers(self, w: CudaWriter) -> None:
        """What was loaded before goes to shared memory; what the next stage takes is on its way during the products."""
        with self.share.loop(w, self.share.trips) as trip, self.share.existing(w, trip):
            self._leave(w, trip)
        self._load(w)

    def _leave(self, w: CudaWriter, trip: str) -> None:
        """The elements of a trip, from registers to shared memory."""
        registers = [self._register(trip, e) for e in range(self.share.vector)]
        if not self.panel.rounded:
            kind = "word" if self._as_it_lies() and self.panel.itemsize == 2 else self.panel.words
            w.line(f"store_shared_{kind}({self._at(trip)}, {registers[0]})")
            return
        rounded = [f"near_tf32({x})" for x in registers]
        if self.share.each > 1 or self.share.vector == 1:
            for e, x in enumerate(rounded):
                w.line(f"store_shared_float32({self._at(trip, e)}, {x})")
        else:
            w.line(f"store_shared_{self.share.vector}({self._at(trip)}, {', '.join(rounded)})")

    def _register(self, trip: str, e: int = 0) -> str:
        """Where element `e` of a trip waits."""
        return f"{self.name}_x[{self._first_register(trip)}{f' + {e}' if e else ''}]"

    def _first_register(self, trip: str) -> str:
        return f"{trip} * {self.share.vector}" if trip and self.share.vector > 1 else trip or "0"

    def _load(self, w: CudaWriter) -> None:
        """The elements of the stage that the counters are at, in registers; the counters move on."""
        with self._trips(w) as trip, self._bound(w, trip):
            valid = " and ".join(self.share.exists(trip) + self._valid(w, trip, True)) or "True"
            self._element(w, valid, trip)
            self._move(w, trip)

    def _element(self, w: CudaWriter, valid: str, trip: str) -> None:
        """The elements of a trip in registers, where nothing waits for them yet, so that those of all trips are on
        their way together."""
        target, load = self._register(trip), self.elements.load
        if load is None:
            w.line(f"{target} = float32(0.0)")
            with w.nest(f"if {valid}:", *self.panel.axes, *self.elements.summed, conditional=True):
                w.line(f"{target} = {w.value(self.panel.operand)}")
            return
        name, place = w.names.buffer(load.data[0]), self._place(w, trip)
        if self._as_it_lies():
            into = f"{self.name}_x, {self._first_register(trip)}"
            w.line(f"load_{self.share.vector}({into}, {name}, {place}, {valid})")
            return
        w.line(f"exists = {valid}")
        element = LOADED.get(load.data[0].dtype, "{}").format(f"{name}[where(exists, {place}, 0)]")
        w.line(f"{target} = where(exists, {element}, float32(0.0))")
