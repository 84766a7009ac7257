"""Which sums are parted for the CPU: those with so few results that threads would have nothing to share; and which run
in one loop.

Threads share the results of a kernel, and the sums of a batch normalisation have as many results as channels: one
chunk of lanes, so one thread. Leans on `split_reductions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ...loops.kernels import Kernel
from ...loops.products import contraction
from ...lowering.split_reductions import LONG, outermost, split
from ...shapes import nominal
from ..shared.summed_axes import over_the_same
from .schedule import Chunked, Plain, Schedule
from .winograd_maps import mapped

FEW = 32
"""Shares of work from which on the results themselves keep every thread busy."""


def in_parts(kernel: Kernel, plan: Callable[[Kernel], Schedule]) -> list[Kernel]:
    """The kernel, or two kernels in its place. plan: how it would run undivided."""
    sums = [e for e in kernel.expressions if e.kind == "reduce"]
    axis = outermost(kernel, sums)
    if axis is None or kernel.fact(mapped) is not None:
        return [kernel]
    schedule = plan(kernel)
    if not isinstance(schedule, Plain | Chunked) or _shares(schedule) >= FEW:
        return [kernel]
    return split(kernel, sums, (axis,))


def in_one_loop(kernel: Kernel, plan: Callable[[Kernel], Schedule]) -> int | None:
    """The lanes beside each other, 0 without, of a kernel of long sums all of which one loop takes; None of others, and
    of short sums, which find in a cache what was read before."""
    sums = [e for e in kernel.expressions if e.kind == "reduce"]
    terms = math.prod(nominal(x.extent) for x in {*kernel.axes, *(x for e in sums for x in e.data[1])})
    alike = len(sums) == 1 or set(sums) == set(over_the_same(kernel.values))
    if not alike or terms < LONG or kernel.fact(mapped) is not None or kernel.fact(contraction) is not None:
        return None
    schedule = plan(kernel)
    if isinstance(schedule, Chunked):
        return schedule.size
    return 0 if isinstance(schedule, Plain) else None


def _shares(schedule: Plain | Chunked) -> int:
    """How many shares of work threads can take."""
    chunks = math.ceil(nominal(schedule.lane.extent) / schedule.size) if isinstance(schedule, Chunked) else 1
    return chunks * math.prod(nominal(x.extent) for x in schedule.order)
