"""What a register tile's operands cost to fetch: cycles per step from the caches and from memory.

Counted from the bytes that a step needs, and from how much of what is read again stays in which cache. `tiling` ranks
tiles by it. Leans on `loops`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .loops import Axis, Index

L1, L2, L3 = 24 << 10, 768 << 10, 12 << 20
"""Bytes of the caches that a tile's operands can count on."""
FROM_L2, FROM_L3, FROM_MEMORY = 24.0, 10.0, 2.0
"""Bytes per cycle and core."""
PAGE, LINE, WAYS = 4096, 64, 8
"""The first cache has as many sets as a page has lines, so addresses a page apart share a set of WAYS lines."""


@dataclass(frozen=True)
class Feed:
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


def overlapped(compute: float, fed: float) -> float:
    """Cycles of a step that computes and waits for memory at once, which it does not do perfectly."""
    return max(compute, fed) + 0.2 * min(compute, fed)


def line_of(place: Index, summed: Sequence[Axis], size: int) -> int:
    """The bytes fetched per row and step: an element where the innermost sum runs along memory, else a cache line."""
    return size if summed and place.coefficient(summed[-1]) == 1 else LINE
