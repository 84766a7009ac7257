"""Which sums are parted for the CPU: those with so few results that threads would have nothing to share.

Threads share the results of a kernel, and the sums of a batch normalisation have as many results as channels: one
chunk of lanes, so one thread. Leans on `split_reductions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ...loops.kernels import Kernel
from ...lowering.split_reductions import outermost, split
from ...shapes import nominal
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


def _shares(schedule: Plain | Chunked) -> int:
    """How many shares of work threads can take."""
    chunks = math.ceil(nominal(schedule.lane.extent) / schedule.size) if isinstance(schedule, Chunked) else 1
    return chunks * math.prod(nominal(x.extent) for x in schedule.order)
