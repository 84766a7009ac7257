"""Memory for programs: aligned, padded arrays.

Leans on NumPy. Every buffer starts on a cache line and is followed by `PAD` bytes, so that a kernel may read (never
write) as many whole vectors at a tail as a register tile is wide. Inputs, which are the user's memory, promise one
vector only.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

ALIGN = 64
PAD = 256
INPUT_PAD = 64
PAGE = 4096


def allocate(shape: tuple[int, ...], dtype: np.dtype[Any], nbytes: int) -> tuple[np.ndarray, int]:
    """An uninitialised aligned and padded array of `nbytes`, and its address."""
    raw = np.empty(nbytes + ALIGN + PAD, np.uint8)
    start = ctypes.addressof(ctypes.c_char.from_buffer(raw.data))
    offset = -start % ALIGN
    return np.ndarray(shape, dtype, raw, offset), start + offset


def address_of(array: np.ndarray) -> int:
    """Where the first element lies; the quick way serves arrays that are contiguous, writable and not empty."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    except (TypeError, ValueError, BufferError):
        return array.ctypes.data


def readable_past(end: int) -> bool:
    """Whether `INPUT_PAD` bytes from address `end` may be read because the byte before is on the same page."""
    return (end - 1) // PAGE == (end + INPUT_PAD - 1) // PAGE
