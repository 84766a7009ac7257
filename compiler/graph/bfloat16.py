"""bfloat16 on NumPy's side: rounding to it, and its 16-bit words.

NumPy has no bfloat16. A program takes and gives its words, the upper halves of float32, as uint16 arrays; inside the
NumPy reference a bfloat16 value is a float32 that one of them holds. An array of `ml_dtypes.bfloat16` is such words as
well, and `words.view(ml_dtypes.bfloat16)` makes one. Leans on NumPy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..errors import InputError

WORD = np.dtype(dtypes.stored(dtypes.BFLOAT16))


def to_bfloat16(values: Any) -> np.ndarray:
    """The nearest bfloat16 of each number, ties to even, as uint16 words. Any shape; NaN stays NaN."""
    array = np.asarray(values, np.float32)
    bits = array.view(np.uint32) if array.ndim else array.reshape(1).view(np.uint32).reshape(())
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    quiet = bits | np.uint32(0x400000)  # a NaN whose upper half alone would be an infinity
    return np.asarray(np.where(np.isnan(array), quiet, rounded) >> np.uint32(16)).astype(WORD)


def from_bfloat16(words: Any) -> np.ndarray:
    """The float32 values of bfloat16 words (uint16, or an array of `ml_dtypes.bfloat16`). Any shape.

    Raises InputError for arrays of another type.
    """
    found = as_words(np.asarray(words))
    if found is None:
        raise InputError(f"from_bfloat16 takes uint16 words, got {np.asarray(words).dtype}")
    return np.asarray(found.astype(np.uint32) << np.uint32(16)).view(np.float32)


def rounded(values: np.ndarray) -> np.ndarray:
    """float32 values as the nearest that bfloat16 holds."""
    return from_bfloat16(to_bfloat16(values))


def as_words(array: np.ndarray) -> np.ndarray | None:
    """An array of bfloat16 as its words; None for an array of anything else."""
    if array.dtype.name == dtypes.BFLOAT16:
        return array.view(WORD)
    return array if array.dtype.name == WORD.name else None


def given(value: Any, dtype: str) -> np.ndarray:
    """What the reference computes with for a value of `dtype`: for bfloat16, words or numbers, float32."""
    if dtype != dtypes.BFLOAT16:
        return np.asarray(value, dtype)
    words = as_words(np.asarray(value))
    return rounded(np.asarray(value, np.float32)) if words is None else from_bfloat16(words)


def returned(value: np.ndarray, dtype: str) -> np.ndarray:
    """What a program gives for a value of the reference: for bfloat16, words."""
    return to_bfloat16(value) if dtype == dtypes.BFLOAT16 else value
