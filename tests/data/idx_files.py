"""IDX files made by hand, and small data sets of them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from kernelwright.models.data.idx_sets import FILES, IdxSet

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(values: np.ndarray) -> bytes:
    """`values` as the content of an IDX file."""
    head = struct.pack(f">BBBB{values.ndim}i", 0, 0, CODES[values.dtype.name], values.ndim, *values.shape)
    return head + values.astype(values.dtype.newbyteorder(">")).tobytes()


def small_mnist(folder: Path, dots: bool = False, compressed: bool = False) -> Path:
    """Four files of 20 + 10 random images in `folder`; `dots` names them the other way."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = []
    for count in (20, 10):
        arrays += [rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10]
    for name, array in zip(FILES, arrays):
        content = gzip.compress(idx(array)) if compressed else idx(array)
        path = name.replace("-idx", ".idx") if dots else name
        (folder / (path + ".gz" * compressed)).write_bytes(content)
    return folder


def small_set(row: IdxSet, folder: Path, train: np.ndarray, test: np.ndarray, compressed: bool = True) -> Path:
    """The four files of `row` in `folder`: uint8 images, labels counting up through all classes."""
    folder.mkdir(parents=True, exist_ok=True)
    for images, names in ((train, row.files[:2]), (test, row.files[2:])):
        labels = (np.arange(len(images)) % len(row.classes) + row.first).astype(np.uint8)
        for name, values in zip(names, (images, labels)):
            content = gzip.compress(idx(values), 1) if compressed else idx(values)
            (folder / (name + ".gz" * compressed)).write_bytes(content)
    return folder
