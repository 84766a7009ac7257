"""Kernels run without a GPU: all threads in lockstep, every variable of a thread a NumPy vector over the threads.

The source that numba-cuda compiles is rewritten (`divergence.py`) so that a condition which differs between threads
becomes a mask, and executed with a `cuda` of vectors. It computes what the kernel computes, and refuses what a GPU
would do wrong without a word: accesses outside a buffer, a barrier that not all threads reach, a shuffle with absent
lanes, two threads at one element without a barrier in between, an element used while a copy to it is under way. Time,
32-bit overflow of sizes and the order of memory between blocks are not modelled. Leans on NumPy and on
`intrinsics.TWINS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...loops.definition import python, scalar, split
from . import divergence, lockstep_panels, lockstep_wgmma
from .intrinsics import CASTS, TWINS
from .lockstep_memory import WARP, Global, Local, MemoryAccess, Shared, Threads
from .lockstep_panels import Panel
from .table_pointers import pointers

AT_ONCE = 1 << 16
"""So many threads are held in one vector; grids of more run block by block, some blocks at a time."""


class Cast:
    """`float32(x)` of a number or a vector, and the dtype of an array."""

    def __init__(self, name: str) -> None:
        self.dtype = np.dtype(name)

    def __call__(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(x).astype(self.dtype)[()]


@dataclass
class Device:
    """What kernel source calls `cuda`."""

    threads: Threads
    threadIdx: Any = field(init=False)
    blockIdx: Any = field(init=False)

    def __post_init__(self) -> None:
        self.threadIdx = SimpleNamespace(x=self.threads.ids % self.threads.block_size)
        self.blockIdx = SimpleNamespace(x=self.threads.blocks)
        self.shared = SimpleNamespace(array=lambda n, kind, alignment=0: Shared(self.threads, n, kind.dtype))
        self.local = SimpleNamespace(array=lambda n, kind: Local(self.threads, n, kind.dtype))

    def syncthreads(self) -> None:
        self.threads.converged("a barrier", self.threads.block_size)
        self.threads.epoch += 1

    def shfl_xor_sync(self, lanes: int, value: Any, step: int) -> np.ndarray:
        self.threads.converged("a shuffle" if lanes == 0xFFFFFFFF else "a shuffle of some lanes")
        rows = self.threads.spread(value).reshape(-1, WARP)
        return rows[:, np.arange(WARP) ^ step].reshape(-1)


class Masks:
    """What the rewritten source calls for conditions, loops and assignments that differ between threads."""

    def __init__(self, threads: Threads) -> None:
        self.threads = threads

    def varies(self, condition: Any) -> bool:
        return np.ndim(condition) > 0

    def enter(self, condition: Any) -> np.ndarray | None:
        before = self.threads.mask
        if self.varies(condition):
            self.threads.mask = self.threads.active() & condition
        return before

    def leave(self, before: np.ndarray | None) -> None:
        self.threads.mask = before

    def merge(self, new: Any, old: Any) -> Any:
        """The new value where the thread is active."""
        if self.threads.mask is None or old is None:
            return new
        if isinstance(new, Panel):
            return new.merged(self.threads.mask, old)
        with np.errstate(all="ignore"):
            return np.where(self.threads.mask, self.threads.spread(new), self.threads.spread(old))

    def steps(self, *bounds: Any) -> Iterator[Any]:
        """`range`, where each thread may have bounds of its own: a thread past its end waits."""
        start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
        if np.ndim(start) == 0 and np.ndim(stop) == 0:
            yield from range(int(start), int(stop), int(step))
            return
        before = self.threads.mask
        at = self.threads.spread(start).astype(np.int64)
        while True:
            running = at < stop
            self.threads.mask = running if before is None else before & running
            if not self.threads.mask.any():
                break
            yield at
            at = at + step
        self.threads.mask = before


def run(
    text: str,
    block_size: int,
    blocks: int,
    arguments: Sequence[Any],
    checks: bool = True,
    at: Callable[[int, str], np.ndarray] | None = None,
) -> None:
    """Run `def kernel(...)` on arguments in order: integers, and flat arrays, which it reads and writes.

    `at`: (address, dtype) -> the flat array there, for addresses in a table. `checks`: also look for races, at some
    cost. Raises LockstepError for what a GPU does not allow or define.
    """
    if blocks <= 0:
        return
    definitions, kernel = split(text)
    code, functions = divergence.compiled(kernel), python(definitions)
    at_once = max(1, AT_ONCE // block_size) * block_size
    owners: dict[int, MemoryAccess] = {}
    for first in range(0, blocks * block_size, at_once):
        ids = np.arange(first, min(first + at_once, blocks * block_size))
        threads = Threads(block_size, ids, checks=checks)
        device = Device(threads)
        names = {
            "cuda": device,
            "masks": Masks(threads),
            "both": np.logical_and,
            "either": np.logical_or,
            "opposite": np.logical_not,
            "INFINITY": np.inf,
            "NAN": np.nan,
            "min": lambda *each: reduce(np.minimum, each),
            "max": lambda *each: reduce(np.maximum, each),
            **TWINS,
            **{name: Cast(name) for name in CASTS},
        }
        names |= lockstep_panels.functions(threads) | lockstep_wgmma.functions(threads)
        names |= {name: partial(_each_active, threads, function) for name, function in functions.items()}
        memory = partial(_memory, owners, threads)
        names |= pointers(threads, at, memory) if at else {}
        given = [memory(i, f"argument {i}", a) if np.ndim(a) else int(a) for i, a in enumerate(arguments)]
        exec(code, names)
        with np.errstate(all="ignore"):
            names["kernel"](*given)  # type: ignore[operator]


def _memory(owners: dict[int, MemoryAccess], threads: Threads, key: int, name: str, array: np.ndarray) -> Global:
    """Global memory as these threads see it, which remembers what those before did there."""
    access = owners.setdefault(key, MemoryAccess(threads, name, array, False))
    access.threads = threads
    return Global(access)


def _each_active(threads: Threads, function: Callable[..., Any], *args: Any) -> np.ndarray:
    """A user's function of each active thread's values; other threads have values that it need not take."""
    active = threads.active()
    given = [threads.spread(x)[active] for x in args]
    values = np.asarray([function(*map(scalar, each)) for each in zip(*given)])
    result = np.zeros(active.shape, values.dtype)
    result[active] = values
    return result
