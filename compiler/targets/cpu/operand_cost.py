"""What a register tile's operands cost to fetch: cycles per step from the caches and from memory.

Counted from the bytes that a step needs, and from how much of what is read again stays in which cache. `tiling` ranks
tiles by it. Leans on `loops` and on what the target's instructions are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ... import dtypes
from ...loops.expressions import Axis, Expr, Index
from ...lowering.recompute import Memory
from ...shapes import nominal
from .machine import target

L1, L2, L3 = 24 << 10, 768 << 10, 12 << 20
"""Bytes of the caches that a tile's operands can count on."""
FROM_L2, FROM_L3, FROM_MEMORY = 24.0, 10.0, 2.0
"""Bytes per cycle and core."""
MEMORY = Memory(L2, L3, FROM_L2, FROM_L3, FROM_MEMORY)
VECTOR_LOAD, SPLAT = 0.9, 0.2
INTERLEAVE, TWO_WORDS = 1.0, 2.5
"""Cycles to put two vectors of 16-bit words together word by word, and to broadcast two words from apart."""
PAGE, LINE, WAYS = 4096, 64, 8
"""The first cache has as many sets as a page has lines, so addresses a page apart share a set of WAYS lines."""

STRIDED, PAGES = 14.0, 64
"""Cycles that a step to another page costs, and how many pages are at hand (the first TLB)."""


@dataclass(frozen=True)
class OperandFeed:
    """Cycles per step of a tile that its operands take from beyond the first cache.

    Rows are the inner loop over tiles: what a column of tiles shares stays near where it fits, else it is fetched for
    every tile. `depth` is the number of steps, `size` an element's bytes, `stride` the bytes from one row of a to the
    next, `line` what is fetched for a row at least; in `blocks`, nothing comes from beyond the second cache.
    """

    depth: float
    size: int
    stride: int
    line: int
    blocks: bool = False

    def of_a(self, rows: int, tiles: int) -> float:
        sets = PAGE // math.gcd(self.stride, PAGE)
        if self.line <= self.size and rows > WAYS * sets:
            return rows * LINE / FROM_L2  # the rows evict each other from the few sets that they share
        together = LINE if self.stride == self.size and self.line > self.size else 0
        return self._rate(
            max(rows * self.size, together) if together else rows * self.line, rows * tiles * self.size, 1
        )

    def of_b(self, width: int, tiles: int, reused: int) -> float:
        return self._rate(width * self.size, width * tiles * self.size, reused)

    def _rate(self, step: int, whole: int, reused: int) -> float:
        """`step` bytes in each step of a tile, `whole` in each step of all tiles side by side."""
        if self.depth * step <= L1 and (reused > 1 or self.depth * whole <= L1):
            return 0.0
        footprint = self.depth * (step if reused > 1 else whole)
        if self.blocks or footprint <= L2:
            return step / FROM_L2
        return step / (FROM_L3 if footprint <= L3 else FROM_MEMORY)


def walk(place: Index, summed: Sequence[Axis], size: int) -> float:
    """Cycles per step that are lost where the innermost sum walks down an operand's rows through more pages of memory
    than the processor has addresses of at hand."""
    if not summed:
        return 0.0
    strides = [abs(size * nominal(place.coefficient(x))) for x in summed]
    reach = max(stride * nominal(x.extent) for stride, x in zip(strides, summed))
    return STRIDED if strides[-1] > LINE and reach > PAGES * PAGE else 0.0


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
        return max((rows * vectors * target().pair_cycles + loads) / 2, 2.0)


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
    return size if summed and place.coefficient(summed[-1]) == 1 else LINE
