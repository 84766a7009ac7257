"""The register tile of a contraction: every way to lay rows, columns and lanes, by predicted cost.

Costs are in cycles of one core, from counts of multiply-adds, of loads, of bytes from each cache, and of what a tile
takes to start and to finish. They rank choices. Leans on `schedule` for what a tile is, and on `panel`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import dtypes, loops
from .codegen.target import lanes
from .kernels import Kernel
from .loops import Axis, Expr, Index
from .panel import make_panel
from .schedule import SLOTS, Block, Tile, address
from .shapes import Dim, nominal

OUTER_TILES = (
    (12, 2),
    (8, 3),
    (6, 4),
    (14, 2),
    (7, 4),
    (6, 3),
    (4, 4),
    (10, 2),
    (5, 4),
    (8, 2),
    (6, 2),
    (5, 2),
    (4, 2),
    (3, 4),
    (2, 4),
    (1, 4),
    (16, 1),
    (14, 1),
    (12, 1),
    (10, 1),
    (8, 1),
    (6, 1),
    (4, 1),
    (2, 2),
    (1, 1),
    (2, 1),
    (3, 1),
    (5, 1),
)
DOT_TILES = (
    (4, 5),
    (5, 4),
    (4, 4),
    (6, 4),
    (4, 6),
    (6, 3),
    (3, 6),
    (4, 3),
    (3, 4),
    (4, 2),
    (2, 4),
    (8, 1),
    (1, 8),
    (6, 1),
    (1, 6),
    (5, 1),
    (1, 5),
    (4, 1),
    (1, 4),
    (2, 2),
    (1, 1),
)
VECTOR_LOAD, SPLAT, DOT_LOAD = 0.9, 0.2, 0.35
FEW_TILES = 4
"""Along an axis whose size may change from run to run, fewer tiles than this are likely to be part empty."""
L1, L2, L3 = 24 << 10, 768 << 10, 12 << 20
"""Bytes of the caches that a tile's operands can count on."""
FROM_L2, FROM_L3, FROM_MEMORY = 24.0, 10.0, 2.0
"""Bytes per cycle and core."""
PAGE, LINE, WAYS = 4096, 64, 8
"""The first cache has as many sets as a page has lines, so addresses a page apart share a set of WAYS lines."""
TILE_CALL, EPILOGUE, HORIZONTAL = 30.0, 3.0, 5.0
NEAR, FAR, APART = 0.12, 5.0, 0.4
"""Cycles for an access beside its neighbour, for one elsewhere, and what it costs more in rows that are cut short."""


def contraction(kernel: Kernel) -> tuple[Expr, Expr, Expr, tuple[loops.Condition, ...]] | None:
    """(reduction, load a, load b, conditions) where the kernel holds exactly one sum of products of floats."""
    found = None
    for e in kernel.expressions:
        if e.kind != "reduce" or e.data[0] != "sum" or not dtypes.is_float(e.dtype):
            continue
        parts = _product(e.args[0])
        if parts is not None and found is None:
            found = (e, *parts)
        elif e.args[0].axes:
            return None
    return found


def _product(body: Expr) -> tuple[Expr, Expr, tuple[loops.Condition, ...]] | None:
    conditions: list[loops.Condition] = []

    def strip(e: Expr) -> Expr:
        while e.kind == "guard" and e.args[1].kind == "const" and loops.const_value(e.args[1]) == 0:
            conditions.extend(e.data)
            e = e.args[0]
        return e

    body = strip(body)
    if body.kind != "call" or body.data != "mul":
        return None
    a, b = strip(body.args[0]), strip(body.args[1])
    if a.kind != "load" or b.kind != "load":
        return None
    return a, b, tuple(dict.fromkeys(conditions))


def _usable(index: Index, strided: set[Index]) -> bool:
    """Affine, but for divisions that a condition makes exact."""
    return all(
        isinstance(atom, Axis) or (isinstance(atom, loops.Div) and atom.index in strided) for atom, _ in index.terms
    )


def plan_tile(kernel: Kernel) -> Tile | None:
    """The cheapest register tile for the kernel's contraction, None where no tile fits its addresses."""
    parts = contraction(kernel)
    if parts is None:
        return None
    reduction, load_a, load_b, conditions = parts
    red: tuple[Axis, ...] = reduction.data[1]
    strided = {c.index for c in conditions if isinstance(c, loops.Divides)}
    where = (address(load_a), address(load_b))
    if not all(_usable(w, strided) for w in where):
        return None
    guarded: set[Axis] = set()
    for c in conditions:
        guarded |= c.index.axes
    cut = all(_cuts_loops(c, red) for c in conditions)
    shared = [e for v in kernel.values for e in loops.postorder([v]) if e.kind == "reduce" and e is not reduction]
    if shared:
        return None
    found: list[Tile] = []
    for a, b, wa, wb in ((load_a, load_b, *where), (load_b, load_a, where[1], where[0])):
        free = [x for x in kernel.axes if x not in guarded]
        rows: list[Axis | None] = [x for x in free if x not in wb.axes and x in wa.axes]
        for lane in free:
            if wb.coefficient(lane) == 1 and lane not in wa.axes and not _inside_division(wb, lane):
                for row in (rows or [None]) if cut else []:
                    if row is not lane:
                        found.append(_outer(kernel, reduction, a, b, conditions, row, lane))
                for row in kernel.axes if conditions else ():
                    if row is not lane and row in wa.axes and row not in wb.axes:
                        tile = _from_panel(kernel, reduction, a, b, conditions, row, lane)
                        found += [tile] if tile is not None else []
        if not cut:
            continue
        columns: list[Axis | None] = [x for x in free if x not in wa.axes and x in wb.axes]
        for lane in red:
            if lane not in guarded and wa.coefficient(lane) == 1 and wb.coefficient(lane) == 1:
                for row, column in itertools.product(rows or [None], columns or [None]):
                    found.append(_dot(kernel, reduction, a, b, conditions, row, column, lane))
    return min(found, key=lambda t: t.cost, default=None)


def _cuts_loops(c: loops.Condition, red: Sequence[Axis]) -> bool:
    """Does the condition bound at most one summed axis, in a way that loop bounds can express?"""
    inside = [r for r in red if r in c.index.axes]
    if not c.index.is_affine or len(inside) > 1:
        return False
    factors = [c.index.coefficient(r) for r in inside]
    if isinstance(c, loops.Divides):
        return all(k in (1, -1) for k in factors)
    return all(isinstance(k, int) for k in factors)


def _inside_division(index: Index, axis: Axis) -> bool:
    return any(isinstance(atom, loops.Div) and axis in atom.index.axes for atom, _ in index.terms)


def _sum_order(red: Sequence[Axis], b: Index) -> tuple[Axis, ...]:
    """Summed axes, the one with the longest stride in b outermost."""
    return tuple(sorted(red, key=lambda r: -nominal(b.coefficient(r)) if whole(b.coefficient(r)) else 0))


def whole(c: Dim) -> bool:
    """Is this factor other than zero?"""
    return not isinstance(c, int) or c != 0


def _work(kernel: Kernel, skip: Iterable[Axis | None], red: Iterable[Axis]) -> tuple[float, float]:
    """(tile positions over the outer axes, multiply-adds per lane and row)."""
    left = set(skip)
    return (
        math.prod(nominal(x.extent) for x in kernel.axes if x not in left),
        math.prod(nominal(r.extent) for r in red),
    )


def _outer(
    kernel: Kernel,
    reduction: Expr,
    a: Expr,
    b: Expr,
    conditions: tuple[loops.Condition, ...],
    row: Axis | None,
    lane: Axis,
) -> Tile:
    red = reduction.data[1]
    outer, depth = _work(kernel, (row, lane), red)
    width = lanes(reduction.dtype)
    size = dtypes.ITEMSIZE[reduction.dtype]
    summed = _sum_order(red, address(b))
    line = _line(address(a), summed, size)
    stride = size * nominal(address(a).coefficient(row)) if row is not None else 0
    unsure = row is not None and not isinstance(row.extent, int)
    apart = APART * _epilogue_accesses(kernel, reduction)
    best: tuple[float, int, int, Block | None, bool] = (math.inf, 1, 1, None, False)
    for r, v in OUTER_TILES:
        if r > 1 and row is None:
            continue
        m = math.ceil(nominal(row.extent) / r) if row is not None else 1
        n = math.ceil(nominal(lane.extent) / (v * width))
        compute = max(r * v + VECTOR_LOAD * v + SPLAT * r, 4.0)
        unsteady = 1.05 if (unsure and m < FEW_TILES) or stride >= PAGE else 1.0
        for blocked, across in itertools.product((False, True), repeat=2):
            if across and (m == 1 or n == 1):
                continue
            block = _block(summed, conditions, size, (r, m), (v * width, n), across) if blocked else None
            if blocked and block is None:
                break
            parts, steps = 1.0, depth
            if block is not None:
                steps = math.prod(nominal(x.extent) for x in summed[summed.index(block.axis) + 1 :]) * block.size
                parts = max(depth / steps, 1.0)
            feed = _Feed(steps, size, stride, line, block is not None)
            fed = feed.of_a(r, m) / (n if across else 1) + feed.of_b(v * width, n, 1 if across else m)
            each = depth * _overlapped(compute, fed) + (TILE_CALL + 2 * r * v) * parts + EPILOGUE * r * v
            total = outer * m * n * each * unsteady + (0.0 if across or n == 1 else apart)
            best = min(best, (total, r, v, block, across), key=lambda t: t[0])
            if not across and fed <= compute / 4 and not apart:
                break  # little is waited for, so blocks gain little
    cost = best[0] + _epilogue_cost(kernel, reduction, lane)
    order = tuple(x for x in kernel.axes if x is not row and x is not lane)
    return Tile(
        "outer",
        best[1],
        best[2],
        row,
        lane,
        lane,
        order,
        summed,
        reduction,
        a,
        b,
        conditions,
        cost,
        best[3],
        across=best[4],
    )


def _from_panel(
    kernel: Kernel,
    reduction: Expr,
    a: Expr,
    b: Expr,
    conditions: tuple[loops.Condition, ...],
    row: Axis,
    lane: Axis,
) -> Tile | None:
    """The cheapest outer tile that reads a from a panel, in which no condition is left."""
    summed = _sum_order(reduction.data[1], address(b))
    panel = make_panel(a, conditions, row, summed)
    inside = all(i.within(d) for i, d in zip(b.data[1], b.data[0].shape))  # b is read where conditions fail, too
    if panel is None or not inside or any(lane in c.index.axes for c in conditions):
        return None
    outer, depth = _work(kernel, (row, lane), summed)
    width, size = lanes(reduction.dtype), dtypes.ITEMSIZE[reduction.dtype]
    copy = panel.size * (NEAR if address(panel.value).coefficient(panel.axes[-1]) in (0, 1) else FAR)
    far = 0.0 if panel.size * size <= L1 else size / FROM_L2
    best: tuple[float, int, int, int] = (math.inf, 1, 1, 1)
    for r, v in OUTER_TILES:
        m, n = math.ceil(nominal(row.extent) / r), math.ceil(nominal(lane.extent) / (v * width))
        column = depth * v * width * size
        group = min(max(int(L2 // 2 // max(column, 1)), 1), n)
        rate = FROM_L2 if column <= L2 else FROM_L3
        fed = far * r + (0.0 if column <= L1 else v * width * size / rate)
        per_step = _overlapped(max(r * v + VECTOR_LOAD * v + SPLAT * r, 4.0), fed)
        tiles = outer * m * n * (depth * per_step + TILE_CALL + EPILOGUE * r * v)
        best = min(best, (tiles + outer * math.ceil(n / group) * copy, r, v, group))
    order = tuple(x for x in kernel.axes if x is not row and x is not lane)
    cost, r, v, group = best
    cost += _epilogue_cost(kernel, reduction, lane)
    return Tile("outer", r, v, row, lane, lane, order, summed, reduction, a, b, (), cost, None, panel, group)


def _block(
    summed: Sequence[Axis],
    conditions: Sequence[loops.Condition],
    size: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
    across: bool,
) -> Block | None:
    """How to part the sum so that what SLOTS neighbouring tiles read in one part fits the second cache."""
    (r, m), (width, n) = rows, columns
    if across:
        (r, m), (width, n) = columns, rows
    per_step = size * (r * min(m, SLOTS) + width * min(n, math.ceil(SLOTS / max(m, 1))))
    room = max(L2 // 2 // max(per_step, 1), 32)
    inside = 1
    for i in reversed(range(len(summed))):
        trips = nominal(summed[i].extent)
        if inside * trips > room:
            outside = tuple(summed[:i])
            cut = any(x in c.index.axes for x in outside for c in conditions)
            if cut or any(isinstance(c, loops.Divides) for c in conditions):
                return None
            parts = math.ceil(trips / max(room // inside, 1))
            return Block(outside, summed[i], math.ceil(trips / parts))
        inside *= trips
    return None


def _dot(
    kernel: Kernel,
    reduction: Expr,
    a: Expr,
    b: Expr,
    conditions: tuple[loops.Condition, ...],
    row: Axis | None,
    column: Axis | None,
    lane: Axis,
) -> Tile:
    red = tuple(r for r in reduction.data[1] if r is not lane)
    outer, depth = _work(kernel, (row, column), red)
    width = lanes(reduction.dtype)
    vectors = math.ceil(nominal(lane.extent) / width)
    size = dtypes.ITEMSIZE[reduction.dtype]
    feed = _Feed(depth * nominal(lane.extent), size, size, size)
    best = (math.inf, 1, 1)
    for r, c in DOT_TILES:
        if (r > 1 and row is None) or (c > 1 and column is None):
            continue
        m = math.ceil(nominal(row.extent) / r) if row is not None else 1
        n = math.ceil(nominal(column.extent) / c) if column is not None else 1
        fed = (feed.of_a(r, m) + feed.of_b(c, n, m)) * width
        per_step = _overlapped(max(r * c + DOT_LOAD * (r + c), 4.0), fed)
        each = depth * vectors * per_step + TILE_CALL + (HORIZONTAL + EPILOGUE) * r * c
        best = min(best, (outer * m * n * each, r, c), key=lambda t: t[0])
    order = tuple(x for x in kernel.axes if x is not row and x is not column)
    return Tile(
        "dot",
        best[1],
        best[2],
        row,
        column,
        lane,
        order,
        _sum_order(red, address(b)),
        reduction,
        a,
        b,
        conditions,
        best[0] + _epilogue_cost(kernel, reduction, column),
    )


@dataclass(frozen=True)
class _Feed:
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


def _overlapped(compute: float, fed: float) -> float:
    """Cycles of a step that computes and waits for memory at once, which it does not do perfectly."""
    return max(compute, fed) + 0.2 * min(compute, fed)


def _line(place: Index, summed: Sequence[Axis], size: int) -> int:
    """The bytes fetched per row and step: an element where the innermost sum runs along memory, else a cache line."""
    return size if summed and place.coefficient(summed[-1]) == 1 else LINE


def _epilogue_cost(kernel: Kernel, reduction: Expr, along: Axis | None) -> float:
    """Cycles for what the epilogue loads and stores: dear where neighbours along `along` do not lie side by side."""
    places = _epilogue_places(kernel, reduction)
    points = math.prod(nominal(x.extent) for x in kernel.axes)
    strided = [along is not None and place.coefficient(along) not in (0, 1) for place in places]
    return points * sum(FAR if far else NEAR for far in strided)


def _epilogue_accesses(kernel: Kernel, reduction: Expr) -> float:
    """How many elements the epilogue loads and stores, where what it touches does not fit the second cache."""
    points = math.prod(nominal(x.extent) for x in kernel.axes)
    whole = [p for p in _epilogue_places(kernel, reduction) if len(p.axes) >= 2]
    return points * len(whole) if 4 * points * len(whole) > 2 * L2 else 0.0


def _epilogue_places(kernel: Kernel, reduction: Expr) -> list[Index]:
    summed = set(loops.postorder([reduction]))
    places = [address(e) for e in kernel.loads if e not in summed]
    return places + [s.buffer.address(s.index) for s in kernel.stores]
