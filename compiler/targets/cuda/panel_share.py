"""Which part of a stage each thread brings to shared memory: its lines, trip by trip, and what it remembers of them.

Leans on `panels` for how a stage lies, on `writer` for the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from .panels import SharedPanel
from .writer import CudaWriter


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


class Share:
    """A thread's part of each stage of the operand `name` ("a" or "b"), of `size` rows by `depth` terms: in each of
    `trips`, all `threads` together fill `at_once` lines."""

    def __init__(self, panel: SharedPanel, name: str, size: int, depth: int, threads: int) -> None:
        self.name = name
        self.vector = max(1, panel.vector)
        self.by_rows = panel.lines_of_terms  # a thread has terms of its own, and other rows in each trip
        self.each = panel.turned  # neighbouring rows that a thread brings, which go to as many lines
        fast, self.slow = (depth, size // self.each) if self.by_rows else (size, depth)
        self.across = fast if self.each > 1 else fast // self.vector  # threads along the fast side
        self.at_once = threads // self.across  # lines, or groups of them, that all threads fill together
        self.trips = -(-self.slow // self.at_once)

    @property
    def fast(self) -> str:
        """This thread's place within its lines."""
        return f"{self.name}_fast"

    def prepare(self, w: CudaWriter) -> None:
        """This thread's place within the lines that it fills, and the first of them."""
        if self.each > 1:  # neighbouring threads bring neighbouring rows
            w.line(f"{self.fast} = quotient(t, {self.at_once})")
            w.line(f"{self.line('')} = rest(t, {self.at_once})")
        else:
            w.line(f"{self.fast} = rest(t, {self.across}) * {self.vector}")
            w.line(f"{self.line('')} = quotient(t, {self.across})")

    @contextmanager
    def loop(self, w: CudaWriter, count: int) -> Iterator[str]:
        """A loop over as many trips, whose number is "f"; or once, for what all trips share, or the one there is."""
        with w.nest(f"for f in range({count}):") if count > 1 else nullcontext():
            yield "f" if count > 1 else ""

    def line(self, trip: str) -> str:
        """The line that a thread has in a trip."""
        return f"{self.name}_line{by_trip(trip, self.at_once)}"

    def row(self, trip: str) -> str:
        """The first of its rows in a trip."""
        return f"({self.line(trip)}) * {self.each}" if self.each > 1 else self.line(trip)

    def exists(self, trip: str) -> list[str]:
        """The condition of the last trip, where not all threads have a line."""
        return [f"{self.line(trip)} < {self.slow}"] if self.slow % self.at_once else []

    def existing(self, w: CudaWriter, trip: str) -> AbstractContextManager[Any]:
        """Where this thread has a line in a trip."""
        conditions = self.exists(trip)
        return w.nest(f"if {conditions[0]}:", conditional=True) if conditions else nullcontext()


def by_trip(trip: str, amount: int) -> str:
    """What a trip adds, as text; nothing where there is one."""
    return f" + {trip} * {amount}" if trip else ""
