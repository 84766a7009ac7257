"""How a kernel runs, as small frozen values that can be printed and compared: loops, chunks, blocks, register tiles.

`planning` chooses one for a kernel, `tiling` the register tile of a contraction; `printer` prints them. Leans on
`loops`; the register tiles that are named here are in `llvm/tile_code.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Index
from ...loops.kernels import address
from .panel import Panel

CHUNK, LONGEST_CHUNK = 64, 1024
BLOCK = 32
SLOTS = 96


@dataclass(frozen=True)
class Plain:
    """Loops over the output axes, `order` from the outermost in; LLVM vectorises the innermost."""

    order: tuple[Axis, ...]

    def __str__(self) -> str:
        return f"loops {_names(self.order)}"


@dataclass(frozen=True)
class Chunked:
    """Lanes run along an output axis in chunks of `size`, inside the reductions: `acc[lane] += ...`."""

    order: tuple[Axis, ...]
    lane: Axis
    size: int = CHUNK

    def __str__(self) -> str:
        return f"loops {_names(self.order)}, lanes along {self.lane} in chunks of {self.size}"


@dataclass(frozen=True)
class Block:
    """A long sum in parts, so that what several tiles read in one part stays in the second cache: `size` places of
    `axis` at a time, for each place of the axes `outside`. Meanwhile SLOTS tiles keep their sums in memory."""

    outside: tuple[Axis, ...]
    axis: Axis
    size: int

    def __str__(self) -> str:
        return f"{SLOTS} tiles together over {self.size} of {self.axis}"


@dataclass(frozen=True)
class Packing:
    """Tasks of `down` tiles by `across`, whose operands are copied together first (`packing`).

    rows: the axes that rows of tiles run over, the last running fastest. room: the most places of the sum in a copy.
    pitch: from one row of a's copy to the next, where it has a's rows one after the other; 0 where it has, for each
    place of the sum, the elements of a tile's rows. turned: it has the second, and then the first made of it.
    """

    rows: tuple[Axis, ...]
    down: int
    across: int
    room: int
    pitch: int
    turned: bool = False


@dataclass(frozen=True)
class Tile:
    """A register tile. kind "outer": lanes along an output axis, `columns` vectors of them; kind "matrix": the same
    in the registers of the matrix unit, from packed operands; kind "dot": lanes along a summed axis, `columns` dot
    products side by side. `a` varies with `row` only, `b` with `column`."""

    kind: str
    rows: int
    columns: int
    row: Axis | None
    column: Axis | None
    lane: Axis
    outer: tuple[Axis, ...]
    summed: tuple[Axis, ...]
    reduction: Expr
    a: Expr
    b: Expr
    conditions: tuple[loops.Condition, ...]
    cost: float
    block: Block | None = None
    panel: Panel | None = None
    group: int = 0
    """With a panel: how many columns of tiles are computed from one copy."""
    across: bool = False
    """All columns of one row of tiles before the next row: where b fits the second cache, a is read only once."""
    packing: Packing | None = None
    """With a block, which is then the part of the sum that is copied at once; without one, all of it is."""

    @property
    def places(self) -> tuple[Index, Index]:
        """Where the elements of a and b are."""
        return (self.panel.place if self.panel is not None else address(self.a)), address(self.b)

    def __str__(self) -> str:
        return (
            f"{self.kind} tile {self.rows}x{self.columns}: rows {self._rows()}, columns {self.column}, "
            f"lanes {self.lane}, summing {_names(self.summed)}, outer {_names(self.outer)}"
            + (f", {self._packed()}" if self.packing else f", {self.block}" if self.block else "")
            + (", row by row" if self.across else "")
            + (f", from a panel of {self.panel.size} for {self.group} columns" if self.panel else "")
        )

    def _rows(self) -> str:
        return _names(self.packing.rows) if self.packing else str(self.row)

    def _packed(self) -> str:
        assert self.packing is not None
        part = f" over {self.block.size} of {self.block.axis}" if self.block else ""
        return f"packed for {self.packing.down}x{self.packing.across} tiles{part}"


@dataclass(frozen=True)
class Blocked:
    """Plain loops with the last axis of the store and the axis along which loads are contiguous in square blocks,
    so that a transposition works within the nearest cache."""

    order: tuple[Axis, ...]
    store: Axis
    load: Axis

    def __str__(self) -> str:
        return f"loops {_names(self.order)}, then {BLOCK}x{BLOCK} blocks of {self.load} and {self.store}"


@dataclass(frozen=True)
class Grid:
    """Pixels along one direction in tiles: `pixel + pad = step * tile + place`, `tile` being an axis over all tiles.
    The tiles lie along dimension `dimension` of what is read."""

    pixel: Axis
    pad: int
    tile: Axis
    dimension: int


@dataclass(frozen=True)
class Doubted:
    """Where a map of tiles may have spoilt a result: `chosen` is what the kernel wants, which is then `sum`; `common`
    sums the magnitudes of the factor that does not depend on the lane."""

    chosen: Expr
    sum: Expr
    common: Expr


@dataclass(frozen=True)
class Transform:
    """A small linear map of tiles, `matrix` from either side, for a vector along `lane` at a time. `points` number the
    elements of a tile and `pixels` what they are made of; on the way back to images `rows` and `columns` say which."""

    matrix: str
    points: tuple[Axis, Axis]
    pixels: tuple[Axis, Axis]
    rows: Grid | None
    columns: Grid | None
    outer: tuple[Axis, ...]
    lane: Axis
    reduction: Expr
    load: Expr
    conditions: tuple[loops.Condition, ...]
    cost: float
    doubted: Doubted | None = None

    def __str__(self) -> str:
        way = "tiles of" if self.rows is None else "image from tiles of"
        return f"{way} {self.matrix} matrix: lanes {self.lane}, outer {_names(self.outer)}"


Schedule = Plain | Blocked | Chunked | Tile | Transform


def _names(axes: Iterable[Axis]) -> str:
    return " ".join(map(str, axes)) or "none"
