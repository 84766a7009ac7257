"""What the cost model knows of one core of the CPU compiled for: what its caches hold, how fast they give it.

Rates come from a table by microarchitecture, as no system tells them. Sizes come from the system that this process runs
on, up to the table's; for a CPU chosen by name they are the table's alone, so that its kernels are the same on every
machine. Leans on `machine` for which CPU it is, and on `system_caches`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ....runtime.locks import once
from .machine import NATIVE, chosen, described
from .system_caches import Cache, system_caches


@dataclass(frozen=True)
class Core:
    """One core. l1, l2: bytes of its own caches. l3: bytes of the last cache that it can count on, whose others are the
    other cores'. ways: lines in a set of the first cache. line, page: bytes. pages: how many addresses of pages are at
    hand (the first TLB), and step: cycles to one that is not. from_l2, from_l3, from_memory: bytes per cycle; apart:
    from the second cache, of lines far from each other. copy, piece: cycles to copy a float beside its neighbour within
    the second cache, and to begin some that lie elsewhere. pair: what a dot product of pairs of bfloat16 takes, in
    multiply-adds of the same width. kept_up: the part of the peak of multiply-adds in which the cost model's cycles are
    counted that whole kernels of tiles keep up."""

    l1: int = 32 << 10
    l2: int = 1 << 20
    l3: int = 16 << 20
    ways: int = 8
    line: int = 64
    page: int = 4096
    pages: int = 64
    step: float = 14.0
    from_l2: float = 24.0
    apart: float = 24.0
    from_l3: float = 10.0
    from_memory: float = 2.0
    copy: float = 0.15
    piece: float = 0.0
    pair: float = 1.0
    kept_up: float = 1.0

    @property
    def held_l1(self) -> int:
        """Bytes of the first cache that operands can count on: three quarters, since other things pass through it."""
        return self.l1 * 3 // 4

    @property
    def held_l2(self) -> int:
        """As `held_l1`, of the second cache."""
        return self.l2 * 3 // 4

    @property
    def held_l3(self) -> int:
        """As `held_l1`, of the last cache."""
        return self.l3 * 3 // 4

    @property
    def way(self) -> int:
        """Addresses so many bytes apart share a set of the first cache."""
        return self.l1 // self.ways

    def held_lines(self, stride: int) -> int:
        """How many lines the first cache holds that are so many bytes apart: they share its sets."""
        return self.ways * (self.way // math.gcd(stride, self.way))

    def rate(self, size: float) -> float:
        """Bytes per cycle of what has so many bytes in all and is read again and again, beyond the first cache."""
        return self.from_l2 if size <= self.held_l2 else self.from_l3 if size <= self.held_l3 else self.from_memory


GENERIC = Core()
"""A core of Zen 4 (AMD's Software Optimization Guide for Zen 4, 57647: 32 KiB in 8 ways, 1 MiB, 32 MiB for eight cores,
of which this counts on half). Rates are those that a Ryzen was measured to keep up in loops of tiles."""
INTEL_SERVER = replace(GENERIC, l2=2 << 20, apart=12.0, copy=0.33, piece=7.5, pair=2.8, kept_up=0.85)
"""From Cooper Lake on: one unit for pairs of bfloat16, two for float32 (an "emeraldrapids" had 0.65 of the speed of
float32). There, tiles in the first cache take the predicted cycles, kernels of many tiles a sixth more. To copy 14
floats within the second cache took six of the processor's cycles, each of which has two multiply-adds, and a line from
there two to three where the next one was pages away."""
CORES = {
    **dict.fromkeys(("cooperlake", "sapphirerapids", "emeraldrapids"), INTEL_SERVER),
    **dict.fromkeys(("graniterapids", "graniterapids-d"), INTEL_SERVER),
}
"""By LLVM's name of the CPU; all others count as GENERIC."""


def core() -> Core:
    """Of the CPU that kernels are compiled for at present."""
    return _core(chosen())


@once
def _core(cpu: str) -> Core:
    known = CORES.get(described(cpu).cpu, GENERIC)
    return within(known, system_caches(), os.sysconf("SC_PAGE_SIZE")) if cpu == NATIVE else known


def within(known: Core, caches: Mapping[int, Cache], page: int) -> Core:
    """The core with what the system says of its caches, by level, and of its pages. No cache counts as greater than
    `known` has it: what a virtual machine calls its last cache is other tenants' too. Where the system names caches
    and no third one, there is none."""
    if 1 not in caches or 2 not in caches:
        return replace(known, page=page)
    first, sizes = caches[1], {level: cache.size for level, cache in caches.items()}
    l1, l2 = min(first.size, known.l1), min(sizes[2], known.l2)
    ways = max(l1 * first.ways // first.size, 1)
    return replace(known, l1=l1, l2=l2, l3=min(sizes.get(3, l2), known.l3), ways=ways, line=first.line, page=page)
