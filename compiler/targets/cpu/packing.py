"""Packed operands: what a task of neighbouring tiles reads, copied into small arrays that tiles read along memory.

A task is a rectangle of tiles. For each part of the sum it copies the rows of one operand and the columns of the other,
so that every tile of the task finds both in the second cache, one element after the other: no page and no cache set is
met twice in a row, however far apart the operands' rows lie. A copy serves as many tiles as the task is wide or tall
(Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"). As a copy takes elements from
anywhere, rows may run over several axes, and padding becomes zeros or ends the sum (`sum_conditions`): a convolution is
a product of matrices of which the first is never made. Costs are in cycles of one core. Leans on `operand_cost` for
what fetching costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Dynamic, Expr, Index
from ...loops.kernels import Kernel, address
from ...shapes import nominal
from .core import core
from .machine import DEPTH, SIDE, lanes, target
from .operand_cost import Operands, overlapped, reading
from .schedule import Block, Packing, Tile
from .sum_conditions import kept, protecting, terms_left
from .tile_shapes import tile_shapes

SMALL = 1 << 20
"""Multiply-adds up to which operands are not packed."""
LONGEST = 384
"""Places of the sum that a task packs at once, at most: a tile's columns of them stay in the first cache, or nearly."""
ROOM = 32
"""Copies have room for a multiple of so many places, so that kernels of near sizes are one text."""
ACROSS, DOWN = (16, 12, 8, 6, 4, 3, 2, 1), (32, 24, 16, 12, 8, 6, 4, 2, 1)
"""How many tiles a task may have side by side and one below the other."""
GATHER, ROW, PIECE = 1.5, 40.0, 10.0
"""Cycles to copy an element from elsewhere, to find where a row over several axes is, and to begin another piece of it
that lies elsewhere."""
START, EPILOGUE = 20.0, 3.0
"""Cycles to begin a tile, and for each of its vectors of results."""
FEW_TASKS = 16
PRODUCT, LOAD = 16.0, 8.0
"""Cycles of a product of two tile registers of the matrix unit, and to load one."""


@dataclass(frozen=True)
class Form:
    """How a task's copies are multiplied. size: bytes of an element in them, `sum` of a tile's sums. copy, pair, turn:
    cycles to copy an element beside its neighbour and one from elsewhere, to put b's rows together in pairs, to make
    rows of a's columns."""

    kind: str
    size: int
    sum: int
    copy: float
    gather: float
    pair: float = 0.0
    turn: float = 0.0

    def step(self, rows: int, vectors: int, width: int) -> float:
        """Cycles of a step of a tile, what it reads coming from the second cache."""
        if self.kind == "matrix":  # a column's copy of b stays in the first; rows of 64 bytes come as whole lines
            loads = (rows / SIDE + vectors) * LOAD / DEPTH
            fed = rows * self.size / core().from_l2 / 2
            return overlapped(rows / SIDE * vectors * PRODUCT / DEPTH, max(loads, fed))
        kind = Operands(self.size, paired=False, dense=True)  # copies hold what is summed
        return _step(kind, rows, vectors, width)

    def follow_each_other(self, row: Axis, rows: int) -> bool:
        """Are the rows of every tile neighbours along the last axis of rows, which has others around it?"""
        return self.kind == "matrix" and isinstance(row.extent, int) and row.extent % rows == 0

    def held(
        self, down: int, across: int, room: int, pitch: int, rows: int, width: int, parted: bool, turned: bool
    ) -> int:
        """Bytes of a task's copies and sums (as in `Packing`), for tiles of so many rows by `width` columns."""
        copies = down * rows * (pitch or room) + across * width * room + (rows * room if turned else 0)
        return copies * self.size + (down * across if parted else 1) * rows * width * self.sum


MATRIX = Form("matrix", 2, 4, copy=0.08, gather=12.0, pair=0.08, turn=0.2)
"""Words from elsewhere are fetched one at a time, floats several in an instruction."""


def forms_of(reduction: Expr, a: Expr, b: Expr) -> Iterator[Form]:
    """Vectors multiply whatever is widened as it is copied, the matrix unit of the target words of bfloat16."""
    size = dtypes.ITEMSIZE[reduction.dtype]
    yield Form("outer", size, size, core().copy, GATHER)
    if target().matrix_unit and {e.data[0].dtype for e in (a, b)} == {dtypes.BFLOAT16}:
        yield MATRIX


@dataclass(frozen=True)
class _Operand:
    """What packing one operand costs in cycles: for each element, for each row, and for reading all of it again."""

    element: float
    row: float
    again: float

    def copied(self, elements: float, rows: float, times: float) -> float:
        """Cycles to copy it `times`; its first reading is paid by every kernel."""
        return elements * times * self.element + rows * times * self.row + self.again * max(times - 1, 0.0)


def packed_tiles(
    kernel: Kernel, reduction: Expr, a: Expr, b: Expr, conditions: Sequence[loops.Condition]
) -> Iterator[Tile]:
    """For each axis that lanes can run along, the cheapest tile of b's columns and all rows of a."""
    wa, wb = address(a), address(b)
    kinds = {e.data[0].dtype for e in (a, b)}
    if not kinds <= {reduction.dtype, dtypes.BFLOAT16} or any(
        isinstance(atom, Dynamic) for w in (wa, wb) for atom, _ in w.terms
    ):
        return
    of_a = wa.axes.union(*(c.index.axes for c in protecting(a, conditions)))
    rows = tuple(x for x in kernel.axes if x in of_a and x not in wb.axes)
    points = math.prod(nominal(x.extent) for x in (*kernel.axes, *reduction.data[1]))
    if not rows or points < SMALL:
        return
    for lane in kernel.axes:
        if wb.coefficient(lane) == 1 and lane not in of_a and all(lane not in w.axes for w in _divisions(wb)):
            if kept(a, b, conditions, rows, lane, reduction.data[1]) is None:
                continue
            for form in forms_of(reduction, a, b):
                yield from _cheapest(kernel, reduction, a, b, tuple(conditions), rows, lane, form)


def _divisions(index: Index) -> Iterator[Index]:
    return (atom.index for atom, _ in index.terms if isinstance(atom, loops.Div | loops.Mod))


def _cheapest(
    kernel: Kernel,
    reduction: Expr,
    a: Expr,
    b: Expr,
    conditions: tuple[loops.Condition, ...],
    rows: tuple[Axis, ...],
    lane: Axis,
    form: Form,
) -> Iterator[Tile]:
    wa, wb = address(a), address(b)
    summed = tuple(sorted(reduction.data[1], key=lambda r: -stride(wa, r)))
    if stride(wa, summed[-1]) != 1:
        summed = tuple(sorted(reduction.data[1], key=lambda r: -stride(wb, r)))
    rows = tuple(sorted(rows, key=lambda x: -stride(wa, x)))
    block, most = _part(summed)
    along = stride(wa, summed[-1]) == 1
    by_rows = along or len(rows) > 1 or form is MATRIX
    room, pitch = room_for(most, by_rows, form.size)
    width = lanes(reduction.dtype)
    outer = math.prod(nominal(x.extent) for x in kernel.axes if x is not lane and x not in rows)
    where = kept(a, b, conditions, rows, lane, summed)
    assert where is not None  # who calls has asked
    depth = terms_left(summed, where.of_sum)
    m_all, n_all = math.prod(nominal(x.extent) for x in rows), nominal(lane.extent)
    run = min(nominal(summed[-1].extent), most) if along else 1
    parts = max(depth / most, 1.0)
    again_a, again_b = (reading(x, count * depth) for x, count in ((a, m_all), (b, n_all)))
    most_bytes = _most_bytes()
    best: tuple[float, int, int, int, int, bool] = (math.inf, 1, 1, 1, 1, False)
    for r, v in tile_shapes(form.kind):
        across_rows = stride(wa, rows[-1]) == 1 and (len(rows) == 1 or form.follow_each_other(rows[-1], r))
        turned = form is MATRIX and across_rows and not along
        beside = form.copy + core().piece / r
        element = form.copy + PIECE / run if along else beside + form.turn if across_rows else form.gather
        of_b = _Operand(form.copy + form.pair + core().piece / (v * width), 0.0, again_b)
        of_a = _Operand(element, ROW * parts if by_rows and not turned else 0.0, again_a)
        m, n = math.ceil(m_all / r), math.ceil(n_all / (v * width))
        each = depth * form.step(r, v, width) + START * parts + EPILOGUE * r * v
        each += 2 * r * v * parts if block is not None else 0.0
        if outer * (m * n * each) >= best[0]:
            continue  # dearer even if nothing had to be copied
        tasks_beside = [(x, t := math.ceil(n / x), of_a.copied(m * r * depth, m * r, t)) for x in _sides(ACROSS, n)]
        for down in _sides(DOWN, m):
            down_times = math.ceil(m / down)
            of_columns = of_b.copied(n * v * width * depth, 0, down_times)
            for across, across_times, of_rows in tasks_beside:
                if form.held(down, across, room, pitch, r, v * width, block is not None, turned) > most_bytes:
                    break  # and so would more tiles be
                tasks = outer * down_times * across_times
                uneven = 2 * math.ceil(tasks / 2) / tasks if tasks < FEW_TASKS else 1.0
                cost = outer * (m * n * each + (of_rows + of_columns)) * uneven
                if cost < best[0]:
                    best = cost, r, v, down, across, turned
    if best[0] < math.inf:
        cost, r, v, down, across, turned = best
        order = tuple(x for x in kernel.axes if x is not lane and x not in rows)
        yield Tile(
            form.kind,
            r,
            v,
            rows[-1],
            lane,
            lane,
            order,
            summed,
            reduction,
            a,
            b,
            conditions,
            cost,
            block,
            packing=Packing(rows, down, across, room, pitch, turned),
        )


def room_for(steps: int, by_rows: bool, size: int) -> tuple[int, int]:
    """(room of copies for so many places of the sum, the pitch of a's rows, of elements of `size` bytes); an odd number
    of lines, so that rows do not meet in one cache set."""
    room = -(-steps // ROOM) * ROOM
    return room, room + core().line // min(size, 4) if by_rows else 0


def _most_bytes() -> int:
    """Of a task's copies and sums, which lie on the stack: they should stay in the second cache, with a little
    besides."""
    return core().l2 * 7 // 8


@lru_cache(256)
def _sides(counts: tuple[int, ...], most: int) -> tuple[int, ...]:
    """How many tiles a task may have along a side of `most`, fewest first."""
    return tuple(sorted({min(count, most) for count in counts}))


def repacked(tile: Tile, down: int, across: int, block: Block | None) -> Tile | None:
    """The packed tile with other tasks and another part of the sum; None where these are too much for the stack."""
    assert tile.packing is not None
    inside = tile.summed if block is None else tile.summed[tile.summed.index(block.axis) + 1 :]
    steps = 1 if block is None else block.size
    for x in inside:
        if not isinstance(x.extent, int):
            return None
        steps *= x.extent
    form = next(form for form in forms_of(tile.reduction, tile.a, tile.b) if form.kind == tile.kind)
    room, pitch = room_for(steps, bool(tile.packing.pitch), form.size)
    packing = replace(tile.packing, down=down, across=across, room=room, pitch=pitch)
    parted, width = block is not None, tile.columns * lanes(tile.reduction.dtype)
    if form.held(down, across, room, pitch, tile.rows, width, parted, tile.packing.turned) > _most_bytes():
        return None
    return replace(tile, packing=packing, block=block)


def _part(summed: Sequence[Axis]) -> tuple[Block | None, int]:
    """(the part of the sum that is packed at once, the most places in it); no block where that is all of it."""
    inside = 1
    for i in reversed(range(len(summed))):
        extent = summed[i].extent
        if not isinstance(extent, int) or inside * extent > LONGEST:
            size = max(LONGEST // inside, 1)
            if isinstance(extent, int):
                size = math.ceil(extent / math.ceil(extent / size))
            return Block(tuple(summed[:i]), summed[i], size), inside * size
        inside *= extent
    return None, inside


def _step(kind: Operands, rows: int, vectors: int, width: int) -> float:
    """Cycles of a step of a tile, what it reads coming from the second cache."""
    return overlapped(kind.cycles(rows, vectors), (rows + vectors * width) * kind.size / core().from_l2)


def stride(place: Index, axis: Axis) -> int:
    """How far apart neighbours along the axis lie; far where divisions say."""
    if any(axis in index.axes for index in _divisions(place)):
        return 1 << 20
    return abs(nominal(place.coefficient(axis)))
