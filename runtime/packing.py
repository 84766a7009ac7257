"""Places in one arena for buffers that are in use at different times.

Two ways, the smaller result of which is taken. Programs of up to `FEW` temporaries try every place below; of larger
ones each place is found in a tree of free rectangles (so many bytes, for such a stretch of phases), in n log n steps.
Leans on `arena` for alignment.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from .arena import ALIGN, PAD

FEW = 1024
KEPT = 4

Life = tuple[int, int]


def plan(sizes: Sequence[int], lifetimes: Sequence[Life]) -> tuple[list[int], int]:
    """Offsets in one arena for buffers of `sizes` bytes in use from the first to the last phase, and its size.

    Buffers share memory only where their lifetimes do not overlap.
    """
    rooms = [-(-(size + PAD) // ALIGN) * ALIGN for size in sizes]
    found = _in_rectangles(rooms, lifetimes)
    if len(sizes) > FEW:
        return found
    return min(_lowest(rooms, lifetimes), found, key=lambda offsets_and_size: offsets_and_size[1])


@dataclass
class Plans:
    """The plans of one program's temporaries. What was planned for a batch serves smaller ones as it is."""

    lifetimes: Sequence[Life]
    _known: list[tuple[list[int], list[int], int]] = field(default_factory=list)

    def for_sizes(self, sizes: Sequence[int]) -> tuple[list[int], int]:
        """As `plan`; or offsets that were kept, where no buffer is larger than it was then."""
        for planned, offsets, total in self._known:
            if all(size <= most for size, most in zip(sizes, planned, strict=True)):
                return offsets, total
        return plan(sizes, self.lifetimes)

    def keep(self, sizes: Sequence[int], offsets: list[int], total: int) -> None:
        """Keep a plan for which there was memory."""
        if not any(known is offsets for _, known, _ in self._known):
            self._known = [(list(sizes), offsets, total), *self._known][:KEPT]


def _lowest(rooms: Sequence[int], lifetimes: Sequence[Life]) -> tuple[list[int], int]:
    """Largest first, each at the lowest offset that is free for its whole life; looks at every buffer before it."""
    offsets = [0] * len(rooms)
    placed: list[tuple[int, int, int, int]] = []
    total = 0
    for index in sorted(range(len(rooms)), key=lambda index: -rooms[index]):
        first, last = lifetimes[index]
        room, offset = rooms[index], 0
        for start, end, since, until in placed:
            if since <= last and first <= until:
                if offset + room <= start:
                    break
                offset = max(offset, end)
        offsets[index] = offset
        placed.append((offset, offset + room, first, last))
        placed.sort()
        total = max(total, offset + room)
    return offsets, total


@dataclass(frozen=True, order=True)
class _Free:
    """`height` bytes from `bottom`, free from phase `since` through `until`. Ordered tallest first."""

    below: int
    since: int
    until: int
    bottom: int

    @property
    def height(self) -> int:
        return -self.below


def _in_rectangles(rooms: Sequence[int], lifetimes: Sequence[Life]) -> tuple[list[int], int]:
    """Largest first, each in the free rectangle around its life that begins last, which is cut to what remains."""
    phases = max((last for _, last in lifetimes), default=0) + 1
    tall = _Rectangles(phases)
    rest: list[_Free] = []
    offsets = [0] * len(rooms)
    total = 0
    for index in sorted(range(len(rooms)), key=lambda index: (-rooms[index], lifetimes[index])):
        (first, last), room = lifetimes[index], rooms[index]
        while rest and rest[0].height >= room:
            tall.add(heapq.heappop(rest))
        found = tall.take(first, last)
        if found is None:
            found = _Free(-room, 0, phases - 1, total)
            total += room
        offsets[index] = bottom = found.bottom
        if found.since < first:
            heapq.heappush(rest, _Free(-room, found.since, first - 1, bottom))
        if last < found.until:
            heapq.heappush(rest, _Free(-room, last + 1, found.until, bottom))
        if room < found.height:
            heapq.heappush(rest, _Free(room - found.height, found.since, found.until, bottom + room))
    return offsets, total


class _Rectangles:
    """Free rectangles by the phase from which they are free: a tree of the latest end among each half's."""

    def __init__(self, phases: int) -> None:
        self.leaves = 1 << (phases - 1).bit_length()
        self.latest = [-1] * (2 * self.leaves)
        self.since: list[list[tuple[int, _Free]]] = [[] for _ in range(self.leaves)]

    def add(self, free: _Free) -> None:
        heapq.heappush(self.since[free.since], (-free.until, free))
        self._update(free.since)

    def take(self, first: int, last: int) -> _Free | None:
        """One that is free from `first` through `last`, of those the one that begins last; it is removed."""
        node = first + self.leaves
        while self.latest[node] < last:  # the nearest part to the left in which one ends late enough
            while node % 2 == 0:
                node //= 2
            if node == 1:
                return None
            node -= 1
        while node < self.leaves:
            node = 2 * node + (self.latest[2 * node + 1] >= last)
        leaf = node - self.leaves
        _, free = heapq.heappop(self.since[leaf])
        self._update(leaf)
        return free

    def _update(self, leaf: int) -> None:
        node, ends = leaf + self.leaves, self.since[leaf]
        self.latest[node] = -ends[0][0] if ends else -1
        while node > 1:
            node //= 2
            self.latest[node] = max(self.latest[2 * node], self.latest[2 * node + 1])
