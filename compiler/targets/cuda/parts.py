"""Long sums divided among more blocks than they have results: parts along the outermost summed axis, then their sums.

A gradient of small weights, or the mean of a channel, has fewer results than a GPU has room for blocks. The parts do
not depend on the GPU, nor do the bits of the sums. Leans on `split_reductions`, which does the same for a CPU's
threads.
"""

from __future__ import annotations

import math

from ...loops.kernels import Kernel
from ...lowering.split_reductions import outermost, split
from ...shapes import nominal
from .contraction import ENOUGH_TERMS, MULTIPROCESSORS, matrices
from .schedule import PerThread, by_stride, launch, plan_schedule

MOST_PARTS = 1 << 26
"""Elements that the parts may have: they are written and read again."""

SIDE = 64
"""Tiles of so many rows and columns are worth parts."""


def divided(kernel: Kernel, precision: str) -> list[Kernel]:
    """The kernel, or two kernels in its place."""
    found, schedule = matrices(kernel), plan_schedule(kernel, precision)
    if found is not None:
        points, m, n, k = found.sizes()
        blocks = points * math.ceil(m / SIDE) * math.ceil(n / SIDE)
        enough = k <= ENOUGH_TERMS or blocks >= 2 * MULTIPROCESSORS
    else:
        blocks = math.prod(-(-nominal(extent) // size) for extent, size in launch(schedule).blocks)
        enough = isinstance(schedule, PerThread) or blocks >= MULTIPROCESSORS
    if enough:
        return [kernel]
    sums = [e for e in kernel.expressions if e.kind == "reduce"]
    axis = outermost(kernel, sums)
    if axis is None or nominal(axis.extent) * math.prod(nominal(x.extent) for x in sums[0].axes) > MOST_PARTS:
        return [kernel]
    stored = Kernel(kernel.name, by_stride(kernel), kernel.stores, kernel.nodes, kernel.reasons)
    return split(stored, sums, axis)
