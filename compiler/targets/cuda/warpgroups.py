"""Products on Hopper's tensor cores, as data: four warps multiply from shared memory (`wgmma`, sm_90).

Neither operand of bfloat16 passes through registers. In tf32 both do, where they are rounded: one as its fragments are
loaded, from which `wgmma` multiplies, the other on its way to shared memory, where it has to lie along its terms. Lines
of 64 terms (or rows) of bfloat16, or of 32 terms of tf32, are 128 bytes, whose eight pieces of 16 bytes lie in the
order that the PTX ISA calls "128-byte swizzling": piece p of line l at p ^ (l % 8). An operand along its rows has boxes
of 64 rows, one after another. Leans on `tensor_cores`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

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

TF32_DEPTH = 32
TF32_TILES = tuple(
    TensorCoreTile(rows, columns, TF32_DEPTH, 16, wide, stages)
    for rows, columns, wide, stages in ((128, 128, 128, 3), (128, 64, 64, 3), (64, 128, 64, 3), (64, 64, 32, 4))
)
"""Each of two warpgroups, so that threads bring eight groups of rows at once, as many as the swizzling has lines."""
TF32_RATES = {(128, 128): 1.0, (128, 64): 0.75, (64, 128): 0.75, (64, 64): 0.5}
"""As above; not measured yet but by what passes through shared memory."""


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


@dataclass(frozen=True)
class RegisterWarpgroupTiled(TensorCoreTiled):
    """A block for every tile, multiplied by warpgroups of 64 rows each from registers, by columns in shared memory."""

    @property
    def runs(self) -> tuple[int, int]:
        return super().runs[0], 1

    def __str__(self) -> str:
        t = self.tile
        return (
            f"{self.precision} tensor cores by warpgroups, tile {t.rows}x{t.columns}x{t.depth}, {t.stages} stages, "
            f"a {self.a_panel} and b {self.b_panel}: {self.axes_text()}"
        )


def by_warpgroups(s: TensorCoreTiled) -> TensorCoreTiled:
    """The schedule for Hopper, where both operands are copied as words of bfloat16 by 16 bytes, and of products of
    float32 in tf32; else as it is."""
    panels = s.a_panel, s.b_panel
    _, m, n, k = s.sizes()
    if k < DEPTH // 2 or m < HIGH // 2 or n < HIGH // 2:
        return s
    if s.precision == "tf32":
        return _from_registers(s)
    if any(p.vector * p.itemsize != 16 or p.itemsize != 2 for p in panels):
        return s
    tile, flying = min(TILES, key=lambda each: _time(each[0], RATES, each[1], *s.sizes()))
    a, b = (replace(p, swizzled=True) for p in panels)
    fields = {**vars(s), "tile": tile, "a_panel": a, "b_panel": b}
    return WarpgroupTiled(**fields, flying=flying)


def _from_registers(s: TensorCoreTiled) -> RegisterWarpgroupTiled:
    tile = min(TF32_TILES, key=lambda t: _time(t, TF32_RATES, 0, *s.sizes()))
    panel = replace(s.b_panel, swizzled=True, rounded=True)
    return RegisterWarpgroupTiled(**{**vars(s), "tile": tile, "b_panel": panel})


def _time(
    t: TensorCoreTile, rates: Mapping[tuple[int, int], float], flying: int, points: int, m: int, n: int, k: int
) -> float:
    """How long the multiprocessor with the most blocks takes, in results by terms at the fastest rate."""
    blocks = points * math.ceil(m / t.rows) * math.ceil(n / t.columns)
    each = t.rows * t.columns * (k / rates[t.rows, t.columns] + START_AND_END / (1 if flying else 2))
    return math.ceil(blocks / MULTIPROCESSORS) * each
