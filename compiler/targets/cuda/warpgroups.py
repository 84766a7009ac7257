"""Products of bfloat16 on Hopper's tensor cores, as data: four warps multiply from shared memory (`wgmma`, sm_90).

Neither operand passes through registers. Lines of 64 terms (or rows) are 128 bytes, whose eight pieces of 16 bytes lie
in the order that the PTX ISA calls "128-byte swizzling": piece p of line l at p ^ (l % 8). An operand along its rows
has boxes of 64 rows, one after another. Leans on `tensor_cores`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ... import dtypes
from .contraction import MULTIPROCESSORS
from .tensor_cores import TensorCoreTile, TensorCoreTiled

WARPGROUP = 128
HIGH = 64
"""Rows that a warpgroup multiplies."""
DEPTH = 64
"""Terms of a stage: a line of 128 bytes."""
TILES = tuple(
    (TensorCoreTile(rows, columns, DEPTH, 16, columns, stages), flying)
    for rows, columns, stages, flying in (
        (128, 256, 4, 1),
        (256, 128, 4, 1),
        (128, 128, 3, 0),
        (128, 64, 3, 0),
        (64, 64, 4, 0),
    )
)
"""Tiles, and how many stages' products may be under way when the next are begun: one where a multiprocessor has room
for a single block, none where another block multiplies meanwhile."""

RATES = {(128, 256): 1.0, (256, 128): 0.95, (128, 128): 0.77, (128, 64): 0.6, (64, 64): 0.36}
"""How fast each multiplies, of the fastest, as an H100 measured it on a product of 8192 x 8192 x 8192."""
START_AND_END = 128
"""Terms in whose time a block begins and leaves its results, where no other block multiplies meanwhile."""


@dataclass(frozen=True)
class WarpgroupTiled(TensorCoreTiled):
    """A block for every tile, multiplied by warpgroups of 64 rows each."""

    flying: int = 0

    def __str__(self) -> str:
        t = self.tile
        return (
            f"{self.precision} tensor cores by warpgroups, tile {t.rows}x{t.columns}x{t.depth}, {t.stages} stages, "
            f"a {self.a_panel} and b {self.b_panel}: {self.axes_text()}"
        )


def by_warpgroups(s: TensorCoreTiled) -> TensorCoreTiled:
    """The schedule for Hopper, where both operands are copied as words of bfloat16 by 16 bytes; else as it is."""
    panels = s.a_panel, s.b_panel
    if s.precision != dtypes.BFLOAT16 or any(p.vector * p.itemsize != 16 or p.itemsize != 2 for p in panels):
        return s
    points, m, n, k = s.sizes()
    if k < DEPTH // 2 or m < HIGH // 2 or n < HIGH // 2:
        return s
    tile, flying = min(TILES, key=lambda each: _cost(each[0], each[1], points, m, n, k))
    a, b = (replace(p, swizzled=True) for p in panels)
    fields = {**vars(s), "tile": tile, "a_panel": a, "b_panel": b}
    return WarpgroupTiled(**fields, flying=flying)


def _cost(t: TensorCoreTile, flying: int, points: int, m: int, n: int, k: int) -> float:
    """How long the multiprocessor with the most blocks takes, in results by terms at the fastest rate."""
    blocks = points * math.ceil(m / t.rows) * math.ceil(n / t.columns)
    each = t.rows * t.columns * (k / RATES[t.rows, t.columns] + START_AND_END / (1 if flying else 2))
    return math.ceil(blocks / MULTIPROCESSORS) * each
