"""What compiled kernels take of a multiprocessor: registers, shared memory, spills, and how many of them fit at once.

Read from the log of ptxas, without a GPU. Limits per multiprocessor are those of the table "Technical Specifications
per Compute Capability" in the CUDA C++ Programming Guide. Leans on the standard library and `inspect` for tables.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import CompileError
from ..shared.inspect import count, grid, rows, shorten
from .build import Arch

WARP = 32
REGISTERS = 65536
REGISTER_UNIT = 256
"""Registers are given to warps in units of so many."""
RESERVED = 1024
"""Bytes of shared memory that each block takes beside its own, from compute capability 8.0 on."""


@dataclass(frozen=True)
class BlockLimits:
    """A multiprocessor's warps, blocks and bytes of shared memory."""

    warps: int
    blocks: int
    shared: int


LIMITS: dict[Arch, BlockLimits] = {
    (8, 0): BlockLimits(64, 32, 164 << 10),
    (8, 6): BlockLimits(48, 16, 100 << 10),
    (8, 7): BlockLimits(48, 16, 164 << 10),
    (8, 9): BlockLimits(48, 24, 100 << 10),
    (9, 0): BlockLimits(64, 32, 228 << 10),
    (10, 0): BlockLimits(64, 32, 228 << 10),
    (12, 0): BlockLimits(48, 32, 100 << 10),
}


@dataclass(frozen=True)
class KernelResources:
    """Registers of a thread, bytes of shared memory of a block, and bytes of a thread's stack and spills."""

    registers: int
    shared: int
    stack: int
    spills: int

    def occupancy(self, threads: int, arch: Arch) -> float:
        """The part of a multiprocessor's warps that are in flight when it holds as many blocks as fit. Raises
        CompileError for an architecture whose limits are not known."""
        if arch not in LIMITS:
            known = ", ".join(f"sm_{a}{b}" for a, b in LIMITS)
            raise CompileError(f"the limits of sm_{arch[0]}{arch[1]} are not known; known are {known}")
        limits, warps = LIMITS[arch], -(-threads // WARP)
        each = math.ceil(max(self.registers, 1) * WARP / REGISTER_UNIT) * REGISTER_UNIT
        blocks = min(
            limits.warps // warps,
            limits.blocks,
            REGISTERS // each // warps,
            limits.shared // (self.shared + RESERVED),
        )
        return blocks * warps / limits.warps


def parse(log: str) -> KernelResources:
    """The resources in a log of `ptxas -v`. Raises CompileError where there are none."""

    def found(pattern: str) -> int:
        match = re.search(pattern, log)
        return int(match[1]) if match else 0

    registers = found(r"Used (\d+) registers")
    if not registers:
        raise CompileError(f"registers are counted by ptxas, which has not seen this kernel: {log.strip()}")
    spills = found(r"(\d+) bytes spill stores") + found(r"(\d+) bytes spill loads")
    return KernelResources(registers, found(r"(\d+) bytes smem"), found(r"(\d+) bytes stack frame"), spills)


def resource_rows(listing: Any, **sizes: int) -> list[dict[str, Any]]:
    """`inspect.rows` of a `Listing`, each with its registers, shared bytes, stack, spills and occupancy; kernels that
    are not in the cache are compiled first."""
    listing.compile(*listing.kernels)
    out = []
    for row, info, built in zip(rows(listing, **sizes), listing.kernels, listing.built):
        launch = built.source.launch
        used = parse(info.resources)
        used = replace(used, shared=used.shared + launch.shared)
        threads = launch.threads
        out.append({**row, **vars(used), "threads": threads, "occupancy": used.occupancy(threads, listing.arch)})
    return out


def resource_table(found: Sequence[dict[str, Any]]) -> str:
    """`resource_rows` as text."""
    cells = [("#", "kernel", "threads", "registers", "shared", "spills", "occupancy", "flops", "bytes", "schedule")]
    for r in found:
        used = (str(r["threads"]), str(r["registers"]), str(r["shared"]), str(r["spills"] + r["stack"]))
        work = (f"{r['occupancy']:.0%}", count(r["flops"]), count(r["bytes"]), shorten(r["schedule"]))
        cells.append((str(r["number"]), r["name"], *used, *work))
    worst = sum(1 for r in found if r["spills"] or r["stack"])
    return (
        f"{grid(cells, right=(0, 2, 3, 4, 5, 6, 7, 8))}\n{len(found)} kernels, {worst} of them with spills or a stack"
    )
