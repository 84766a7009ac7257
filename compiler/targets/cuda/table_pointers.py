"""Pointers that kernels read from a table, in lockstep: threads of different blocks may point to different memory.

Leans on `lockstep_memory` for the memory itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from .intrinsics import CASTS
from .lockstep_memory import Global, Threads


class FromTable:
    """Pointers to global memory that may differ between threads, each thread's at its `place` of a table."""

    def __init__(self, threads: Threads, at: Callable[[int], Global], table: Global, place: Any) -> None:
        addresses = table[place]
        self.threads = threads
        self.parts = [(at(int(a)), addresses == a) for a in np.unique(addresses)]

    def _each(self) -> Iterator[tuple[Global, np.ndarray]]:
        """Each memory, with the threads masked to those that point there."""
        before, active = self.threads.mask, self.threads.active()
        for memory, mine in self.parts:
            self.threads.mask = mine & active
            yield memory, mine
        self.threads.mask = before

    def __getitem__(self, place: Any) -> np.ndarray:
        found = [(mine, memory[place]) for memory, mine in self._each()]
        return np.select([mine for mine, _ in found], [values for _, values in found])

    def __setitem__(self, place: Any, value: Any) -> None:
        for memory, _ in self._each():
            memory[place] = value


def pointers(
    threads: Threads, at: Callable[[int, str], np.ndarray], memory: Callable[[int, str, np.ndarray], Global]
) -> dict[str, Callable[[Global, Any], FromTable]]:
    """The functions that read pointers from a table, by their names in kernel source. at: the array of a dtype at an
    address; memory: makes memory of it, known by its address."""

    def found(dtype: str, address: int) -> Global:
        return memory(address, f"memory at {address:#x}", at(address, dtype))

    return {f"{dtype}_at": partial(FromTable, threads, partial(found, dtype)) for dtype in CASTS}
