"""The IDX reader gives back what a file holds, and names the file and the fault where it cannot."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from idx_files import CODES, idx

from kernelwright.models.data import DataError
from kernelwright.models.data.idx import read, read_pair

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([1, 0], np.uint8)


def write(folder: Path, content: bytes, name: str = "file-idx") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_type_is_read_back(tmp_path: Path, dtype: str, compressed: bool) -> None:
    values = np.array([[0, 1, 2], [100, 7, 5]]).astype(dtype)
    content = idx(values)
    found = read(write(tmp_path, gzip.compress(content) if compressed else content))
    assert found.dtype == values.dtype and found.dtype.isnative
    assert np.array_equal(found, values)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1, 1, 1)])
def test_unusual_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert read(write(tmp_path, idx(np.ones(shape, np.uint8)))).shape == shape


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "wrong magic number: .* not nothing"),
        (b"\0\0\x08", "wrong magic number"),
        (b"\x89PNG\r\n\x1a\n", "wrong magic number: .* not 89504e47"),
        (b"\0\0\x0a\x01" + bytes(8), "wrong magic number: element type 0x0a"),
        (b"\0\0\x08\x03" + bytes(5), "truncated: 9 bytes are not even its header"),
        (idx(IMAGES)[:-1], r"truncated: 23 bytes of values where \(2, 3, 4\) needs 24"),
        (idx(IMAGES) + b"ab", "2 bytes too many"),
        (idx(LABELS), r"expected images of rank 3, found rank 1 \(labels\?\)"),
        (struct.pack(">BBBB3i", 0, 0, 8, 3, -1, 2, 2), "damaged: its header gives sizes"),
        (
            struct.pack(">BBBB3i", 0, 0, 8, 3, 2**31 - 1, 2**31 - 1, 4),
            "its header claims 18,446,744,056,529,682,436 bytes",
        ),
        (gzip.compress(idx(IMAGES), mtime=0)[:-9], "damaged gzip file"),
        (gzip.compress(idx(IMAGES), mtime=0)[:12] + b"\xff" * 30, "wrong magic number: .* not 0007ffff"),
        (gzip.compress(idx(IMAGES), mtime=0)[:-8] + bytes(8), "damaged gzip file"),
        (b"\x1f\x8b", "damaged gzip file"),
    ],
)
def test_faults_name_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        read(path, 3)
    assert str(caught.value).startswith(f"{path}: ")


def test_every_truncation_is_found(tmp_path: Path) -> None:
    for content in (idx(IMAGES), gzip.compress(idx(IMAGES), mtime=0)):
        for length in range(len(content)):
            with pytest.raises(DataError):
                read(write(tmp_path, content[:length]))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing-here: no such file"):
        read(tmp_path / "nothing-here")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)


def test_pair(tmp_path: Path) -> None:
    images, labels = read_pair(write(tmp_path, idx(IMAGES), "x"), write(tmp_path, idx(LABELS), "y"), 2)
    assert np.array_equal(images, IMAGES) and images.dtype == np.uint8
    assert np.array_equal(labels, LABELS) and labels.dtype == np.int32


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES, np.zeros(3, np.uint8), "y: 3 labels for the 2 images of .*x"),
        (IMAGES, np.array([0, 2], np.uint8), "y: label 2 at position 1 is not one of 2 classes"),
        (IMAGES, np.zeros(2, np.int32), "y: expected labels of 8 bits without sign, found int32"),
        (IMAGES.astype(np.float32), LABELS, "x: expected pixels of 8 bits without sign, found float32"),
        (IMAGES, IMAGES, r"y: expected labels of rank 1, found rank 3 \(images\?\)"),
        (LABELS, LABELS, r"x: expected images of rank 3, found rank 1 \(labels\?\)"),
    ],
)
def test_pairs_that_do_not_fit(tmp_path: Path, images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pair(write(tmp_path, idx(images), "x"), write(tmp_path, idx(labels), "y"), 2)
