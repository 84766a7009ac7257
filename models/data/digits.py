"""The embedded default: real MNIST digits, a subset small enough to ship (see embedded/LICENSE-MNIST.txt).

The file is one LZMA stream: the counts of training and test images, then for each part the top rows and left columns
of the boxes that hold all ink of an image (MNIST scales its digits to 20x20), then the 8-bit pixels of the boxes, class
by class. Each class has equally many images, so that labels need no room; nothing is lost. `make_digits.py` makes
the file from the full set.
"""

from __future__ import annotations

import lzma
from importlib import resources

import numpy as np

from .dataset import Dataset, Split, as_images
from .errors import DataError

FILE = "digits.xz"
CLASSES = tuple("0123456789")
SIDE, BOX = 28, 20
HEADER = 8


def digits() -> Dataset:
    """8,500 digits of 28x28 for training and 1,000 held back, drawn from MNIST's test set; the classes take turns.

    Raises DataError where the embedded file is missing or damaged.
    """
    try:
        data = lzma.decompress((resources.files(__package__) / "embedded" / FILE).read_bytes())
    except (lzma.LZMAError, EOFError, OSError) as error:
        raise DataError(f"the embedded digits are damaged: {error}; install kernelwright again") from None
    n_train, n_test = (int(count) for count in np.frombuffer(data, "<u4", 2))
    middle = HEADER + packed_size(n_train)
    return Dataset("digits", _part(data[HEADER:middle], n_train), _part(data[middle:], n_test), CLASSES)


def packed_size(count: int) -> int:
    """Bytes that `pack` makes of `count` images."""
    return count * (2 + BOX * BOX)


def pack(images: np.ndarray) -> bytes:
    """uint8 images (n, 28, 28), the classes taking turns, as bytes that compress well.

    Raises DataError where the ink of an image does not fit the box.
    """
    images = np.concatenate([images[digit :: len(CLASSES)] for digit in range(len(CLASSES))])
    tops = np.minimum(images.any(axis=2).argmax(axis=1), SIDE - BOX).astype("u1")
    lefts = np.minimum(images.any(axis=1).argmax(axis=1), SIDE - BOX).astype("u1")
    boxes = np.stack([image[i : i + BOX, j : j + BOX] for image, i, j in zip(images, tops, lefts)])
    outside = np.flatnonzero((images != 0).sum(axis=(1, 2)) != (boxes != 0).sum(axis=(1, 2)))
    if outside.size:
        raise DataError(f"digits: {outside.size} images have ink outside a box of {BOX}x{BOX}")
    result: bytes = tops.tobytes() + lefts.tobytes() + boxes.transpose(0, 2, 1).tobytes()
    return result


def unpack(data: bytes, count: int) -> np.ndarray:
    """The inverse of `pack`: uint8 images (count, 28, 28), the classes taking turns."""
    tops, lefts = np.frombuffer(data, "u1", 2 * count).reshape(2, count)
    boxes = np.frombuffer(data, "u1", count * BOX * BOX, offset=2 * count).reshape(count, BOX, BOX)
    order = np.arange(count).reshape(-1, len(CLASSES)).T.ravel()
    images = np.zeros((count, SIDE, SIDE), "u1")
    for place in np.unique(tops.astype(int) * SIDE + lefts):
        top, left = divmod(int(place), SIDE)
        those = np.flatnonzero((tops == top) & (lefts == left))
        images[order[those], top : top + BOX, left : left + BOX] = boxes[those].transpose(0, 2, 1)
    return images


def _part(data: bytes, count: int) -> Split:
    labels = np.arange(count, dtype=np.int32) % len(CLASSES)
    return Split(as_images(unpack(data, count)), labels)
