"""The IDX format of MNIST: two zero bytes, a type, a rank, sizes as big-endian int32, then the values.

Plain or compressed with gzip. Every fault is a DataError that names the file. Source: the format section of
http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from .archives import AGAIN, Member
from .errors import DataError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read(path: str | Path | Member, rank: int | None = None) -> np.ndarray:
    """The array in an IDX file, in native byte order. Raises DataError for a file that is anything else."""
    path = Path(path) if isinstance(path, str) else path
    data = content(path)
    if len(data) < 4 or data[0] or data[1]:
        found = data[:4].hex() or "nothing"
        raise DataError(f"{path}: wrong magic number: an IDX file starts with two zero bytes, not {found}")
    kind, dims = data[2], data[3]
    if kind not in TYPES:
        raise DataError(f"{path}: wrong magic number: element type 0x{kind:02x} does not exist in IDX")
    if rank is not None and dims != rank:
        what = {1: "labels", 3: "images"}
        found = f" ({what[dims]}?)" if dims in what else ""
        raise DataError(f"{path}: expected {what.get(rank, 'an array')} of rank {rank}, found rank {dims}{found}")
    head = 4 + 4 * dims
    if len(data) < head:
        raise DataError(f"{path}: truncated: {len(data)} bytes are not even its header")
    shape = struct.unpack(f">{dims}i", data[4:head])
    dtype = np.dtype(TYPES[kind])
    if min(shape, default=0) < 0:
        raise DataError(f"{path}: damaged: its header gives sizes {shape}")
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - head < expected:
        raise DataError(f"{path}: truncated: {len(data) - head} bytes of values where {shape} needs {expected}")
    if len(data) - head > expected:
        raise DataError(f"{path}: {len(data) - head - expected} bytes too many after the values of {shape}")
    values = np.frombuffer(data, dtype, offset=head).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def read_pair(
    images: str | Path | Member, labels: str | Path | Member, classes: int, first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 images (n, height, width), int32 labels (n,) from 0). `first` is what the file calls class 0.

    Raises DataError where the two do not fit.
    """
    x, y = read(images, 3), read(labels, 1)
    for path, values, what in ((images, x, "pixels"), (labels, y, "labels")):
        if values.dtype != np.uint8:
            raise DataError(f"{path}: expected {what} of 8 bits without sign, found {values.dtype}")
    if len(x) != len(y):
        raise DataError(f"{labels}: {len(y)} labels for the {len(x)} images of {images}")
    shifted = y.astype("int32") - first
    wrong = np.flatnonzero((shifted < 0) | (shifted >= classes))
    if wrong.size:
        raise DataError(f"{labels}: label {y[wrong[0]]} at position {wrong[0]} is not one of {classes} classes")
    return x, shifted


def content(path: Path | Member) -> bytes:
    """What a file holds, unpacked where it is gzip. Raises DataError for a file that is missing or damaged."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip file: {error}; {AGAIN}") from None
