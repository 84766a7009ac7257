"""One printed kernel run at small sizes on memory that keeps which thread reads and writes which element.

Values are drawn: floats from [0, 1), integers 0 (which is a place in whatever they index), and constants as they are.
A run ends early where it takes too long; what it has seen until then still counts. Leans on `interpret`.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ....runtime.arena import INPUT_PAD, PAD
from ... import dtypes
from ...graph.bfloat16 import given
from ...loops.kernels import Buffer
from ...shapes import value
from ..base import Source
from .interpret import CASTS, AccessError, Memory, loaded
from .shares import in_small_pieces

ACCESSES = 100_000
"""Of buffers, by all threads of one run; about 0.3 s."""
ELEMENTS = 1 << 22
"""Buffers beyond that are not allocated."""
DRAWN = 1024

Sizes = Mapping[str, int]


class Enough(Exception):
    """A thread has made its share of accesses."""


@dataclass(frozen=True)
class Watch:
    """Stop at this access: of `thread`, to an element of the buffer with that number in the kernel's table."""

    buffer: int
    element: int
    thread: int
    write: bool


class Traced(Memory):
    """A buffer that keeps who reads and writes each element, a bit for each thread, and allocates no values."""

    def __init__(self, name: str, dtype: str, count: int, slack: int, values: Sequence[Any]) -> None:
        """values: what its elements hold before they are written, over and over."""
        super().__init__(name, dtype, list(values), slack)
        self.count = count
        self.reads, self.writes = bytearray(count), bytearray(count)
        self.stored: dict[int, Any] = {}
        self.bit, self.left = 1, 0
        self.watched = (-1, False)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self.count:
            return self.beyond(index)
        self.seen(index, False)
        self.reads[index] |= self.bit
        known = self.stored.get(index)
        return self.values[index % len(self.values)] if known is None else known

    def __setitem__(self, index: int, value: Any) -> None:
        if not 0 <= index < self.count:
            raise AccessError(f"{self.name}[{index}] is written, of {self.count} elements")
        self.seen(index, True)
        if self.writes[index]:
            first, second = (bit.bit_length() - 1 for bit in (self.writes[index], self.bit))
            raise AccessError(f"{self.name}[{index}] is written twice, by thread {first} and then by thread {second}")
        self.writes[index] = self.bit
        self.stored[index] = self.cast(value)

    def seen(self, index: int, write: bool) -> None:
        if (index, write) == self.watched:
            raise AccessError(f"{self.name}[{index}] is {'written' if write else 'read'}")
        self.left -= 1
        if self.left < 0:
            raise Enough


@dataclass(frozen=True)
class Run:
    """What a kernel did: of each buffer in its table, who read and who wrote every element, a bit for each thread.

    complete: no thread was stopped. fault: the first access that is not legal, in words, and the line of the text where
    it stands; "" where there is none.
    """

    reads: tuple[np.ndarray, ...]
    writes: tuple[np.ndarray, ...]
    complete: bool
    fault: str = ""
    line: int = 0


def too_large(source: Source, sizes: Sizes) -> bool:
    """Does the kernel use a buffer that is not to be allocated?"""
    return any(count_of(b, sizes) > ELEMENTS for b in source.names.buffers)


def count_of(buffer: Buffer, sizes: Sizes) -> int:
    """How many elements a buffer takes, with the gaps in it."""
    return int(np.prod([value(d, sizes) for d in buffer.shape], dtype=np.int64)) + value(buffer.slack, sizes)


def run(source: Source, sizes: Sizes, threads: int, watch: Watch | None = None) -> Run:
    """One run of a kernel by all threads, one after the other."""
    numbers = [value(d, sizes) for d in source.names.sizes]
    memories = [_memory(b, sizes) for b in source.names.buffers]
    kernel = _loaded(in_small_pieces(source.text))
    complete, fault, line = True, "", 0
    for thread in range(threads):
        for i, memory in enumerate(memories):
            memory.bit, memory.left = 1 << thread, ACCESSES // threads
            here = watch is not None and (watch.buffer, watch.thread) == (i, thread)
            memory.watched = (watch.element, watch.write) if watch is not None and here else (-1, False)
        try:
            kernel([*numbers, *memories], thread, threads)
        except Enough:
            complete = False
        except AccessError as error:
            fault, line = f"{error}{_within(error)}", _line(error)
            break
    reads, writes = (
        tuple(np.frombuffer(x, np.uint8) for x in e) for e in zip(*((m.reads, m.writes) for m in memories))
    )
    return Run(reads, writes, complete, fault, line)


@lru_cache(maxsize=64)
def _loaded(text: str) -> Any:
    return loaded(text)


def _line(error: BaseException) -> int:
    """Where in the kernel's text an error was raised."""
    return [f.lineno or 0 for f in traceback.extract_tb(error.__traceback__) if f.filename == "<kernel>"][-1]


def _within(error: BaseException) -> str:
    """The tile in which an error was raised, if any."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if f.filename.startswith("<") and f.filename != "<kernel>"]
    return f" in line {inside[-1].lineno} of {inside[-1].name}" if inside else ""


def _memory(buffer: Buffer, sizes: Sizes) -> Traced:
    count, item = count_of(buffer, sizes), dtypes.ITEMSIZE[buffer.dtype]
    slack = (INPUT_PAD if buffer.kind in ("input", "slice") else PAD) // item
    return Traced(buffer.name, buffer.dtype, count, slack, _values(buffer))


def _values(buffer: Buffer) -> list[Any]:
    """What the buffer holds, over and over."""
    if buffer.kind == "constant" and buffer.node is not None:
        array = given(buffer.node.attrs.value.array, buffer.dtype)
        placed = list(np.ascontiguousarray(array.transpose(buffer.order)).reshape(-1))
        return [CASTS[buffer.dtype](each) for each in placed] or [CASTS[buffer.dtype](0)]
    if not dtypes.is_float(buffer.dtype):
        return [CASTS[buffer.dtype](0)]
    return _drawn(buffer.dtype)


@lru_cache(maxsize=8)
def _drawn(dtype: str) -> list[Any]:
    return [CASTS[dtype](each) for each in np.random.default_rng(0).random(DRAWN)]
