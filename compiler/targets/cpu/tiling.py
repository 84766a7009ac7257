"""The register tile of a contraction: every way to lay rows, columns and lanes, by predicted cost.

Costs are in cycles of one core, from counts of multiply-adds, of loads, of bytes from each cache, and of what a tile
takes to start and to finish. They rank choices. Leans on `schedule` for what a tile is, and on `panel`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Index
from ...loops.kernels import Kernel, address
from ...loops.products import contraction
from ...shapes import Dim, nominal
from .core import core
from .machine import lanes
from .operand_cost import OperandFeed, Operands, evicted, in_one_piece, line_of, operands, overlapped, reading, walk
from .packing import packed_tiles
from .panel import make_panel
from .schedule import SLOTS, Block, Tile
from .sum_conditions import terms_left
from .tile_shapes import tile_shapes

DOT_LOAD = 0.35
SHORTEST = 32
"""Steps of a part of a sum, at least."""
FEW_TILES = 4
"""Along an axis whose size may change from run to run, fewer tiles than this are likely to be part empty."""
PHASED = 1.1
"""A panel whose loops stay cut: its copy holds rows of taps that some phases lack, and it is made for every phase."""
TILE_CALL, EPILOGUE, HORIZONTAL = 30.0, 3.0, 12.0
"""Cycles to begin a tile, for each of its vectors of results, and to add a vector's lanes up (four halvings, each a
shuffle and an addition that wait for each other)."""
NEAR, FAR, APART = 0.12, 5.0, 0.4
"""Cycles for an access beside its neighbour, for one elsewhere, and what it costs more in rows that are cut short."""


def _fixed(index: Index, strided: set[Index]) -> set[Axis] | None:
    """The axes along which no loop of a tile may run, as they stand in divisions that no condition makes exact; None
    where an index is read from data."""
    fixed: set[Axis] = set()
    for atom, _ in index.terms:
        if isinstance(atom, loops.Dynamic):
            return None
        if not isinstance(atom, Axis) and not (isinstance(atom, loops.Div) and atom.index in strided):
            fixed |= atom.index.axes
    return fixed


def plan_tile(kernel: Kernel) -> Tile | None:
    """The cheapest register tile for the kernel's contraction, None where no tile fits its addresses."""
    return min(fitting(kernel), key=lambda t: t.cost, default=None)


def fitting(kernel: Kernel) -> list[Tile]:
    """For every choice of rows, columns and lanes that fits the addresses of the kernel's contraction, the cheapest
    tile."""
    parts = kernel.fact(contraction)
    if parts is None:
        return []
    reduction, load_a, load_b, conditions = parts
    red: tuple[Axis, ...] = reduction.data[1]
    strided = {c.index for c in conditions if isinstance(c, loops.Divides)}
    where = (address(load_a), address(load_b))
    divided = [_fixed(w, strided) for w in where]
    if divided[0] is None or divided[1] is None or not (divided[0] | divided[1]).isdisjoint(red):
        return []
    guarded = divided[0] | divided[1]
    for c in conditions:
        guarded |= c.index.axes
    cut = all(_cuts_loops(c, red) for c in conditions)
    if any(e.kind == "reduce" and e is not reduction for e in kernel.expressions):
        return []
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
        found += packed_tiles(kernel, reduction, a, b, conditions)
        if not cut:
            continue
        columns: list[Axis | None] = [x for x in free if x not in wa.axes and x in wb.axes]
        for lane in red:
            if lane not in guarded and wa.coefficient(lane) == 1 and wb.coefficient(lane) == 1:
                for row, column in itertools.product(rows or [None], columns or [None]):
                    found.append(_dot(kernel, reduction, a, b, conditions, row, column, lane))
    packed = [replace(t, cost=t.cost + _epilogue_cost(kernel, reduction, t.column)) for t in found if t.packing]
    return [t for t in found if t.cost < math.inf and not t.packing] + packed


def _cuts_loops(c: loops.Condition, red: Sequence[Axis]) -> bool:
    """Does the condition bound at most one summed axis, in a way that loop bounds can express?"""
    inside = [r for r in red if r in c.index.axes]
    if not c.index.affine_in(inside) or len(inside) > 1:
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


def _work(
    kernel: Kernel, skip: Iterable[Axis | None], red: Iterable[Axis], conditions: Iterable[loops.Condition]
) -> tuple[float, float]:
    """(tile positions over the outer axes, multiply-adds per lane and row: the mean over these)."""
    left = set(skip)
    return math.prod(nominal(x.extent) for x in kernel.axes if x not in left), terms_left(red, conditions)


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
    outer, depth = _work(kernel, (row, lane), red, conditions)
    width = lanes(reduction.dtype)
    summed = _sum_order(red, address(b))
    kind = operands(a, b, address(a), summed)
    size = kind.size
    line = line_of(address(a), summed, size)
    stride = size * nominal(address(a).coefficient(row)) if row is not None else 0
    order = tuple(x for x in kernel.axes if x is not row and x is not lane)
    unsure = row is not None and not isinstance(row.extent, int)
    ahead = reading(a) + reading(b)  # what a kernel that asks for both in time need not wait for
    apart = APART * _epilogue_accesses(kernel, reduction)
    on = core()
    whole_walk = walk(address(a), summed, size) + walk(address(b), summed, size)
    best: tuple[float, int, int, Block | None, bool] = (math.inf, 1, 1, None, False)
    for r, v in tile_shapes("outer"):
        if r > 1 and row is None:
            continue
        m = math.ceil(nominal(row.extent) / r) if row is not None else 1
        n = math.ceil(nominal(lane.extent) / (v * width))
        compute = kind.cycles(r, v)
        unsteady = 1.05 if (unsure and m < FEW_TILES) or stride >= on.page else 1.0
        least = outer * m * n * (depth * compute + (TILE_CALL + 2 * r * v) + EPILOGUE * r * v) * unsteady - ahead
        if least >= best[0]:
            continue  # dearer even if it waited for nothing
        for room, across in itertools.product((0, on.held_l2 // 2, on.held_l1), (False, True)):
            if across and (m == 1 or n == 1):
                continue
            block = _block(summed, conditions, kind, (r, m), (v * width, n), across, room) if room else None
            if room and block is None:
                break
            parts, steps, lost = 1.0, depth, whole_walk
            if block is not None:
                inside = summed[summed.index(block.axis) + 1 :]
                steps = math.prod(nominal(x.extent) for x in inside) * block.size
                parts = max(depth / steps, 1.0)
                lost = sum(walk(address(x), (block.axis, *inside), size, block.size) for x in (a, b))
                of_a, of_b = (r, n * v * width) if across else (r * m, v * width)
                lost += evicted(address(a), summed, size, steps, of_a * size, on.line)
                lost += evicted(address(b), summed, size, steps, of_b * size, v * width * size)
            feed = OperandFeed(steps, size, stride, line, on, block is not None)
            fed = feed.of_a(r, m) / (n if across else 1) + feed.of_b(v * width, n, 1 if across else m)
            each = depth * (overlapped(compute, fed) + lost) + (TILE_CALL + 2 * r * v) * parts + EPILOGUE * r * v
            passes = _passes(m, n, across)
            fetched, waits = (0.0, 0.0) if block is None else _readings((a, b), passes, block, (row, lane), order)
            total = overlapped(outer * m * n * each, fetched) * unsteady + waits
            total += 0.0 if across or n == 1 else apart
            best = min(best, (total, r, v, block, across), key=lambda t: t[0])
            if not across and fed <= compute / 4 and not apart:
                break  # little is waited for, so blocks gain little
    cost = best[0] + _epilogue_cost(kernel, reduction, lane)
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
    """The cheapest outer tile that reads a from a panel; only conditions that loops have to keep, on b, are left."""
    summed = _sum_order(reduction.data[1], address(b))
    left = tuple(c for c in conditions if isinstance(c, loops.Divides) or c.index in b.data[1])
    panel = make_panel(a, [c for c in conditions if c not in left], row, summed)
    inside = all(  # b is read where conditions fail, too
        i.within(d) or any(c.index == i and c.low == 0 and c.high == d for c in left if isinstance(c, loops.Within))
        for i, d in zip(b.data[1], b.data[0].shape)
    )
    if panel is None or not inside or any(lane in c.index.axes for c in conditions):
        return None
    if not all(_cuts_loops(c, summed) and row not in c.index.axes for c in left):
        return None
    outer, depth = _work(kernel, (row, lane), summed, left)
    longest = terms_left(summed, [c for c in left if not c.index.axes.isdisjoint(summed)])
    kind = operands(a, b, panel.place, summed)
    width, size = lanes(reduction.dtype), kind.size
    copy = panel.size * (NEAR if address(panel.value).coefficient(panel.axes[-1]) in (0, 1) else FAR)
    copy += panel.size * NEAR if panel.conditions else 0.0  # zeros first
    order = tuple(x for x in kernel.axes if x is not row and x is not lane)
    phases = math.prod(nominal(x.extent) for x in _last_of(order, address(b).axes))
    on = core()
    far = 0.0 if panel.size * size <= on.held_l1 else size / on.from_l2
    best: tuple[float, int, int, int] = (math.inf, 1, 1, 1)
    for r, v in tile_shapes("outer"):
        m, n = math.ceil(nominal(row.extent) / r), math.ceil(nominal(lane.extent) / (v * width))
        column = longest * v * width * size * phases
        group = max(min(int(on.held_l2 // 2 // max(column, 1)), n), 1)
        rate = on.from_l2 if column <= on.held_l2 else on.from_l3
        fed = far * r + (0.0 if column <= on.held_l1 else v * width * size / rate)
        per_step = overlapped(kind.cycles(r, v), fed)
        tiles = outer * m * n * (depth * per_step * (PHASED if left else 1.0) + TILE_CALL + EPILOGUE * r * v)
        best = min(best, (tiles + outer * math.ceil(n / group) * copy, r, v, group))
    cost, r, v, group = best
    cost += _epilogue_cost(kernel, reduction, lane)
    return Tile("outer", r, v, row, lane, lane, order, summed, reduction, a, b, left, cost, None, panel, group)


def _last_of(order: Sequence[Axis], of: frozenset[Axis]) -> list[Axis]:
    """The innermost of these axes, as far as they are among `of`: those through which b passes for each place of a."""
    return list(itertools.takewhile(of.__contains__, reversed(order)))


def _block(
    summed: Sequence[Axis],
    conditions: Sequence[loops.Condition],
    kind: Operands,
    rows: tuple[int, int],
    columns: tuple[int, int],
    across: bool,
    held: int,
) -> Block | None:
    """How to part the sum so that what SLOTS neighbouring tiles read in one part has about `held` bytes."""
    (r, m), (width, n) = rows, columns
    if across:
        (r, m), (width, n) = columns, rows
    per_step = kind.size * (r * min(m, SLOTS) + width * min(n, math.ceil(SLOTS / max(m, 1))))
    room = max(held // max(per_step, 1), SHORTEST)
    inside = 1
    for i in reversed(range(len(summed))):
        trips = nominal(summed[i].extent)
        if inside * trips > room:
            outside = tuple(summed[:i])
            cut = any(x in c.index.axes for x in outside for c in conditions)
            if cut or any(isinstance(c, loops.Divides) for c in conditions):
                return None
            parts = math.ceil(trips / max(room // inside, 1))
            steps = math.ceil(trips / parts)
            return Block(outside, summed[i], steps + steps % 2 * kind.paired)
        inside *= trips
    return None


def _readings(
    operands: Sequence[Expr],
    passes: Sequence[int],
    block: Block,
    sides: tuple[Axis | None, Axis],
    outer: Sequence[Axis],
) -> tuple[float, float]:
    """Cycles to read operands so often, (while tiles are computed, between them) beyond a first time for which kernels
    wait: tiles together ask in time for what lies in one piece."""
    fetched = waits = 0.0
    for x, times in zip(operands, passes):
        again = reading(x) * (times - 1)
        if in_one_piece(address(x), block.axis, sides, outer):
            fetched += again
            waits -= reading(x)
        else:
            waits += again
    return fetched, waits


def _passes(m: int, n: int, across: bool) -> tuple[int, int]:
    """How often a and b are read where SLOTS of m by n tiles are computed together."""
    inner, around = (max(x, 1) for x in ((n, m) if across else (m, n)))  # there are none of an empty tensor
    passes = (math.ceil(around / math.ceil(SLOTS / inner)), math.ceil(inner / SLOTS))
    return passes[::-1] if across else passes


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
    outer, depth = _work(kernel, (row, column), red, conditions)
    width = lanes(reduction.dtype)
    vectors = math.ceil(nominal(lane.extent) / width)
    size = max(dtypes.ITEMSIZE[e.data[0].dtype] for e in (a, b))
    feed = OperandFeed(depth * nominal(lane.extent), size, size, size, core())
    best = (math.inf, 1, 1)
    for r, c in tile_shapes("dot"):
        if (r > 1 and row is None) or (c > 1 and column is None):
            continue
        m = math.ceil(nominal(row.extent) / r) if row is not None else 1
        n = math.ceil(nominal(column.extent) / c) if column is not None else 1
        compute = max(r * c + DOT_LOAD * (r + c), 4.0)
        if outer * m * n * (depth * vectors * compute + TILE_CALL + (HORIZONTAL + EPILOGUE) * r * c) >= best[0]:
            continue  # dearer even if it waited for nothing
        fed = (feed.of_a(r, m) + feed.of_b(c, n, m)) * width
        per_step = overlapped(compute, fed)
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
    return points * len(whole) if 4 * points * len(whole) > 2 * core().held_l2 else 0.0


def _epilogue_places(kernel: Kernel, reduction: Expr) -> list[Index]:
    summed = set(loops.postorder([reduction]))
    places = [address(e) for e in kernel.loads if e not in summed]
    return places + [s.buffer.address(s.index) for s in kernel.stores]
