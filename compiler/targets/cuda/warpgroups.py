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

from ... import dtypes
from ...loops import expressions as loops
from ...loops.kernels import Kernel
from .contraction import MULTIPROCESSORS
from .panels import COPY, copied
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

RATES = {(128, 256): 2.28, (256, 128): 2.17, (128, 128): 1.75, (128, 64): 1.37, (64, 64): 1.05}
"""How fast a multiprocessor multiplies with each, in 10^12 results by terms a second, as an H100 measured it: on
products of 8192 x 8192 x 8192, the smallest on 3x3 convolutions of 256 channels."""
START = 64
"""Terms in whose time a block begins."""
BYTE = 66e-12
"""Seconds for each byte that a multiprocessor loads and stores for results, as ten products with others added to them
were measured."""
OVERLAP = 0.7
"""How much of the shorter of the two goes on beside the longer one where another block multiplies meanwhile."""
MANY = 64
"""A thread with more results than this has too few loads under way for them."""
SLOWER = 1.35

TF32_DEPTH = 32
TF32_TILES = tuple(
    TensorCoreTile(rows, columns, TF32_DEPTH, 16, wide, stages)
    for rows, columns, wide, stages in ((128, 128, 128, 3), (128, 64, 64, 3), (64, 128, 64, 3), (64, 64, 32, 4))
)
"""Each of two warpgroups, so that threads bring eight groups of rows at once, as many as the swizzling has lines."""
TF32_RATES = {(128, 128): 0.67, (128, 64): 0.46, (64, 128): 0.48, (64, 64): 0.35}
"""The same for tf32, on products of 4096 x 4096 x 4096."""


@dataclass(frozen=True)
class ByWarpgroups(TensorCoreTiled):
    """A block for every tile, multiplied by warpgroups of 64 rows each. flying: how many stages' products may be under
    way when the next are begun."""

    flying: int = 0

    def __str__(self) -> str:
        t = self.tile
        return (
            f"{self.precision} tensor cores by warpgroups, tile {t.rows}x{t.columns}x{t.depth}, {t.stages} stages, "
            f"a {self.a_panel} and b {self.b_panel}: {self.axes_text()}"
        )


@dataclass(frozen=True)
class WarpgroupTiled(ByWarpgroups):
    """From shared memory alone."""


@dataclass(frozen=True)
class RegisterWarpgroupTiled(ByWarpgroups):
    """From rows in registers and columns in shared memory."""

    @property
    def runs(self) -> tuple[int, int]:
        return super().runs[0], 1


def by_warpgroups(s: TensorCoreTiled, kernel: Kernel) -> TensorCoreTiled:
    """A kernel's schedule for Hopper, where both operands are copied as words of bfloat16 by 16 bytes, and of products
    of float32 in tf32; else as it is."""
    panels = s.a_panel, s.b_panel
    _, m, n, k = s.sizes()
    if k < DEPTH // 2 or m < HIGH // 2 or n < HIGH // 2:
        return s
    around = _bytes_around(s, kernel)
    if s.precision == "tf32":
        tile = min(TF32_TILES, key=lambda t: _time(t, TF32_RATES, 0, around, s.sizes()))
        if tile.blocks(*s.sizes()[:3]) < MULTIPROCESSORS // 2:
            return s  # smaller tiles of fewer warps keep more of the GPU busy
        b = replace(s.b_panel, swizzled=True, rounded=True)
        return _in_pieces(RegisterWarpgroupTiled(**{**vars(s), "tile": tile, "b_panel": b}))
    if any(p.nbytes != COPY or p.itemsize != 2 for p in panels):
        return s
    tile, flying = min(TILES, key=lambda each: _time(each[0], RATES, each[1], around, s.sizes()))
    a, b = (replace(p, swizzled=True) for p in panels)
    return _in_pieces(WarpgroupTiled(**{**vars(s), "tile": tile, "a_panel": a, "b_panel": b}, flying=flying))


def _in_pieces(s: TensorCoreTiled) -> TensorCoreTiled:
    """A window's terms in pieces of a stage, where these are whole, of elements in memory. Copies of tf32 go through
    the level-1 cache then; those of bfloat16, half as many bytes, were slower for it."""
    last = s.summed[-1].extent
    if len(s.summed) == 1 or not isinstance(last, int) or last % s.tile.depth:
        return s
    if not all(copied(p.operand, s.summed) for p in (s.a_panel, s.b_panel)):
        return s
    if s.precision == dtypes.BFLOAT16:
        return replace(s, pieces=last > s.tile.depth)
    return replace(s, pieces=True, a_panel=replace(s.a_panel, cached=s.a_panel.nbytes == COPY))


def _bytes_around(s: TensorCoreTiled, kernel: Kernel) -> int:
    """Bytes loaded and stored for each result: those of arrays that have as many elements as there are results."""
    inside = set(loops.loads([s.reduction]))
    results = {*s.rows, *s.columns}
    loaded = sum(dtypes.ITEMSIZE[e.data[0].dtype] for e in kernel.loads if e not in inside and results <= set(e.axes))
    return loaded + sum(dtypes.ITEMSIZE[x.buffer.dtype] for x in kernel.stores)


def _time(
    t: TensorCoreTile, rates: Mapping[tuple[int, int], float], flying: int, around: int, sizes: tuple[int, ...]
) -> float:
    """Seconds that the multiprocessor with the most blocks takes."""
    k = sizes[-1]
    results, term = t.rows * t.columns, 1e-12 / rates[t.rows, t.columns]
    multiplied = results * k * term
    moved = results * around * BYTE * (SLOWER if results > MANY * t.threads else 1)
    together = multiplied + moved - (0 if flying else OVERLAP * min(multiplied, moved))
    return math.ceil(t.blocks(*sizes[:3]) / MULTIPROCESSORS) * (results * START * term + together)
