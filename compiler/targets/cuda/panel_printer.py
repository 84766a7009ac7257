"""An operand on its way to shared memory, printed: which elements a thread brings, and where it finds them.

A thread has the same rows in every stage; its terms move on by the depth of a stage. So places and conditions are taken
apart once: what its rows contribute stands in registers before the first stage, what the terms contribute is made of
counters, one for each summed axis, that carry into the next as digits do. No stage divides. Leans on `panels` for the
schedule, on `shared_memory` for what the source calls, on `writer` for expressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Condition, Divides, Index, Within
from ...loops.kernels import address
from ...shapes import Dim, product
from .panels import SharedPanel, copied, parted
from .tensor_cores import TensorCoreTiled
from .writer import LOADED, CudaWriter


class Registers:
    """Integers of 32 bits that a thread keeps, one for each of `count` trips: a name, or an array of them; or that of
    the first trip, to which each adds `step`."""

    def __init__(self, w: CudaWriter, name: str, count: int, step: str = "") -> None:
        self.name, self.count, self.step = name, count, step
        if count > 1:
            w.scratch.append(f"{name} = cuda.local.array({count}, int32)")

    def at(self, trip: str) -> str:
        if self.step and trip:
            return f"{self.name} + {trip} * {self.step}"
        return f"{self.name}[{trip}]" if self.count > 1 else self.name

    def set(self, w: CudaWriter, trip: str, value: str) -> None:
        w.line(f"{self.at(trip)} = int32({value})")


class Side:
    """One operand: its panel, and its names in the source ("a" with rows "m", "b" with columns "n")."""

    def __init__(self, schedule: TensorCoreTiled, panel: SharedPanel, name: str, side: str, size: int) -> None:
        self.panel, self.name, self.side, self.size = panel, name, side, size
        t = schedule.tile
        self.depth = t.depth
        self._find(schedule.summed, schedule.pieces)
        self.room = panel.room(size, t.depth)
        self.vector = max(1, panel.vector)
        self.by_rows = panel.lines_of_terms  # a thread has terms of its own, and other rows in each trip
        self.each = panel.turned  # neighbouring rows that a thread brings, which go to as many lines
        fast, self.slow = (t.depth, size // self.each) if self.by_rows else (size, t.depth)
        self.across = fast if self.each > 1 else fast // self.vector  # threads along the fast side
        self.at_once = t.threads // self.across  # lines, or groups of them, that all threads fill together
        self.trips = -(-self.slow // self.at_once)
        together = len(self.summed) == 1 or whole(self.summed[-1].extent, t.depth)
        self.rows, self.terms = (self.trips, 1) if self.by_rows else (1, 1 if together else self.trips)
        self.row_step, self.term_step = panel.steps(size, t.depth)

    def _find(self, summed: tuple[Axis, ...], pieces: bool) -> None:
        """What is loaded, where, and under which conditions; the terms, as one axis where it goes through them
        as through one, or in pieces."""
        found = copied(self.panel.operand, summed)
        self.load = found[1] if found else None
        self.summed = summed
        here = {*self.panel.axes, *summed}
        given = found[0] if found else ()
        self.of_block = [c for c in given if not c.index.axes & here]
        self.ends = [c for c in given if isinstance(c, Within) and not pieces and self._is_end(c)]
        self.conditions = [c for c in given if c not in self.of_block and c not in self.ends]
        self.outer, self.of_outer = summed[0], product(())  # the outermost terms, and how many terms each of them has
        if self.load is None:
            return
        self.place = address(self.load)
        if pieces:
            self._cut(summed)
        elif not any(c.index.axes & set(summed) for c in self.conditions) and _in_one(self.place, summed):
            whole_sum = Axis(product(x.extent for x in summed), "k")
            moving = Index([(whole_sum, self.place.coefficient(summed[-1]))])
            fixed, _ = _parts(self.place, summed)
            self.place, self.summed = Index([*fixed.terms, *moving.terms], fixed.const), (whole_sum,)
            self.of_outer = product(x.extent for x in summed[1:])

    def _is_end(self, c: Within) -> bool:
        """Does a condition only say where the outermost terms of this block end?"""
        outer, *others = self.summed
        apart = not c.index.axes & {*self.panel.axes, *others} and c.index.affine_in([outer])
        return c.low == 0 and apart and c.index.coefficient(outer) == 1

    def _cut(self, summed: tuple[Axis, ...]) -> None:
        """The innermost terms in pieces of a stage, which become the outermost axis."""
        last = summed[-1]
        assert isinstance(last.extent, int)
        piece, within = Axis(last.extent // self.depth, f"{last.hint}_piece"), Axis(self.depth, last.hint)
        table = {last: loops.at(piece) * self.depth + loops.at(within)}
        self.place, self.summed = self.place.substitute(table), (piece, *summed[:-1], within)
        self.conditions = [replace(c, index=c.index.substitute(table)) for c in self.conditions]

    # ------------------------------------------------------------ before the first stage
    def prepare(self, w: CudaWriter, count: str) -> None:
        """This thread's place within the lines that it fills, and what its rows and its first terms contribute."""
        name = self.name
        if self.each > 1:  # neighbouring threads bring neighbouring rows
            w.line(f"{name}_fast = quotient(t, {self.at_once})")
            w.line(f"{name}_line = rest(t, {self.at_once})")
        else:
            w.line(f"{name}_fast = rest(t, {self.across}) * {self.vector}")
            w.line(f"{name}_line = quotient(t, {self.across})")
        steps = (self.row_step, self.term_step) if self.by_rows else (self.term_step, self.row_step)
        place = self.panel.place(f"{name}_tile", f"{name}_line", f"{name}_fast", *steps)
        w.line(f"{name}_put = {place}")
        self._prepare_terms(w)
        self._prepare_end(w)
        self._prepare_rows(w, count)

    def _prepare_terms(self, w: CudaWriter) -> None:
        """A counter for each summed axis, of each trip's first term; and how far a stage moves each."""
        self.counters = [Registers(w, f"{self.name}_{x.hint}{i}", self.terms) for i, x in enumerate(self.summed)]
        with self._each(w, self.terms) as trip:
            first = f"{self.name}_fast" if self.by_rows else self._line(trip)  # of the first trip if of one
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
            self.moves = [f"{self.name}_by{i}" for i in range(len(self.summed))]
            self._digits(w, str(self.depth), self.moves)

    def _prepare_end(self, w: CudaWriter) -> None:
        """Where the terms of this block end, as the outermost counter counts them."""
        self.end = w.names.size(self.summed[0].extent)
        if not self.ends:
            return
        limits = [w.names.size(self.outer.extent)]
        for c in self.ends:
            before = Index([(atom, n) for atom, n in c.index.terms if atom is not self.outer], c.index.const)
            limits.append(f"{w.names.size(c.high)} - ({w.index(before)})")
        text = f"max(0, min({', '.join(limits)}))"  # of a part past the last element, which has none
        each = w.names.size(self.of_outer)
        self.end = f"{self.name}_end"
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

    def _prepare_rows(self, w: CudaWriter, count: str) -> None:
        """Rows past the last one are those of the last: what comes of them is never stored."""
        extent = product(x.extent for x in self.panel.axes)
        self.fixed: list[Registers | None] = []
        self.places: list[Registers] = []
        linear = self._linear(extent)
        self.rows = 1 if linear else self.rows
        with self._each(w, self.rows) as trip, w.bound(*self.panel.axes):
            row = f"{self.side}0 + {self._row(trip) if self.by_rows else f'{self.name}_fast'}"
            last = self.each if self.by_rows else self.vector
            w.line(
                f"{self.side} = {row}" if whole(extent, self.size) else f"{self.side} = min({row}, {count} - {last})"
            )
            w.decode(self.side, self.panel.axes, f"i{self.side}")
            if self.load is None:
                self._keep_axes(w, trip)
            else:
                self._keep_parts(w, trip, linear)
        if not self.panel.vector or self.panel.rounded:
            kind = dtypes.stored(self.panel.words) if self._as_it_lies() else "float32"
            w.scratch.append(f"{self.name}_x = cuda.local.array({self.trips * self.vector}, {kind})")
            self._load(w)

    def _linear(self, extent: Dim) -> bool:
        """Is what rows contribute to places and conditions the same step from trip to trip?"""
        if self.load is None or len(self.panel.axes) > 1 or not self.by_rows or not whole(extent, self.size):
            return False
        indices = [self.place, *(c.index for c in self.conditions)]
        return all(_parts(index, self.summed)[0].affine_in(self.panel.axes) for index in indices)

    def _keep_parts(self, w: CudaWriter, trip: str, linear: bool) -> None:
        """The rows' parts of the element's place and of each condition that speaks of them."""
        assert self.load is not None
        for i, index in enumerate([self.place, *(c.index for c in self.conditions)]):
            fixed, _ = _parts(index, self.summed)
            if not fixed.terms:
                self.fixed.append(None)
                continue
            step = fixed.coefficient(self.panel.axes[0]) * (self.at_once * self.each) if linear else 0
            text = w.names.size(step) if linear and self.trips > 1 else ""
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
        if not self.panel.vector or self.panel.rounded:
            self._fill_computed(w)
            return
        with self._each(w, self.trips) as trip, self._lines(w, trip):
            with self._bound(w, trip):
                self._copy(w, self._at(trip), trip)
            if self.terms > 1:
                self._move(w, trip)
        if self.terms == 1:
            self._move(w, "")

    def _fill_computed(self, w: CudaWriter) -> None:
        """What was loaded before goes to shared memory; what the next stage takes is on its way during the products."""
        with self._each(w, self.trips) as trip, self._lines(w, trip):
            self._leave(w, trip)
        self._load(w)

    def _leave(self, w: CudaWriter, trip: str) -> None:
        """The elements of a trip, from registers to shared memory."""
        registers = [self._register(trip, e) for e in range(self.vector)]
        if not self.panel.rounded:
            kind = "word" if self._as_it_lies() and self.panel.itemsize == 2 else self.panel.words
            w.line(f"store_shared_{kind}({self._at(trip)}, {registers[0]})")
            return
        rounded = [f"near_tf32({x})" for x in registers]
        if self.each > 1 or self.vector == 1:
            for e, x in enumerate(rounded):
                w.line(f"store_shared_float32({self._at(trip, e)}, {x})")
        else:
            w.line(f"store_shared_{self.vector}({self._at(trip)}, {', '.join(rounded)})")

    def _register(self, trip: str, e: int = 0) -> str:
        """Where element `e` of a trip waits."""
        return f"{self.name}_x[{self._place(trip)}{f' + {e}' if e else ''}]"

    def _place(self, trip: str) -> str:
        return f"{trip} * {self.vector}" if trip and self.vector > 1 else trip or "0"

    def _load(self, w: CudaWriter) -> None:
        """The elements of the stage that the counters are at, in registers; the counters move on."""
        with self._each(w, self.trips) as trip, self._bound(w, trip):
            conditions = [f"{self._line(trip)} < {self.slow}"] if self.slow % self.at_once else []
            valid = " and ".join(conditions + self._valid(w, trip, True)) or "True"
            self._element(w, valid, trip)
            if self.terms > 1:
                self._move(w, trip)
        if self.terms == 1:
            self._move(w, "")

    def _as_it_lies(self) -> bool:
        """Do elements go from memory to shared memory with nothing done to them in between?"""
        return self.load is not None and self.load.data[0].dtype == self.panel.words

    def _element(self, w: CudaWriter, valid: str, trip: str) -> None:
        """The elements of a trip in registers, where nothing waits for them yet, so that those of all trips are on
        their way together."""
        target = self._register(trip)
        if self.load is None:
            w.line(f"{target} = float32(0.0)")
            with w.nest(f"if {valid}:", *self.panel.axes, *self.summed, conditional=True):
                w.line(f"{target} = {w.value(self.panel.operand)}")
            return
        name, place = w.names.buffer(self.load.data[0]), self._sum(w, self.place, self.fixed[0], 0, trip)
        if self._as_it_lies():
            w.line(f"load_{self.vector}({self.name}_x, {self._place(trip)}, {name}, {place}, {valid})")
            return
        w.line(f"exists = {valid}")
        element = LOADED.get(self.load.data[0].dtype, "{}").format(f"{name}[where(exists, {place}, 0)]")
        w.line(f"{target} = where(exists, {element}, float32(0.0))")

    def _at(self, trip: str, e: int = 0) -> str:
        """The address of this thread's elements of a trip, in the stage that is filled; of its row `e`, if turned."""
        line = self.row_step if self.by_rows else self.term_step
        row = f" + {e * self.slow * line}" if e else ""
        return f"{self.name}_put + stage * {self.room}{_by(trip, line * self.at_once)}{row}"

    @contextmanager
    def _bound(self, w: CudaWriter, trip: str) -> Iterator[None]:
        """Where the axes have this trip's values."""
        with w.bound(*self.panel.axes, *self.summed):
            for x, counter in zip(self.summed, self.counters):
                w.bind(x, counter.at(trip))
            w.bind(self.summed[-1], self._innermost(trip))
            for x, place in zip(self.panel.axes, self.places):
                w.bind(x, place.at(trip))
            yield

    @contextmanager
    def _each(self, w: CudaWriter, count: int) -> Iterator[str]:
        """A loop over as many trips, whose number is "f"; or once, for what all trips share, or the one there is."""
        with w.nest(f"for f in range({count}):") if count > 1 else nullcontext():
            yield "f" if count > 1 else ""

    def _line(self, trip: str) -> str:
        """The line that a thread has in a trip."""
        return f"{self.name}_line{_by(trip, self.at_once)}"

    def _row(self, trip: str) -> str:
        """The first of its rows in a trip."""
        return f"({self._line(trip)}) * {self.each}" if self.each > 1 else self._line(trip)

    def _innermost(self, trip: str) -> str:
        """The innermost axis of a trip's terms; trips share a counter where a stage has terms of that axis alone."""
        counter = self.counters[-1].at(trip)
        shared = self.terms == 1 and not self.by_rows
        return f"({counter}{_by(trip, self.at_once)})" if shared and trip else counter

    def _lines(self, w: CudaWriter, trip: str) -> AbstractContextManager[Any]:
        """A condition for the last trip, where not all threads have a line."""
        if self.slow % self.at_once == 0:
            return nullcontext()
        return w.nest(f"if {self._line(trip)} < {self.slow}:", conditional=True)

    def _move(self, w: CudaWriter, trip: str) -> None:
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

    def _valid(self, w: CudaWriter, trip: str, ahead: bool = False) -> list[str]:
        """The conditions under which the element exists; `ahead`: also of a stage past the last."""
        first = self.counters[0].at(trip) if len(self.summed) > 1 else self._innermost(trip)
        ends = ahead or self.ends or not whole(product(x.extent for x in self.summed), self.depth)
        found = [f"within({first}, {self.end})"] if ends else []
        return found + [self._condition(w, c, fixed, trip) for c, fixed in zip(self.conditions, self.fixed[1:])]

    def _condition(self, w: CudaWriter, c: Condition, fixed: Registers | None, trip: str) -> str:
        if isinstance(c, Divides):
            return f"({self._sum(w, c.index, fixed, 0, trip)}) % {c.by} == 0"
        return f"within({self._sum(w, c.index, fixed, -c.low, trip)}, {w.names.size(c.high - c.low)})"

    def _sum(self, w: CudaWriter, index: Index, fixed: Registers | None, more: Dim, trip: str) -> str:
        """An index from its rows' part and its terms'."""
        rows, terms = _parts(index, self.summed)
        moving = Index(terms.terms, rows.const + more)
        if fixed is None:
            return w.index(moving)
        text = w.index(moving) if moving.terms or moving.const != 0 else ""
        return f"{fixed.at(trip)} + {text}" if text else fixed.at(trip)

    def _copy(self, w: CudaWriter, at: str, trip: str) -> None:
        assert self.load is not None
        buffer = self.load.data[0]
        valid = " and ".join(self._valid(w, trip)) or "True"
        index = self._sum(w, self.place, self.fixed[0], 0, trip)
        nbytes = self.vector * self.panel.itemsize
        how = "cached" if self.panel.cached else "async"
        w.line(f"copy_{how}_{nbytes}({at}, {w.names.buffer(buffer)}, {index}, {valid})")


def _by(trip: str, amount: int) -> str:
    return f" + {trip} * {amount}" if trip else ""


def _parts(index: Index, summed: Sequence[Axis]) -> tuple[Index, Index]:
    found = parted(index, summed)
    assert found is not None
    return found


def _in_one(place: Index, summed: Sequence[Axis]) -> bool:
    """Does a place go through these axes, the last one innermost, as through one?"""
    stride = place.coefficient(summed[-1])
    for x in reversed(summed):
        if place.coefficient(x) != stride:
            return False
        stride = stride * x.extent
    return len(summed) > 1 and place.affine_in(summed)


def whole(extent: Dim, size: int) -> bool:
    """Is an extent known to be so many whole tiles or stages?"""
    return isinstance(extent, int) and extent % size == 0


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
