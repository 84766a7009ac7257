"""Copies from and to the host through page-locked memory, which the GPU reads and writes by itself.

A ring of pieces: while the GPU copies some, the host fills or empties others, and goes on to what comes next; pageable
memory would make it wait for every copy. A piece is used again when the event behind its copies has come. The caller
has the GPU's turn. Leans on `driver`.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .driver import Gpu

PIECE, PIECES = 1 << 20, 16
"""Bytes of a piece, and how many there are at most: 20 microseconds of a link of 50 GB/s, and 16 MiB per program."""


@dataclass
class Piece:
    """Page-locked bytes at `address`, of which `used` are in use; `coming` are (target, what comes for it)."""

    address: int
    memory: np.ndarray
    event: Any
    used: int = 0
    coming: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def empty(self) -> None:
        """Hand out what has come."""
        for target, came in self.coming:
            target[...] = came
        self.coming.clear()
        self.used = 0


class Staging:
    """A program's pieces. Arrays given to `up` may change at once; those given to `down` are complete after `end`."""

    def __init__(self, driver: Gpu) -> None:
        self._driver = driver
        self._pieces: list[Piece] = []
        self._at = 0
        self._open = False

    def begin(self) -> None:
        """Before a run: also after one that failed on its way, whose copies may still be under way."""
        if self._open:
            self._driver.synchronize()
            for piece in self._pieces:
                piece.coming.clear()
        self._rewind()
        self._open = True

    def end(self) -> None:
        """After all that is in the stream has ended."""
        self._rewind()
        self._open = False

    def up(self, address: int, array: np.ndarray) -> None:
        """A contiguous array to the device, in the stream's order."""
        given = _bytes(array)
        for start in range(0, given.size, PIECE):
            part = given[start : start + PIECE]
            _, place = self._room(part.size)
            place[...] = part
            self._driver.upload(address + start, place)

    def down(self, array: np.ndarray, address: int) -> None:
        """Memory of the device to a contiguous array, in the stream's order."""
        wanted = _bytes(array)
        for start in range(0, wanted.size, PIECE):
            part = wanted[start : start + PIECE]
            piece, place = self._room(part.size)
            self._driver.download(place, address + start)
            piece.coming.append((part, place))

    def rows(self, nbytes: int) -> int:
        """How many rows of that many bytes fit in a piece; at least one."""
        return max(PIECE // max(nbytes, 1), 1)

    def _rewind(self) -> None:
        for piece in self._pieces:
            piece.empty()
        self._at = 0

    def _room(self, nbytes: int) -> tuple[Piece, np.ndarray]:
        """A piece, and that many of its bytes that nothing uses."""
        if not self._pieces:
            self._pieces.append(self._new())
        piece = self._pieces[self._at]
        if piece.used + nbytes > PIECE:
            piece = self._next()
        place = piece.memory[piece.used : piece.used + nbytes]
        piece.used += nbytes
        return piece, place

    def _next(self) -> Piece:
        """The piece after the present one, which is full, once its own copies have ended."""
        self._driver.mark(self._pieces[self._at].event)
        self._at = (self._at + 1) % PIECES
        if self._at == len(self._pieces):
            self._pieces.append(self._new())
        piece = self._pieces[self._at]
        if piece.used:
            self._driver.wait(piece.event)
            piece.empty()
        return piece

    def _new(self) -> Piece:
        driver = self._driver
        address, event = driver.allocate_host(PIECE), driver.event()
        driver.with_end_of(self, driver.free_host, address)
        driver.with_end_of(self, driver.free_event, event)
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * PIECE).from_address(address))
        return Piece(address, memory, event)


def _bytes(array: np.ndarray) -> np.ndarray:
    """The bytes of a contiguous array, in place."""
    return array.reshape(-1).view(np.uint8)
