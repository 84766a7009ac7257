"""The embedded default: real MNIST digits, a subset small enough to ship (see embedded/LICENSE-MNIST.txt).

The images are stored as one LZMA stream of 8-bit pixels cropped to the box that holds all ink; nothing is
lost. `make_digits.py` makes the file from the full set.
"""

from __future__ import annotations

import lzma
from importlib import resources

import numpy as np

from .dataset import Dataset, Split, as_images
from .errors import DataError

FILE = "digits.xz"
SIDE = 28
HEADER = 8


def digits() -> Dataset:
    """Several thousand 28x28 digits for training and 1,000 held back, drawn from MNIST's test set."""
    packed = (resources.files(__package__) / "embedded" / FILE).read_bytes()
    try:
        data = lzma.decompress(packed)
    except lzma.LZMAError as error:
        raise DataError(f"the embedded digits are damaged: {error}; install kernelwright again") from None
    n_train, n_test = np.frombuffer(data[:HEADER], "<u4")
    images, labels = unpack(data[HEADER:], int(n_train + n_test))
    train, test = slice(0, n_train), slice(n_train, n_train + n_test)
    return Dataset(
        "digits",
        Split(as_images(images[train]), labels[train]),
        Split(as_images(images[test]), labels[test]),
        tuple("0123456789"),
    )


def pack(images: np.ndarray, labels: np.ndarray) -> bytes:
    """uint8 images (n, 28, 28) and labels as bytes that compress well: labels, then each pixel over all images."""
    return labels.astype("u1").tobytes() + np.ascontiguousarray(images).tobytes()


def unpack(data: bytes, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `pack`: uint8 images (count, 28, 28) and int32 labels (count,)."""
    labels = np.frombuffer(data, "u1", count).astype("int32")
    images = np.frombuffer(data, "u1", count * SIDE * SIDE, offset=count).reshape(count, SIDE, SIDE)
    return images, labels
