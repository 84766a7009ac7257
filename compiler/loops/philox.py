"""NumPy twins of the kernels' random numbers: Philox-4x32 of ten rounds, and uniform floats from its bits.

The constants are those of the published generator (Salmon, Moraes, Dror and Shaw, 2011); `mathlib.py` emits the same
arithmetic as LLVM IR. Leans on NumPy alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

PHILOX_ROUNDS = 10
PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
PHILOX_WEYL = (0x9E3779B9, 0xBB67AE85)

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox_reference(counter: tuple[ArrayLike, ...], key: tuple[ArrayLike, ...]) -> tuple[NDArray[np.uint32], ...]:
    """Four arrays of uint32 for a counter of four and a key of two (arrays or numbers, broadcast together)."""
    c0, c1, c2, c3 = (np.asarray(each).astype(np.uint64) & _LOW for each in counter)
    k0, k1 = (np.asarray(each).astype(np.uint64) & _LOW for each in key)
    m0, m1 = (np.uint64(each) for each in PHILOX_MULTIPLIERS)
    w0, w1 = (np.uint64(each) for each in PHILOX_WEYL)
    for _ in range(PHILOX_ROUNDS):
        p0, p1 = c0 * m0, c2 * m1
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + w0) & _LOW, (k1 + w1) & _LOW
    return tuple(each.astype(np.uint32) for each in (c0, c1, c2, c3))


def uniform_reference(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    """float32 in [0, 1) from the upper 24 bits."""
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
