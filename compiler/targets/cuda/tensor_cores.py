"""Contractions on tensor cores, as data: block and warp tiles, stages, and how each operand comes to shared memory.

A warp multiplies fragments by `mma.sync` (PTX ISA, "Matrix Fragments for mma.m16n8k8 / m16n8k16"): 16 rows by 8 columns
at a time, 8 terms in tf32 or 16 in bfloat16, sums in float32. Operands lie in shared memory as they do in memory, and
float32 is rounded when a fragment is made of it. Leans on `contraction` for the matrices, on `panels` for operands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ... import dtypes
from ...errors import CompileError
from ...loops.expressions import Axis, Expr
from .contraction import MULTIPROCESSORS, Product, step
from .panels import SharedPanel, narrow, panel

PRECISIONS = ("float32", "tf32", "bfloat16")
TERMS = {"tf32": 8, "bfloat16": 16}
"""Terms of one mma."""

FRAGMENT_ROWS, FRAGMENT_COLUMNS = 16, 8
CROWDED, MANY_CONDITIONS = 64, 3
"""Beside so many sums, a thread has registers for what two copies of either operand need, and not for four, unless that
is little; nor for two where each has so many conditions."""
SHALLOW = 16
"""Terms of a stage where registers are few: there, and where threads compute elements, which are in them meanwhile."""
ENOUGH_TERMS = 8192
"""Few tiles of sums longer than this leave the GPU idle: a block per element is better."""


def check_precision(precision: str) -> None:
    """Raises CompileError for a precision that is none."""
    if precision not in PRECISIONS:
        raise CompileError(f"compile: there is no precision {precision!r}; use one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True)
class TensorCoreTile:
    """A block's tile of `rows` x `columns` results, `depth` terms at a time with `stages` of them in shared memory;
    each warp has `high` x `wide` of it."""

    rows: int
    columns: int
    depth: int
    high: int
    wide: int
    stages: int

    @property
    def threads(self) -> int:
        return (self.rows // self.high) * (self.columns // self.wide) * 32

    @property
    def results_pitch(self) -> int:
        """Elements from one row of results to the next in shared memory: 8 more than there are columns, so that a warp
        writes fragments to 32 different banks."""
        return self.columns + 8

    def blocks(self, points: int, rows: int, columns: int) -> int:
        """Tiles of so many rows and columns at each point."""
        return points * math.ceil(rows / self.rows) * math.ceil(columns / self.columns)

    @property
    def sums(self) -> int:
        """Sums in a thread's registers."""
        return self.high * self.wide // 32


BLOCKS = tuple(
    TensorCoreTile(*each)
    for each in (
        (128, 128, 32, 64, 32, 3),
        (128, 64, 32, 32, 32, 3),
        (64, 128, 32, 32, 32, 3),
        (64, 64, 16, 32, 32, 4),
        (64, 32, 16, 32, 16, 4),
        (32, 64, 16, 16, 32, 4),
        (32, 32, 16, 16, 16, 4),
    )
)
"""Depths are those of operands in float32; twice as many terms of bfloat16 are copied in the same room."""


@dataclass(frozen=True)
class TensorCoreTiled(Product):
    """A block for every tile of rows and columns of every point of `batch`, on tensor cores in `precision`.

    pieces: the terms of the innermost summed axis go in pieces of a stage, and all others within a piece: the windows
    of a convolution, whose neighbours are then found in the level-1 cache."""

    tile: TensorCoreTile
    precision: str
    a_panel: SharedPanel
    b_panel: SharedPanel
    pieces: bool = False

    @property
    def rooms(self) -> tuple[int, int]:
        """Bytes of all stages of either operand."""
        t = self.tile
        return t.stages * self.a_panel.room(t.rows, t.depth), t.stages * self.b_panel.room(t.columns, t.depth)

    @property
    def runs(self) -> tuple[int, int]:
        """How many neighbouring rows (and columns) a lane has of either operand, one of each of as many fragments or
        halves of them, since it loads them at once: more than one where words of 4 bytes lie along rows."""
        return _run(self.a_panel, self.tile.high), _run(self.b_panel, self.tile.wide)

    @property
    def shared_bytes(self) -> int:
        """A block's shared memory: stages, and in their place results."""
        results = self.tile.rows * self.tile.results_pitch * dtypes.ITEMSIZE[dtypes.FLOAT32]
        return max(sum(self.rooms), results)

    def __str__(self) -> str:
        t = self.tile
        return (
            f"{self.precision} tensor cores, tile {t.rows}x{t.columns}x{t.depth}, {t.high}x{t.wide} per warp, "
            f"{t.stages} stages, a {self.a_panel} and b {self.b_panel}: {self.axes_text()}"
        )


def _plain(found: Product) -> bool:
    """Does a copy need no more than the place of its row and one counter of terms?"""
    return len(found.summed) == 1 and not any(map(_conditions, (found.a, found.b)))


def _conditions(e: Expr) -> int:
    return len(e.data) if e.kind == "guard" else 0


def _run(panel: SharedPanel, size: int) -> int:
    if panel.by_matrices or panel.packed:
        return 1
    return 4 if size % 32 == 0 else 2


def plan_tensor_cores(found: Product, precision: str) -> TensorCoreTiled | None:
    """The product on tensor cores; None for other dtypes, and where other forms are faster. What bfloat16 holds is
    multiplied as bfloat16 whatever the precision, since nothing is lost by it."""
    precision = dtypes.BFLOAT16 if narrow(found.a) and narrow(found.b) else precision
    if precision not in TERMS or found.reduction.dtype != dtypes.FLOAT32:
        return None
    points, m, n, k = found.sizes()
    if min(points, m, n, k) == 0 or m * n < FRAGMENT_ROWS * FRAGMENT_COLUMNS:
        return None
    few = max(map(_conditions, (found.a, found.b))) >= MANY_CONDITIONS
    fitting = [t for t in BLOCKS if not few or t.sums < CROWDED] or BLOCKS
    tile = min(fitting, key=lambda t: _cost(t, points, m, n))
    if k > ENOUGH_TERMS and BLOCKS[-1].blocks(points, m, n) < MULTIPROCESSORS // 2:
        return None
    summed, a, b = panels(found, precision)
    if tile.sums >= CROWDED and not _plain(found):
        tile = replace(tile, depth=SHALLOW, stages=4)
    if not (a.vector and b.vector):
        tile = replace(tile, depth=SHALLOW)
    elif a.itemsize == b.itemsize == 2:
        tile = replace(tile, depth=2 * tile.depth)
    return TensorCoreTiled(**vars(replace(found, summed=summed)), tile=tile, precision=precision, a_panel=a, b_panel=b)


def panels(found: Product, precision: str) -> tuple[tuple[Axis, ...], SharedPanel, SharedPanel]:
    """(order of the terms, first operand, second operand): the order of either operand's in memory, that in which both
    are copied by more bytes."""
    made: list[tuple[tuple[Axis, ...], SharedPanel, SharedPanel]] = []
    for first in (found.b, found.a):
        order = tuple(sorted(found.summed, key=lambda x, e=first: -step(e, x)))  # type: ignore[misc]
        a, b = (panel(e, axes, order, precision) for e, axes in ((found.a, found.rows), (found.b, found.columns)))
        made.append((order, a, b))
    return max(made, key=lambda each: sum(p.nbytes for p in each[1:]))


def _cost(t: TensorCoreTile, points: int, m: int, n: int) -> float:
    """Multiply-adds, padding included, by the loads from shared memory and from the level-2 cache that each needs, and
    by how much of the GPU stays idle."""
    down, along = t.high // FRAGMENT_ROWS, t.wide // FRAGMENT_COLUMNS
    fragments = (4 * down + 2 * along) / (down * along)
    copies = (t.rows + t.columns) / (t.rows * t.columns)
    blocks = t.blocks(points, m, n)
    return blocks * t.rows * t.columns * (1 + fragments / 4 + 16 * copies) * max(1.0, MULTIPROCESSORS / blocks)
