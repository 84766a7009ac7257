"""Long sums divided among more blocks than they have results: parts of the summed axes first, then their sums.

A gradient of small weights, or the mean of a channel, has fewer results than a GPU has room for blocks. Products of
matrices, and sums of columns, are divided into as many parts as fill it: the outermost summed axes become axes of the
parts, or an axis is cut in pieces, the last of which a condition ends. Other sums are divided along the outermost axis,
or in pieces where that has too few terms. The parts do not depend on the GPU, nor do the bits of the sums. Leans on
`split_reductions`, which does the same for a CPU's threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Within
from ...loops.kernels import Kernel, Store
from ...loops.products import unguarded
from ...lowering.split_reductions import outermost, split
from ...shapes import Dim, nominal
from .contraction import MULTIPROCESSORS, matrices, step
from .schedule import JOINED, LONG, VECTOR_LANES, PerStrip, PerThread, by_stride, launch, plan_schedule

MOST_PARTS = 1 << 26
"""Elements that the parts may have: they are written and read again."""

SIDE = 128
"""Rows and columns of the tiles that multiply fastest, for the sake of which products are divided."""

FEW = 3
"""Fewer parts of a product than these are not worth that they are written and read again."""

LEAST_TERMS = 256
"""Of a part of a product, so that it is worth its start."""

LEAST_ROWS = 32
"""Of a part of a sum of columns by one thread each."""

STRIP = VECTOR_LANES * JOINED
"""Points of a wide strip."""

LEAST_SHARED = 128
"""Rows of a part of a sum of columns by strips, each by several threads."""

LEAST_OF_GROUP = 1024
"""Terms of a part of a sum by a group of threads: four for each of a block's."""

LONG_OF_GROUP = 8192
"""Terms of a sum by one group from which on parts pay: 32 for each of a block's 256 threads. An H100 took 13.1
microseconds for a loss of 40960 terms by one block, 80 nanoseconds a trip, and 1.2 for the least of kernels."""


def divided(kernel: Kernel, precision: str) -> list[Kernel]:
    """The kernel, or two kernels in its place."""
    sums = [e for e in kernel.expressions if e.kind == "reduce"]
    found = matrices(kernel)
    if found is not None:
        points, m, n, k = found.sizes()
        blocks = points * math.ceil(m / SIDE) * math.ceil(n / SIDE)
        wanted = min(2 * MULTIPROCESSORS // max(blocks, 1), k // LEAST_TERMS) if k >= LONG else 1
        return _in_pieces(kernel, [found.reduction], wanted) if wanted >= FEW else [kernel]
    schedule = plan_schedule(kernel, precision)
    blocks = math.prod(-(-nominal(extent) // size) for extent, size in launch(schedule).blocks)
    if isinstance(schedule, PerThread):
        return _columns(kernel, sums, 8 * MULTIPROCESSORS // max(blocks, 1), LEAST_ROWS)
    if isinstance(schedule, PerStrip) and _over_one_space(sums):
        strips = math.ceil(_points(sums[0]) / STRIP)
        return _columns(kernel, sums, 4 * MULTIPROCESSORS // max(strips, 1), LEAST_SHARED)
    if blocks >= MULTIPROCESSORS:
        return [kernel]
    axis = outermost(kernel, sums)
    if axis is not None and nominal(axis.extent) * _points(sums[0]) <= MOST_PARTS:
        return split(_stored(kernel), sums, (axis,))
    return _of_groups(kernel, sums, blocks)


def _of_groups(kernel: Kernel, sums: Sequence[Expr], blocks: int) -> list[Kernel]:
    """Sums that few groups share, of so many terms that a group would go on long after a second kernel had started."""
    terms = _terms(sums[0]) if _over_one_space(sums) else 0
    wanted = min(4 * MULTIPROCESSORS // max(blocks, 1), terms // LEAST_OF_GROUP)
    return _in_pieces(kernel, sums, wanted) if terms >= LONG_OF_GROUP else [kernel]


def _columns(kernel: Kernel, sums: Sequence[Expr], wanted: int, least: int) -> list[Kernel]:
    """The long sums of each thread or strip, in about `wanted` parts of at least `least` terms, by as many threads as a
    GPU holds, so that enough loads are under way."""
    if not _over_one_space(sums):
        return [kernel]
    terms = _terms(sums[0])
    return _in_pieces(kernel, sums, min(wanted, terms // least) if terms >= LONG else 1)


def _over_one_space(sums: Sequence[Expr]) -> bool:
    """Are these sums, at least one, over the same axes for the same points, none of which needs another?"""
    spaces = {(e.data[0], e.data[1], e.axes) for e in sums}
    below = {x for e in sums for x in loops.postorder(e.args)}
    return len(spaces) == 1 and sums[0].data[0] == "sum" and below.isdisjoint(sums)


def _in_pieces(kernel: Kernel, sums: Sequence[Expr], wanted: int) -> list[Kernel]:
    """The kernel with its sums, all over the same axes, in about `wanted` parts."""
    parted: list[Axis] = []
    for x in sorted(sums[0].data[1], key=lambda x: -step(sums[0].args[0], x)):
        if wanted < 2:
            break
        size = nominal(x.extent)
        if size < 2 * wanted:
            parted.append(x)
            wanted = wanted // max(size, 1)
        else:
            piece, rest = _cut(x.extent, wanted)
            outer, inner = Axis(piece, x.hint), Axis(rest, x.hint)
            kernel, sums = _with_pieces(kernel, sums, x, outer, inner)
            parted.append(outer)
            break
    if not parted or math.prod(nominal(x.extent) for x in parted) * _points(sums[0]) > MOST_PARTS:
        return [kernel]
    return split(_stored(kernel), sums, parted)


def _cut(extent: Dim, wanted: int) -> tuple[Dim, Dim]:
    """(pieces, places in each): about as many as wanted, of one size where a number near it allows."""
    size = nominal(extent)
    count = next((n for n in range(wanted, 2 * wanted) if size % n == 0), wanted)
    each = (extent + (count - 1)) // count
    return (-(-extent // each) if isinstance(extent, int) and isinstance(each, int) else count), each


def _with_pieces(kernel: Kernel, sums: Sequence[Expr], x: Axis, outer: Axis, inner: Axis) -> tuple[Kernel, list[Expr]]:
    """The kernel with its sums' axis `x` as pieces `outer` of places `inner`, and those sums."""
    place = loops.at(outer) * inner.extent + loops.at(inner)
    axes = [a for y in sums[0].data[1] for a in ((outer, inner) if y is x else (y,))]
    made: dict[Expr, Expr] = {}
    for total in sums:
        conditions, term = unguarded(total.args[0])
        zero = loops.const(0, total.args[0].dtype)
        term = loops.substitute(loops.guard(conditions, term, zero), {x: place})
        conditions, term = unguarded(term)
        term = loops.guard([Within(place, x.extent), *conditions], term, zero)
        made[total] = loops.reduction("sum", axes, term, total.dtype)
    stores = tuple(Store(s.buffer, s.index, loops.transform(s.value, lambda e: made.get(e, e))) for s in kernel.stores)
    cut = Kernel(kernel.name, kernel.axes, stores, kernel.nodes, kernel.reasons, loop=kernel.loop)
    return cut, list(made.values())


def _terms(total: Expr) -> int:
    return math.prod(nominal(x.extent) for x in total.data[1])


def _points(total: Expr) -> int:
    return math.prod(nominal(x.extent) for x in total.axes)


def _stored(kernel: Kernel) -> Kernel:
    """The kernel with its axes in the order of what it stores."""
    return Kernel(kernel.name, by_stride(kernel), kernel.stores, kernel.nodes, kernel.reasons, loop=kernel.loop)
