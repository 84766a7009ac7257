"""The memory of kernels run in lockstep, and the threads that use it: what each element was last used for, and by whom.

Loads and stores are of many threads at once, and refuse what a GPU would do wrong without a word: places outside an
array, two threads at one element without a barrier in between, an element used while a copy to it is under way. Leans
on NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import CompileError

WARP = 32
NOBODY, MANY = -1, -2


class LockstepError(CompileError):
    """A kernel did what a GPU does not allow or does not define."""


@dataclass
class Threads:
    """The threads in flight: their ids, the mask of those that are active, and the barriers passed so far."""

    block_size: int
    ids: np.ndarray
    mask: np.ndarray | None = None
    epoch: int = 0
    checks: bool = True
    groups: list[list[Copy]] = field(default_factory=lambda: [[]])
    shared: list[MemoryAccess] = field(default_factory=list)

    @property
    def blocks(self) -> np.ndarray:
        return self.ids // self.block_size

    def spread(self, value: Any) -> np.ndarray:
        """A value as a vector over the threads."""
        return np.broadcast_to(np.asarray(value), self.ids.shape)

    def active(self) -> np.ndarray:
        return np.ones(self.ids.shape, bool) if self.mask is None else self.mask

    def converged(self, what: str, group: int = WARP) -> None:
        """Raises LockstepError where some threads of a group (a warp, a block) are active and others are not."""
        together = self.active().reshape(-1, group)
        if (together.any(1) != together.all(1)).any():
            raise LockstepError(f"{what} that not all threads take part in")

    def fence(self) -> None:
        """What has been written to shared memory is for products of warpgroups to see."""
        for access in self.shared:
            access.unfenced &= access.under_way

    def land(self, under_way: int) -> None:
        """Bring the copies of all but the latest `under_way` groups; the last group is the one not yet closed."""
        while len(self.groups) - 1 > under_way:
            for copy in self.groups.pop(0):
                copy.access.bring(copy)


@dataclass
class Copy:
    """Values on their way to places of an array, each brought by the thread that asked for it."""

    access: MemoryAccess
    places: np.ndarray
    values: np.ndarray
    threads: np.ndarray


class MemoryAccess:
    """Checked loads and stores of one array by many threads. `owner` and `reader` are the last thread at each element
    since `epoch` began (a barrier or, for global memory, the kernel)."""

    def __init__(self, threads: Threads, name: str, flat: np.ndarray, shared: bool) -> None:
        self.threads, self.name, self.flat, self.shared = threads, name, flat, shared
        self.writer = np.full(flat.size, NOBODY, np.int64)
        self.reader = np.full(flat.size, NOBODY, np.int64)
        self.under_way = np.zeros(flat.size if shared else 0, bool)
        self.unfenced, self.multiplied = self.under_way.copy(), self.under_way.astype(np.int64)
        threads.shared += [self] if shared else []
        self.epoch = threads.epoch

    def _renew(self) -> None:
        if self.shared and self.epoch != self.threads.epoch:
            self.writer[:] = NOBODY
            self.reader[:] = NOBODY
            self.epoch = self.threads.epoch

    def _places(self, place: np.ndarray, active: np.ndarray, what: str) -> np.ndarray:
        wrong = active & ((place < 0) | (place >= self.flat.size))
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            thread = int(self.threads.ids[i])
            raise LockstepError(
                f"{what} {self.name}[{int(place[i])}] of {self.flat.size} elements by thread "
                f"{thread % self.threads.block_size} of block {thread // self.threads.block_size}"
            )
        return np.where(active, place, 0)

    def load(self, place: np.ndarray) -> np.ndarray:
        active = self.threads.active()
        place = self._places(place, active, "load of")
        if not self.flat.size:
            return np.zeros(place.shape, self.flat.dtype)
        if self.threads.checks:
            self._renew()
            at, me = place[active], self.threads.ids[active]
            self._arrived(at, "reads")
            self._race((self.writer[at] != NOBODY) & (self.writer[at] != me), at, me, "reads what another wrote")
            self.reader[at] = np.where(self.reader[at] == NOBODY, me, np.where(self.reader[at] == me, me, MANY))
            first = np.full(self.flat.size, NOBODY, np.int64)
            first[at] = me
            self.reader[at[first[at] != me]] = MANY
        result: np.ndarray = self.flat[place]
        return result

    def store(self, place: np.ndarray, value: np.ndarray) -> None:
        active = self.threads.active()
        place = self._places(place, active, "store to")[active]
        me = self.threads.ids[active]
        if self.threads.checks and place.size:
            self._renew()
            self._arrived(place, "writes")
            other = (self.writer[place] != NOBODY) & (self.writer[place] != me)
            self._race(other, place, me, "writes what another wrote")
            other = (self.reader[place] != NOBODY) & (self.reader[place] != me)
            self._race(other, place, me, "writes what another read")
            self.writer[place] = me
            self._race(self.writer[place] != me, place, me, "writes what another writes")
            if self.shared:
                self._race(self.multiplied[place] > 0, place, me, "writes what a product under way reads")
                self.unfenced[place] = True
        self.flat[place] = value[active]

    def multiply(self, place: np.ndarray) -> None:
        """A product of a warpgroup begins to read elements. Raises LockstepError where that is too early."""
        self._renew()
        self._arrived(place, "multiplies")
        if self.unfenced[place].any() or (self.writer[place] != NOBODY).any():
            raise LockstepError("a product of what was written with no fence_async and no barrier in between")
        self.reader[place] = MANY
        np.add.at(self.multiplied, place, 1)

    def in_use(self) -> bool:
        """Has an element been used since the last barrier, or is one on its way?"""
        self._renew()
        return bool(((self.writer != NOBODY) | (self.reader != NOBODY)).any() or self.under_way.any())

    def send(self, place: np.ndarray, values: np.ndarray) -> None:
        """Begin to copy `values` to places that nobody may use until they have been brought."""
        active = self.threads.active()
        self.store(place, garbage(place.size, self.flat.dtype))
        self.under_way[place[active]] = True
        self.threads.groups[-1].append(Copy(self, place[active], values[active], self.threads.ids[active]))

    def bring(self, copy: Copy) -> None:
        """The values arrive: the thread that asked for them sees them now, others after a barrier."""
        self._renew()
        self.under_way[copy.places] = False
        self.unfenced[copy.places] = True
        self.flat[copy.places] = copy.values
        self.writer[copy.places] = copy.threads

    def _arrived(self, place: np.ndarray, what: str) -> None:
        if self.shared and self.under_way[place].any():
            raise LockstepError(f"a thread {what} an element of {self.name} that a copy has not brought yet")

    def _race(self, wrong: np.ndarray, place: np.ndarray, me: np.ndarray, what: str) -> None:
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            raise LockstepError(f"race at {self.name}[{int(place[i])}]: thread {int(me[i])} {what}, with no barrier")


class Global:
    """A pointer to global memory."""

    def __init__(self, access: MemoryAccess) -> None:
        self.access = access

    def __getitem__(self, place: Any) -> np.ndarray:
        return self.access.load(self.access.threads.spread(place))

    def __setitem__(self, place: Any, value: Any) -> None:
        threads, flat = self.access.threads, self.access.flat
        with np.errstate(all="ignore"):
            self.access.store(threads.spread(place), threads.spread(value).astype(flat.dtype))


class Shared(Global):
    """An array of each block, one after another in `access`. It starts with values that no kernel should use."""

    def __init__(self, threads: Threads, count: int, dtype: Any) -> None:
        self.count = count
        self.first = int(threads.blocks.min())
        blocks = int(threads.blocks.max()) - self.first + 1
        super().__init__(MemoryAccess(threads, "shared array", garbage(blocks * count, dtype), True))

    def within(self, place: Any) -> np.ndarray:
        threads = self.access.threads
        local = threads.spread(place)
        outside = threads.active() & ((local < 0) | (local >= self.count))
        if outside.any():
            raise LockstepError(f"shared array of {self.count} elements used at {int(local[outside][0])}")
        result: np.ndarray = local + (threads.blocks - self.first) * self.count
        return result

    def __getitem__(self, place: Any) -> np.ndarray:
        return super().__getitem__(self.within(place))

    def __setitem__(self, place: Any, value: Any) -> None:
        super().__setitem__(self.within(place), value)


class Local:
    """A register array of each thread, used at places that all threads agree on."""

    def __init__(self, threads: Threads, count: int, dtype: Any) -> None:
        self.threads = threads
        self.values = np.tile(garbage(count, dtype)[:, None], (1, threads.ids.size))
        self.under_way = np.zeros(count, np.int64)  # products that add to or read each

    def __getitem__(self, place: int) -> np.ndarray:
        result: np.ndarray = self.values[self._place(place)].copy()
        return result

    def __setitem__(self, place: int, value: Any) -> None:
        row = self.values[self._place(place)]
        row[:] = np.where(self.threads.active(), self.threads.spread(value), row)

    def _place(self, place: Any) -> int:
        if np.ndim(place) or not 0 <= place < len(self.values):
            raise LockstepError(f"register array of {len(self.values)} used at {place}")
        if self.under_way[place]:
            raise LockstepError("registers of a product under way are used")
        return int(place)


def garbage(count: int, dtype: Any) -> np.ndarray:
    kind = np.dtype(dtype)
    return np.full(count, np.nan if kind.kind == "f" else np.iinfo(kind).max, kind)
