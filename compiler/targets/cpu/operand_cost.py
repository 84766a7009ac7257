"""What a register tile's operands cost to fetch: cycles per step from the caches and from memory.

Counted from the bytes that a step needs, and from how much of what is read again stays in which cache. `tiling` ranks
tiles by it. Leans on `loops`, on `core` for what the caches are, and on what the target's instructions are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ... import dtypes
from ...loops.expressions import Axis, Expr, Index
from ...shapes import nominal
from .core import Core, core
from .machine import target

VECTOR_LOAD, SPLAT = 0.9, 0.2
INTERLEAVE, TWO_WORDS = 1.0, 2.5
"""Cycles to put two vectors of 16-bit words together word by word, and to broadcast two words from apart."""


@dataclass(frozen=True)
class OperandFeed:
    """Cycles per step of a tile that its operands take from beyond the first cache.

    Rows are the inner loop over tiles: what a column of tiles shares stays near where it fits, else it is fetched for
    every tile. `depth` is the number of steps, `size` an element's bytes, `stride` the bytes from one row of a to the
    next, `line` what is fetched for a row at least, all by `core`; in `blocks`, nothing comes from beyond the second
    cache.
    """

    depth: float
    size: int
    stride: int
    line: int
    core: Core
    blocks: bool = False

    def of_a(self, rows: int, tiles: int) -> float:
        on = self.core
        if self.line <= self.size and rows > on.held_lines(self.stride):
            return rows * on.line / on.from_l2  # the rows evict each other from the few sets that they share
        together = on.line if self.stride == self.size and self.line > self.size else 0
        return self._rate(
            max(rows * self.size, together) if together else rows * self.line, rows * tiles * self.size, 1
        )

    def of_b(self, width: int, tiles: int, reused: int) -> float:
        return self._rate(width * self.size, width * tiles * self.size, reused)

    def _rate(self, step: int, whole: int, reused: int) -> float:
        """`step` bytes in each step of a tile, `whole` in each step of all tiles side by side."""
        near = self.core.held_l1
        if self.depth * step <= near and (reused > 1 or self.depth * whole <= near):
            return 0.0
        footprint = self.depth * (step if reused > 1 else whole)
        return step / (self.core.from_l2 if self.blocks else self.core.rate(footprint))


def walk(place: Index, summed: Sequence[Axis], size: int, first: int | None = None) -> float:
    """Cycles per step that are lost where the innermost sum walks down an operand's rows through more pages of memory
    than the processor has addresses of at hand. first: how many places of the first axis it passes, if not all."""
    if not summed:
        return 0.0
    strides = [abs(size * nominal(place.coefficient(x))) for x in summed]
    trips = [nominal(x.extent) for x in summed]
    trips[0] = trips[0] if first is None else min(first, trips[0])
    reach = max(stride * count for stride, count in zip(strides, trips))
    on = core()
    return on.step if strides[-1] > on.line and reach > on.pages * on.page else 0.0


def evicted(place: Index, summed: Sequence[Axis], size: int, steps: float, held: float, again: int) -> float:
    """Cycles per step that are lost where an operand's rows lie apart, and the first cache does not keep what tiles one
    after the other read of them in so many steps, `held` bytes in each: because that is too much, or because the rows
    share a few of its sets. `again` bytes of each row then come from the second cache for every tile."""
    on = core()
    stride = abs(size * nominal(place.coefficient(summed[-1])))
    lost = steps > on.held_lines(stride) or steps * held > on.held_l1
    return again / on.apart if stride > on.line and lost else 0.0


def reading(load: Expr, elements: float = math.inf) -> float:
    """Cycles to read so many elements of an operand, or all, from where all of it fits."""
    buffer = load.data[0]
    size = dtypes.ITEMSIZE[buffer.dtype]
    held = float(size * math.prod(nominal(d) for d in buffer.shape))
    return min(size * elements, held) / core().rate(held)


def in_one_piece(place: Index, step: Axis, sides: Sequence[Axis | None], outer: Sequence[Axis]) -> bool:
    """Does what tiles along these sides read at the places of `step` lie in memory as one piece, place after place?"""
    row = place.coefficient(step)
    dense = any(place.coefficient(x) == 1 and x.extent == row for x in sides if x is not None)
    return dense and place.axes.isdisjoint(outer) and place.affine_in(place.axes)


@dataclass(frozen=True)
class Operands:
    """What of the operands' types decides a step's cycles. `size`: bytes of an element. `paired`: two steps are one
    instruction; for it a's two elements come in one load where the sum runs along a's memory (`dense`)."""

    size: int
    paired: bool
    dense: bool

    def cycles(self, rows: int, vectors: int) -> float:
        """Cycles of a step of so many rows by so many vectors, with all in the first cache."""
        if not self.paired:
            return max(rows * vectors + VECTOR_LOAD * vectors + SPLAT * rows, 4.0)
        loads = (2 * VECTOR_LOAD + INTERLEAVE) * vectors + (SPLAT if self.dense else TWO_WORDS) * rows
        return max((rows * vectors * core().pair + loads) / 2, 2.0)


def operands(a: Expr, b: Expr, place: Index, summed: Sequence[Axis]) -> Operands:
    """Of the loads a and b, where a tile reads a at `place`."""
    kinds = {a.data[0].dtype, b.data[0].dtype}
    size = max(dtypes.ITEMSIZE[kind] for kind in kinds)
    paired = kinds == {dtypes.BFLOAT16} and bool(summed) and target().pairs
    return Operands(size, paired, bool(summed) and place.coefficient(summed[-1]) == 1)


def overlapped(compute: float, fed: float) -> float:
    """Cycles of a step that computes and waits for memory at once, which it does not do perfectly."""
    return max(compute, fed) + 0.2 * min(compute, fed)


def line_of(place: Index, summed: Sequence[Axis], size: int) -> int:
    """The bytes fetched per row and step: an element where the innermost sum runs along memory, else a cache line."""
    return size if summed and place.coefficient(summed[-1]) == 1 else core().line
