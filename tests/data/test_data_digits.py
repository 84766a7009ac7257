"""The embedded digits: what they hold, that they are MNIST's own, and that they load fast."""

from __future__ import annotations

import importlib
import lzma
import os
from pathlib import Path

import numpy as np
import pytest

from kernelwright.models.data import DataError, digits, mnist
from kernelwright.models.data import make_digits as making
from kernelwright.models.data.digits import BOX, FILE, pack, packed_size, unpack

SHARED = os.environ.get("KERNELWRIGHT_DATA")
needs_mnist = pytest.mark.skipif(not SHARED, reason="needs the full MNIST in $KERNELWRIGHT_DATA/mnist")


def test_balanced_and_in_range() -> None:
    data = digits()
    for part, count in ((data.train, making.TRAIN), (data.test, making.TEST)):
        assert part.images.shape == (count, 1, 28, 28) and part.images.dtype == np.float32
        assert part.images.min() == 0 and part.images.max() == 1
        assert np.array_equal(np.bincount(part.labels), np.full(10, count // 10))
        assert np.array_equal(part.subset(10).labels, np.arange(10))
    assert data.classes == tuple("0123456789")


def test_no_image_is_blank_or_in_both_parts() -> None:
    data = digits()
    seen = {image.tobytes() for image in data.train.images}
    assert not any(image.tobytes() in seen for image in data.test.images)
    assert data.train.images.any(axis=(1, 2, 3)).all() and data.test.images.any(axis=(1, 2, 3)).all()


def test_packing_is_lossless() -> None:
    rng = np.random.default_rng(1)
    images = np.zeros((30, 28, 28), np.uint8)
    for image in images:
        top, left = rng.integers(0, 28 - BOX + 1, 2)
        image[top : top + BOX, left : left + BOX] = rng.integers(0, 256, (BOX, BOX))
    images[7] = 0
    packed = pack(images)
    assert len(packed) == packed_size(30)
    assert np.array_equal(unpack(packed, 30), images)


def test_ink_outside_the_box_is_refused() -> None:
    images = np.zeros((10, 28, 28), np.uint8)
    images[3, 0, 0] = images[3, 27, 0] = 1
    with pytest.raises(DataError, match="1 images have ink outside"):
        pack(images)


@pytest.mark.parametrize("spoil", ["truncated", "changed", "missing"])
def test_damage_is_found(spoil: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("kernelwright.models.data.digits")
    good = (Path(making.__file__).parent / "embedded" / FILE).read_bytes()
    bad = good[:-500] if spoil == "truncated" else good[:5000] + bytes(50) + good[5050:]
    (tmp_path / "embedded").mkdir()
    if spoil != "missing":
        (tmp_path / "embedded" / FILE).write_bytes(bad)
    monkeypatch.setattr(module.resources, "files", lambda package: tmp_path)
    with pytest.raises(DataError, match="embedded digits are damaged"):
        digits()


@needs_mnist
def test_the_images_are_the_chosen_ones_of_mnist() -> None:
    full, small = mnist(), digits()
    for whole, part in ((full.train, small.train), (full.test, small.test)):
        at = making.spread(whole.labels, len(part))
        assert len(np.unique(at)) == len(part)
        assert np.array_equal(whole.images[at], part.images)
        assert np.array_equal(whole.labels[at], part.labels)


@needs_mnist
@pytest.mark.slow
def test_the_file_is_reproduced() -> None:
    content = (Path(making.__file__).parent / "embedded" / FILE).read_bytes()
    made = making.make(Path(SHARED or "") / "mnist")
    assert lzma.decompress(made) == lzma.decompress(content)
    assert len(content) < 1_300_000
