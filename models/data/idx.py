"""The IDX format of MNIST: two zero bytes, a type, a rank, sizes as big-endian int32, then the values.

Plain or compressed with gzip. Every fault is a DataError that names the file. Source: the format section of
http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .archives import AGAIN, CHUNK, LARGEST, Member
from .errors import DataError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
RANKS = 32
"""The most axes that are read; NumPy 1 has no more."""


def read(path: str | Path | Member, rank: int | None = None) -> np.ndarray:
    """The array in an IDX file, in native byte order. Raises DataError for a file that is anything else."""
    path = Path(path) if isinstance(path, str) else path
    with opened(path) as file:
        dtype, shape = _header(path, file, rank)
        expected = math.prod(shape) * dtype.itemsize
        if expected > LARGEST:
            raise DataError(
                f"{path}: its header claims {expected:,} bytes of values, {shape}; at most {LARGEST:,} are read into "
                "memory (kw.data.Loader takes images that are not)"
            )
        data = up_to(file, expected)
        if len(data) < expected:
            raise DataError(f"{path}: truncated: {len(data)} bytes of values where {shape} needs {expected}")
        rest = len(up_to(file, CHUNK))
        if rest:
            more = "or more " if rest == CHUNK else ""
            raise DataError(f"{path}: {rest} bytes {more}too many after the values of {shape}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _header(path: Path | Member, file: BinaryIO, rank: int | None) -> tuple[np.dtype, tuple[int, ...]]:
    """(dtype as stored, shape)"""
    start = up_to(file, 4)
    if len(start) < 4 or start[0] or start[1]:
        found = start.hex() or "nothing"
        raise DataError(f"{path}: wrong magic number: an IDX file starts with two zero bytes, not {found}")
    kind, dims = start[2], start[3]
    if kind not in TYPES:
        raise DataError(f"{path}: wrong magic number: element type 0x{kind:02x} does not exist in IDX")
    if rank is not None and dims != rank:
        what = {1: "labels", 3: "images"}
        found = f" ({what[dims]}?)" if dims in what else ""
        raise DataError(f"{path}: expected {what.get(rank, 'an array')} of rank {rank}, found rank {dims}{found}")
    if dims > RANKS:
        raise DataError(f"{path}: damaged: its header gives {dims} axes")
    sizes = up_to(file, 4 * dims)
    if len(sizes) < 4 * dims:
        raise DataError(f"{path}: truncated: {4 + len(sizes)} bytes are not even its header")
    shape = struct.unpack(f">{dims}i", sizes)
    if min(shape, default=0) < 0:
        raise DataError(f"{path}: damaged: its header gives sizes {shape}")
    return np.dtype(TYPES[kind]), shape


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


@contextmanager
def opened(path: Path | Member) -> Iterator[BinaryIO]:
    """A file as a stream, unpacked where it is gzip. Raises DataError for one that is missing or damaged."""
    try:
        with path.open("rb") if isinstance(path, Path) else path.open() as raw:
            start = raw.read(2)
            raw.seek(0)
            if start != b"\x1f\x8b":
                yield raw
                return
            try:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield unpacked  # type: ignore[misc]
            except DataError:
                raise
            except (EOFError, OSError, zlib.error) as error:
                raise DataError(f"{path}: damaged gzip file: {error}; {AGAIN}") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def up_to(file: BinaryIO, most: int) -> bytes:
    """As many bytes as there are, at most `most`: memory grows with what is there, not with what is asked for."""
    parts = []
    while most and (part := file.read(min(most, CHUNK))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
