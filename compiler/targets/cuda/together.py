"""Small kernels alike in one launch: the updates of a network's parameters, sums and statistics of its channels.

A launch in a graph costs a microsecond, and a kernel of few blocks leaves most of a GPU idle. Kernels of one text up to
buffers and sizes (`printer.print_member`) that do not depend on each other become members of one. To bring them
together, kernels are put in a new order: those that stay alone as soon as they can, small ones when others wait for
them, and those that nothing waits for, such as updates, at the end, or when they hold much memory until then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import groupby

from ...dtypes import ITEMSIZE
from ...loops.kernels import Buffer, Kernel
from ...shapes import nominal, product
from .printer import print_member
from .schedule import PerGroup, PerStrip, PerThread, Together

SMALL = 16 << 20
"""A kernel that moves more bytes gains nothing by company: it has blocks enough and takes many times its launch."""

HELD = 64 << 20
"""Bytes that kernels which nothing waits for may keep alive between them."""

Class = tuple[str, tuple[str, ...]]
"""What kernels in one launch have in common: text and kinds of buffers."""


def together(kernels: Sequence[Kernel]) -> list[Kernel]:
    """The kernels in an order that is as good, in which those alike are one. Stretches of loops stay as they are."""
    parts = [list(part) for _, part in groupby(kernels, lambda k: k.loop or k)]
    likes = [_like(part[0]) if len(part) == 1 else None for part in parts]
    made: list[Kernel] = []
    for chosen in _Order(parts, [like and like[0] for like in likes]):
        found = [like[1] for i in chosen if (like := likes[i]) is not None]
        made += [_one(found)] if len(found) > 1 else [k for i in chosen for k in parts[i]]
    return made


def _like(kernel: Kernel) -> tuple[Class, Kernel] | None:
    """(what it has in common with others, the kernel as one of several) of a small kernel."""
    if kernel.loop is not None or nominal(kernel.bytes()) > SMALL:
        return None
    if not isinstance(kernel.schedule, PerThread | PerGroup | PerStrip):
        return None
    schedule = kernel.schedule
    if isinstance(schedule, PerThread) and schedule.vector > 1 and any(e.kind == "reduce" for e in kernel.expressions):
        return None  # its loads would be under way one by one
    if isinstance(schedule, PerThread | PerStrip):
        schedule = replace(schedule, vector=1)
    member = replace(kernel, schedule=schedule)
    source = print_member(member)
    kinds = tuple(b.dtype for b in source.names.buffers)
    return (source.text, kinds), member


def _one(members: Sequence[Kernel]) -> Kernel:
    """One kernel of all the members' stores."""
    return Kernel(
        f"{members[0].name}_and_{len(members) - 1}_more",
        tuple(x for k in members for x in k.axes),
        tuple(s for k in members for s in k.stores),
        tuple(n for k in members for n in k.nodes),
        (
            f"{len(members)} small kernels of one text share a launch",
            *dict.fromkeys(r for k in members for r in k.reasons),
        ),
        Together(tuple(members)),
    )


class _Order:
    """Goes through parts of a program, some of which are of a class, by numbers: those to run next, of one class where
    they are several. None is gone through before those it depends on."""

    def __init__(self, parts: Sequence[Sequence[Kernel]], classes: Sequence[Class | None]) -> None:
        self.classes = classes
        self.after, self.waits = _dependences(parts)
        self.held = [_held(part) for part in parts]
        self.alone: list[int] = []
        self.ready: dict[Class, list[int]] = {}
        for i, count in enumerate(self.waits):
            if not count:
                self._add(i)

    def _add(self, i: int) -> None:
        kind = self.classes[i]
        if kind is None:
            heappush(self.alone, i)
        else:
            self.ready.setdefault(kind, []).append(i)

    def __iter__(self) -> Iterator[list[int]]:
        while self.alone or self.ready:
            chosen = self._next()
            yield chosen
            for i in chosen:
                for j in self.after[i]:
                    self.waits[j] -= 1
                    if not self.waits[j]:
                        self._add(j)

    def _next(self) -> list[int]:
        held = {kind: sum(self.held[i] for i in found) for kind, found in self.ready.items()}
        if sum(held.values()) > HELD:
            return self._taken(max(held, key=held.__getitem__))
        if self.alone:
            return [heappop(self.alone)]
        needed = [kind for kind, found in self.ready.items() if any(self.after[i] for i in found)]
        return self._taken(min(needed or self.ready, key=lambda kind: min(self.ready[kind])))

    def _taken(self, kind: Class) -> list[int]:
        return sorted(self.ready.pop(kind))


def _dependences(parts: Sequence[Sequence[Kernel]]) -> tuple[list[set[int]], list[int]]:
    """(the parts that must come after each, how many each must wait for): those that use what it writes, or write what
    it uses, and came after it."""
    after: list[set[int]] = [set() for _ in parts]
    waits: list[set[int]] = [set() for _ in parts]
    writer: dict[Buffer, int] = {}
    readers: dict[Buffer, list[int]] = {}
    for i, part in enumerate(parts):
        reads = {b.memory for k in part for b in k.reads()}
        writes = {b.memory for k in part for b in k.writes()}
        waits[i] |= {writer[b] for b in reads | writes if b in writer}
        waits[i] |= {j for b in writes for j in readers.get(b, ())}
        for b in writes:
            writer[b], readers[b] = i, []
        for b in reads - writes:
            readers.setdefault(b, []).append(i)
    for i, before in enumerate(waits):
        for j in before:
            after[j].add(i)
    return after, [len(before) for before in waits]


def _held(part: Sequence[Kernel]) -> int:
    """Bytes of memory for a while that a part reads."""
    temps = {b for k in part for b in k.reads() if b.kind == "temp"}
    return sum(nominal(product(b.shape)) * ITEMSIZE[b.dtype] for b in temps)
