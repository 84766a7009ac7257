"""The artefact for a GPU: buffers as on the CPU, and kernels with their cubins and grids. Plain frozen data.

Leans on the CPU's `program` for buffers, arguments and checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..program import Arg, Program
from ..sizes import Poly, evaluate


@dataclass(frozen=True)
class CudaKernelSpec:
    """One launch of `symbol` in the cubin of `key`, with a 64-bit argument per entry of `args`.

    `threads` in each of as many blocks as `blocks` says: the product of `extent / size`, each rounded up.
    """

    name: str
    key: str
    symbol: str
    args: tuple[Arg, ...]
    threads: int
    blocks: tuple[tuple[Poly, int], ...]

    def grid(self, sizes: Mapping[str, int]) -> int:
        """How many blocks a run starts: none where a buffer is empty."""
        return math.prod(-(-evaluate(extent, sizes) // size) for extent, size in self.blocks)


@dataclass(frozen=True, eq=False)
class CudaProgram:
    """Everything an executable needs: `plan` has the buffers and checks (and no kernels), `cubins` code by key.
    `written` are the states that a run changes, as positions in the plan's buffers."""

    plan: Program
    kernels: tuple[CudaKernelSpec, ...]
    cubins: dict[str, bytes]
    written: frozenset[int] = frozenset()
