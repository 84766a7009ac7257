"""The names of a kernel's arguments: one slot of its table per buffer and per size that is not a small number.

Text uses neutral names (`buf0`, `size0`), so that kernels of equal structure are equal text; `Names.pretty` gives them
the user's names for reading. Leans on `kernels` and `shapes`.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from ...loops.kernels import Buffer
from ...shapes import Dim, Size

LITERAL_SIZE = 16


class Names:
    """The kernel's arguments: one table slot per buffer and per size that is not a small number."""

    def __init__(self) -> None:
        self.buffers: dict[Buffer, str] = {}
        self.sizes: dict[Dim, str] = {}
        self.literal = LITERAL_SIZE

    def buffer(self, buffer: Buffer) -> str:
        return self.buffers.setdefault(buffer, f"buf{len(self.buffers)}")

    def size(self, size: Dim) -> str:
        """A size as text: small numbers stand as they are, others are read from the table."""
        if isinstance(size, int) and abs(size) <= self.literal:
            return str(size)
        return self.sizes.setdefault(size, f"size{len(self.sizes)}")

    def header(self) -> list[str]:
        """The lines that read the table."""
        lines = [f"{name} = size_at(table, {i})" for i, name in enumerate(self.sizes.values())]
        first = len(lines)
        return lines + [
            f"{name} = {b.dtype}_at(table, {first + i})" for i, (b, name) in enumerate(self.buffers.items())
        ]

    def pretty(self, text: str) -> str:
        """The text with the user's names."""
        taken: Counter[str] = Counter()
        table: dict[str, str] = {}
        for size, name in self.sizes.items():
            table[name] = f"n{size}" if isinstance(size, int) else _size_name(size)
        for buffer, name in self.buffers.items():
            wanted = _word(buffer.name)
            wanted = f"{wanted}_" if wanted in table.values() or wanted in _RESERVED or wanted[0].isdigit() else wanted
            taken[wanted] += 1
            table[name] = wanted if taken[wanted] == 1 else f"{wanted}_{taken[wanted]}"
        parts = list(_parted(text))
        parts[1::2] = [table.get(name, name) for name in parts[1::2]]
        return "".join(parts)


@lru_cache(1024)
def _parted(text: str) -> tuple[str, ...]:
    """A text in pieces, every second of which is a neutral name; kernels alike have the same text."""
    return tuple(re.split(r"\b((?:buf|size)\d+)\b", text))


@lru_cache(4096)
def _word(name: str) -> str:
    """A buffer's name as Python would have it."""
    return re.sub(r"\W+", "_", name).strip("_") or "value"


@lru_cache(1024)
def _size_name(size: Size) -> str:
    """`784*batch` as `batch_784`."""
    words = re.findall(r"\w+", str(size))
    return "_".join(sorted(words, key=lambda word: word[0].isdigit()))


_LOOPS = ["i", "j", "k", "p", "work", "rest", "piece", "pieces", "points"]
_RESERVED = frozenset(["table", "thread", "threads", *_LOOPS, "acc", "range", "min", "max", "where", "exp"])
