"""Makes the embedded digits from the full MNIST: `python -m kernelwright.models.data.make_digits FOLDER`.

The same number of each class, spread evenly over the official training and test sets, in the official order.
"""

from __future__ import annotations

import lzma
import struct
import sys
from pathlib import Path

import numpy as np

from .digits import FILE, pack
from .idx import read_pair
from .mnist import FILES, find

TRAIN, TEST = 6000, 1000


def spread(labels: np.ndarray, count: int) -> np.ndarray:
    """Positions of `count` examples: equally many of each class, evenly spaced among those of the class."""
    chosen = []
    for digit in range(10):
        places = np.flatnonzero(labels == digit)
        chosen.append(places[np.linspace(0, len(places) - 1, count // 10).round().astype(int)])
    return np.sort(np.concatenate(chosen))


def make(folder: Path) -> bytes:
    """The content of the embedded file."""
    paths = [find(folder, name) for name in FILES]
    images, labels = [], []
    for pair, count in ((paths[:2], TRAIN), (paths[2:], TEST)):
        x, y = read_pair(*pair, classes=10)
        at = spread(y, count)
        images.append(x[at])
        labels.append(y[at])
    data = struct.pack("<II", TRAIN, TEST) + pack(np.concatenate(images), np.concatenate(labels))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 0, "pb": 0,
                "dict_size": 1 << 23}]
    return lzma.compress(data, format=lzma.FORMAT_XZ, filters=filters)


if __name__ == "__main__":
    target = Path(__file__).parent / "embedded" / FILE
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(make(Path(sys.argv[1])))
    print(f"{target}: {target.stat().st_size:,} bytes")
