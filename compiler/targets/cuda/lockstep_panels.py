"""What `shared_memory` means in lockstep: addresses of panels, copies to them, fragments that a warp loads together.

An address is a panel and a number of bytes in it, for each thread. Leans on `lockstep_memory` and on NumPy.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .lockstep_memory import WARP, Global, LockstepError, MemoryAccess, Shared, Threads
from .mma import round_bfloat16
from .shared_memory import COPIES, WAITS

ROW, MATRIX = 16, 8
"""Bytes of a matrix' row; its rows."""


class Panel:
    """An address in a block's panel: an array of it, and each thread's bytes from its beginning."""

    def __init__(self, shared: Shared, first: int, place: Any = 0) -> None:
        self.shared, self.first, self.place = shared, first, place

    def __add__(self, nbytes: Any) -> Panel:
        return Panel(self.shared, self.first, self.place + nbytes)

    def merged(self, mask: np.ndarray, old: Panel) -> Panel:
        """This address for the threads of the mask, the old one for the others."""
        return Panel(self.shared, self.first, np.where(mask, self.place, old.place))

    def elements(self, nbytes: int) -> np.ndarray:
        """Each thread's element, where `nbytes` are used. Raises LockstepError for a place that is no multiple."""
        threads = self.shared.access.threads
        place = threads.spread(self.place)
        if ((self.first + place) % nbytes != 0)[threads.active()].any():
            raise LockstepError(f"{nbytes} bytes of shared memory used at a place that is no multiple of them")
        result: np.ndarray = place // self.shared.access.flat.itemsize
        return result


def functions(threads: Threads) -> dict[str, Any]:
    """The functions by their names in kernel source."""

    taken: list[tuple[int, int, MemoryAccess]] = []

    def panel(first: int, count: int, kind: Any) -> Panel:
        array = Shared(threads, count, kind.dtype)
        end = first + count * array.access.flat.itemsize
        for start, stop, access in taken:
            if start < end and first < stop and access.in_use():
                raise LockstepError("shared memory used for something else with no barrier in between")
        taken.append((first, end, array.access))
        return Panel(array, first)

    def store(at: Panel, x: Any) -> None:
        array = at.shared
        array[at.elements(array.access.flat.itemsize)] = x

    return {
        "panel": panel,
        "shared_float32": lambda at: at.shared[at.elements(4)],
        "store_4": _store_4,
        **{f"load_shared_{n}": partial(_load_neighbours, n) for n in (2, 4)},
        **{f"load_{n}": partial(_load_global, threads, n) for n in (1, 2, 4)},
        **{f"store_shared_{n}": partial(_store_neighbours, n) for n in (2, 4)},
        "pack_shared": _pack_shared,
        "store_shared_float32": store,
        "store_shared_word": store,
        "store_shared_bfloat16": lambda at, x: store(at, round_bfloat16(threads.spread(x))),
        "load_matrices": partial(_load_matrices, threads, False),
        "load_matrices_transposed": partial(_load_matrices, threads, True),
        **{f"copy_async_{n}": partial(_copy_async, threads, n) for n in COPIES},
        "copy_cached_16": partial(_copy_async, threads, 16),
        "commit_copies": partial(_commit, threads),
        **{f"wait_copies_{n}": partial(threads.land, n) for n in WAITS},
    }


def _load_neighbours(count: int, part: Any, first: int, at: Panel) -> None:
    place = at.elements(4 * count)
    for i in range(count):
        part[first + i] = at.shared[place + i]


def _aligned(memory: Global, index: Any, count: int, what: str) -> None:
    threads, flat = memory.access.threads, memory.access.flat
    start = flat.ctypes.data // flat.itemsize + threads.spread(index).astype(np.int64)
    if (start % count != 0)[threads.active()].any():
        raise LockstepError(f"{count} neighbours {what} at a place that is no multiple of them")


def _store_4(target: Global, index: Any, values: Any) -> None:
    _aligned(target, index, 4, "stored")
    for i in range(4):
        target[index + i] = values[i]


def _load_global(threads: Threads, count: int, part: Any, first: int, source: Global, index: Any, valid: Any) -> None:
    before = threads.mask
    threads.mask = wanted = threads.active() & threads.spread(valid)
    _aligned(source, index, count, "loaded")
    found = [source[index + i] for i in range(count)]
    threads.mask = before
    for i, values in enumerate(found):
        part[first + i] = np.where(wanted, values, 0).astype(values.dtype)


def _store_neighbours(count: int, at: Panel, *values: Any) -> None:
    place = at.elements(4 * count)
    for i, value in enumerate(values):
        at.shared[place + i] = value


def _pack_shared(at: Panel) -> Any:
    place = at.elements(8)
    low, high = (round_bfloat16(at.shared[place + i]).astype(np.uint32) for i in range(2))
    return low | (high << np.uint32(16))


def _load_matrices(threads: Threads, transposed: bool, part: Any, first: int, at: Panel) -> None:
    """Lane l holds of matrix i its row l // 4, the four bytes l % 4, or transposed: column l // 4, the elements
    2 (l % 4) and 2 (l % 4) + 1. Lanes 8 i to 8 i + 7 have the addresses of matrix i's rows."""
    threads.converged("a load of matrices")
    size = at.shared.access.flat.itemsize
    rows = at.elements(ROW).reshape(-1, WARP)
    lanes = np.arange(WARP)
    group, quad = lanes // 4, lanes % 4
    for i in range(4):
        if transposed:
            places = [rows[:, MATRIX * i + 2 * quad + e] + group for e in range(2)]
        else:
            places = [rows[:, MATRIX * i + group] + quad * (4 // size) + e for e in range(4 // size)]
        found = [at.shared[place.reshape(-1)] for place in places]
        if size == 4:
            part[first + i] = found[0].view(np.uint32)
        else:
            part[first + i] = found[0].astype(np.uint32) | (found[1].astype(np.uint32) << np.uint32(16))


def _copy_async(threads: Threads, nbytes: int, at: Panel, source: Global, index: Any, valid: Any) -> None:
    """Elements that arrive with their group; zeros where not `valid`, and then nothing is read."""
    memory, array = source.access.flat, at.shared
    count = nbytes // memory.itemsize
    place, index = at.elements(nbytes), threads.spread(index).astype(np.int64)
    start = memory.ctypes.data // memory.itemsize
    wanted = threads.active() & threads.spread(valid)
    if (((start + index) % count != 0) & wanted).any():
        raise LockstepError(f"a copy of {nbytes} bytes from a place that is no multiple of them")
    if memory.itemsize != array.access.flat.itemsize:
        raise LockstepError("a copy between arrays of different types")
    before = threads.mask
    for i in range(count):
        threads.mask = wanted
        found = source[index + i]
        threads.mask = before
        array.access.send(array.within(place + i), np.where(wanted, found, 0).astype(array.access.flat.dtype))


def _commit(threads: Threads) -> None:
    threads.converged("a group of copies")
    threads.groups.append([])
