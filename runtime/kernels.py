"""The kinds of kernel that a program holds, and what a kernel is given. Plain frozen data.

Leans on `sizes` only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from .sizes import Poly, evaluate


@dataclass(frozen=True)
class BufferArg:
    """A table slot that holds a buffer's address."""

    buffer: int


@dataclass(frozen=True)
class SizeArg:
    """A table slot that holds a size, evaluated once per set of input shapes."""

    poly: Poly


Arg = BufferArg | SizeArg


@dataclass(frozen=True)
class KernelSpec:
    """A generated kernel: one call of `void symbol(int64* table, int64 thread, int64 threads)`.

    The table has a slot per argument.

    `key` is the content hash of its object code; `barrier` says that threads meet before the next kernel starts
    (they always meet at the end of a step). `cycles` is what it should cost one core, a factor times a size; None
    where nobody knows.
    """

    name: str
    key: str
    symbol: str
    args: tuple[Arg, ...]
    barrier: bool = True
    note: str = ""
    cycles: tuple[float, Poly] | None = None


@dataclass(frozen=True)
class CudaKernelSpec:
    """A generated kernel for a GPU: one launch of `symbol` in the cubin of `key`.

    It is given 64 bits per entry of `args`. `threads` run in each of as many blocks as `blocks` says: the product of
    `extent / size`, each rounded up. `shared`: bytes of dynamic shared memory of each block.
    """

    name: str
    key: str
    symbol: str
    args: tuple[Arg, ...]
    threads: int
    blocks: tuple[tuple[Poly, int], ...]
    shared: int = 0

    def grid(self, sizes: Mapping[str, int]) -> int:
        """How many blocks a run starts: none where a buffer is empty."""
        return math.prod(-(-evaluate(extent, sizes) // size) for extent, size in self.blocks)


@dataclass(frozen=True)
class CudaBatchSpec:
    """Kernels for a GPU of one code and with nothing to do with each other, in one launch of `symbol`.

    `args` are those of all of them, equally many each; `grids` has the `blocks` of each, as in `CudaKernelSpec`. The
    launch is given one address: that of its table.
    """

    name: str
    key: str
    symbol: str
    args: tuple[Arg, ...]
    threads: int
    grids: tuple[tuple[tuple[Poly, int], ...], ...]
    shared: ClassVar[int] = 0

    def table(self, addresses: Mapping[int, int], sizes: Mapping[str, int]) -> tuple[int, list[int]]:
        """(how many blocks a run starts, its table of 64-bit numbers: for each block the place of its kernel's row;
        then each kernel's row, its first block and its arguments)."""
        each = len(self.args) // len(self.grids)
        counts = [math.prod(-(-evaluate(extent, sizes) // size) for extent, size in grid) for grid in self.grids]
        given, blocks = arguments(self.args, addresses, sizes), sum(counts)
        places: list[int] = []
        rows: list[int] = []
        for i, count in enumerate(counts):
            rows += [len(places), *given[i * each : (i + 1) * each]]
            places += [blocks + i * (each + 1)] * count
        return blocks, places + rows


ROUTINES: Mapping[str, tuple[str, ...]] = MappingProxyType({"copy": ("bytes", "source", "target")})
"""The runtime's own routines (`routines.py`) and what each is given. `copy`: bytes of one buffer to another, which do
not overlap."""


@dataclass(frozen=True)
class Call:
    """One call of a routine out of `ROUTINES`, with one table slot per argument.

    `barrier` and `cycles` are as those of a generated kernel, among which it stands.
    """

    routine: str
    args: tuple[Arg, ...]
    barrier: bool = True
    cycles: tuple[float, Poly] | None = None

    @property
    def name(self) -> str:
        return self.routine


Kernel = KernelSpec | CudaKernelSpec | CudaBatchSpec | Call


def arguments(args: Sequence[Arg], addresses: Mapping[int, int], sizes: Mapping[str, int]) -> list[int]:
    """The numbers that a kernel is given: addresses by buffer, sizes by symbol."""
    return [addresses[a.buffer] if isinstance(a, BufferArg) else evaluate(a.poly, sizes) for a in args]
