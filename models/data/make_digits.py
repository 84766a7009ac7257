"""Makes the embedded digits from the full MNIST: `python -m kernelwright.models.data.make_digits FOLDER`.

The same number of each class, spread evenly over the official training and test sets, in the official order; the
classes take turns. The same files make the same bytes.
"""

from __future__ import annotations

import lzma
import struct
import sys
from pathlib import Path

import numpy as np

from .digits import CLASSES, FILE, pack
from .idx import read_pair
from .idx_sets import MNIST, find

TRAIN, TEST = 8500, 1000


def spread(labels: np.ndarray, count: int) -> np.ndarray:
    """Positions (count,) int64: equally many of each class, evenly spaced among those of the class, taking turns."""
    chosen = []
    for digit in range(len(CLASSES)):
        places = np.flatnonzero(labels == digit)
        chosen.append(places[np.linspace(0, len(places) - 1, count // len(CLASSES)).round().astype(int)])
    return np.stack(chosen, axis=1).ravel()


def select(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The chosen training and test images, uint8 (n, 28, 28). Raises DataError where `folder` is not MNIST."""
    train_images, train_labels, test_images, test_labels = (find(MNIST, folder, name) for name in MNIST.files)
    train, labels = read_pair(train_images, train_labels, len(CLASSES))
    test, test_digits = read_pair(test_images, test_labels, len(CLASSES))
    return train[spread(labels, TRAIN)], test[spread(test_digits, TEST)]


def make(folder: Path) -> bytes:
    """The content of the embedded file. Raises DataError where `folder` is not MNIST."""
    data = struct.pack("<II", TRAIN, TEST) + b"".join(pack(images) for images in select(folder))
    lzma2 = {
        "id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0,
        "dict_size": 1 << 22, "nice_len": 273, "depth": 1000,
    }  # fmt: skip
    return lzma.compress(data, format=lzma.FORMAT_XZ, filters=[lzma2])


if __name__ == "__main__":
    target = Path(__file__).parent / "embedded" / FILE
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(make(Path(sys.argv[1])))
    print(f"{target}: {target.stat().st_size:,} bytes")
