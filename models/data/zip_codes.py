"""USPS in its classic form: zip.train and zip.test, a line of text per digit, plain or compressed with gzip.

A line is the digit and 256 numbers from -1 (paper) to 1 (ink), the rows of a 16x16 image from the top, as in the files
of Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning" (2009), data set "ZIP code".
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from .archives import AGAIN
from .dataset import Dataset, Split
from .errors import DataError
from .idx import opened, up_to

FILES = {"zip.train": 7291, "zip.test": 2007}
"""Each file and its lines: text has no header that would tell of a missing end."""
SIDE = 16
LARGEST = 64 << 20
"""Bytes of text that are read; the larger file has 13 MB."""
CLASSES = tuple("0123456789")


def present(folder: Path) -> bool:
    """Whether `folder` has one of the files, so that it is of this form."""
    return any((folder / (name + end)).is_file() for name in FILES for end in ("", ".gz"))


def read(folder: Path) -> Dataset:
    """USPS from `folder`: images float32 (n, 1, 16, 16) in [0, 1]. Raises DataError naming the file at fault."""
    train, test = (_part(_find(folder, name), lines) for name, lines in FILES.items())
    return Dataset("usps", train, test, CLASSES)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{folder} has no {name} (nor {name}.gz); USPS needs {' and '.join(FILES)}")


def _part(path: Path, lines: int) -> Split:
    values = _table(path)
    if values.shape != (lines, 1 + SIDE * SIDE):
        found = f"{len(values)} lines of {values.shape[1]} numbers"
        raise DataError(f"{path}: {found}, not {lines} of {1 + SIDE * SIDE}: it is truncated, or another's; {AGAIN}")
    digits, pixels = values[:, 0], values[:, 1:]
    wrong = np.flatnonzero(~np.isin(digits, np.arange(len(CLASSES))))
    if wrong.size:
        raise DataError(f"{path}: line {wrong[0] + 1} starts with {digits[wrong[0]]:g}, which is not a digit")
    outside = np.flatnonzero(~(np.abs(pixels) <= 1).all(1))
    if outside.size:
        raise DataError(f"{path}: line {outside[0] + 1} has a value outside -1..1")
    return Split(((pixels + 1) / 2).reshape(-1, 1, SIDE, SIDE), digits.astype("int32"))


def _table(path: Path) -> np.ndarray:
    with opened(path) as file:
        data = up_to(file, LARGEST + 1)
    if len(data) > LARGEST:
        raise DataError(f"{path}: more than {LARGEST:,} bytes unpacked, several times what USPS has; {AGAIN}")
    if not data.strip():
        raise DataError(f"{path}: empty; {AGAIN}")
    try:
        return np.loadtxt(io.BytesIO(data), dtype="float32", ndmin=2, comments=None)
    except ValueError as error:
        fault = str(error).split(";")[0]  # what follows is advice on loadtxt's arguments
        raise DataError(f"{path}: damaged: {fault}; {AGAIN}") from None
