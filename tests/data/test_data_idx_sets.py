"""Fashion-MNIST, EMNIST and USPS: read as the table says, upright, from 0, and with clear words for what is wrong."""

from __future__ import annotations

import gzip
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx, small_set

from kernelwright.models import data
from kernelwright.models.data import DataError, idx_sets, zip_codes
from kernelwright.models.data.idx_sets import EMNIST, FASHION_MNIST, SPLITS, TABLE, USPS

SHARED = Path(os.environ.get("KERNELWRIGHT_DATA", "/nowhere"))


def random_images(count: int, side: int = 28, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), np.uint8)


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (SHARED / name).is_dir(), reason=f"needs $KERNELWRIGHT_DATA/{name}")


@pytest.mark.parametrize("name", TABLE)
def test_every_row_is_read(tmp_path: Path, name: str) -> None:
    row = TABLE[name]
    count = len(row.classes)
    train, test = random_images(count, row.size), random_images(count, row.size, 1)
    found = data.load(name, small_set(row, tmp_path, train, test))
    assert found.name == name and found.classes == row.classes and found.input_shape == (1, row.size, row.size)
    assert np.array_equal(found.train.labels, np.arange(count))
    upright = test.swapaxes(1, 2) if name.startswith("emnist") else test
    assert np.array_equal(found.test.images[:, 0], upright.astype("float32") / np.float32(255))


@pytest.mark.parametrize(
    "split, classes, last",
    [
        ("balanced", 47, "t"),
        ("bymerge", 47, "t"),
        ("byclass", 62, "z"),
        ("letters", 26, "z"),
        ("digits", 10, "9"),
        ("mnist", 10, "9"),
    ],
)
def test_classes_of_emnist(split: str, classes: int, last: str) -> None:
    """The counts of Cohen et al. 2017, table II."""
    found = EMNIST[split].classes
    assert len(found) == len(set(found)) == classes and found[-1] == last
    assert set(SPLITS) == set(EMNIST)


def test_letters_outside_1_to_26_are_refused(tmp_path: Path) -> None:
    row = EMNIST["letters"]
    folder = small_set(row, tmp_path, random_images(26), random_images(26), compressed=False)
    (folder / row.files[1]).write_bytes(idx(np.zeros(26, np.uint8)))
    with pytest.raises(DataError, match=r"emnist-letters-train-labels.*: label 0 at position 0 is not one of 26"):
        data.emnist("letters", folder)


def test_emnist_from_its_archive(tmp_path: Path) -> None:
    row = EMNIST["digits"]
    loose = small_set(row, tmp_path / "loose", random_images(20), random_images(10))
    (tmp_path / "packed").mkdir()
    with zipfile.ZipFile(tmp_path / "packed" / "gzip.zip", "w") as archive:
        for path in loose.iterdir():
            archive.write(path, f"gzip/{path.name}")
    packed, unpacked = data.emnist("digits", tmp_path / "packed"), data.emnist("digits", loose)
    assert np.array_equal(packed.train.images, unpacked.train.images)
    with pytest.raises(DataError, match=r"gzip\.zip has no emnist-letters-train-images-idx3-ubyte\.gz"):
        data.emnist("letters", tmp_path / "packed")
    content = (tmp_path / "packed" / "gzip.zip").read_bytes()
    (tmp_path / "packed" / "gzip.zip").write_bytes(content[:-40])
    with pytest.raises(DataError, match=r"gzip\.zip: damaged zip file: .*again"):
        data.emnist("digits", tmp_path / "packed")
    (tmp_path / "packed" / "gzip.zip").unlink()
    loose.rename(tmp_path / "packed" / "gzip")  # as unzip leaves it
    assert len(data.emnist("digits", tmp_path / "packed").test) == 10


def test_an_unknown_split_and_another_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split 'hex'; there are balanced, byclass"):
        data.emnist("hex")
    folder = small_set(FASHION_MNIST, tmp_path, random_images(10), random_images(10))
    with pytest.raises(DataError, match=r"images of 28x28; usps has 16x16. Is this"):
        data.usps(folder)


def test_usps_is_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERNELWRIGHT_DATA", raising=False)
    monkeypatch.setattr(idx_sets.locate.__globals__["platformdirs"], "user_data_dir", lambda name: str(tmp_path))
    with pytest.raises(DataError, match=r"there is no folder .*usps; .*zip\.train and zip\.test.*docs/data\.md"):
        data.load("usps")


@pytest.fixture
def zip_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray]:
    """zip.train.gz of 6 and zip.test of 4 digits, and the pixels of both."""
    monkeypatch.setattr(zip_codes, "FILES", {"zip.train": 6, "zip.test": 4})
    pixels = (np.random.default_rng(3).integers(-1000, 1001, (10, 256)) / 1000).astype("float32")
    lines = [f"{i % 10}.0000 " + " ".join(f"{v:.3f}" for v in row) + " \n" for i, row in enumerate(pixels)]
    (tmp_path / "zip.train.gz").write_bytes(gzip.compress("".join(lines[:6]).encode()))
    (tmp_path / "zip.test").write_text("".join(lines[6:]))
    return tmp_path, pixels


def test_the_classic_zip_files(zip_files: tuple[Path, np.ndarray]) -> None:
    folder, pixels = zip_files
    found = data.usps(folder)
    assert found.train.images.shape == (6, 1, 16, 16) and found.train.images.dtype == np.float32
    assert np.allclose(found.train.images.reshape(6, 256), (pixels[:6] + 1) / 2, atol=1e-6)
    assert found.test.labels.tolist() == [6, 7, 8, 9]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.rsplit("\n", 2)[0], r"3 lines of 257 numbers, not 4 of 257: it is truncated.*again"),
        (lambda t: t[:-40], "damaged: the number of columns changed from 257 to .* at row 4; remove it"),
        (lambda t: t.replace("6.0000", "6.5000"), "line 1 starts with 6.5, which is not a digit"),
        (lambda t: "17" + t[1:], "line 1 starts with 17, which"),
        (lambda t: re.sub(r"\S+ \n", "1.007 \n", t, count=1), "line 1 has a value outside -1..1"),
        (lambda t: t.replace("6.0000", "six"), "damaged"),
        (lambda t: t.replace("6.0000", "nan"), "line 1 starts with nan"),
        (lambda t: "", "empty"),
    ],
)
def test_faults_of_the_zip_files(zip_files: tuple[Path, np.ndarray], change, message: str) -> None:
    path = zip_files[0] / "zip.test"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message) as caught:
        data.usps(zip_files[0])
    assert str(caught.value).startswith(str(path))


def test_one_zip_file_alone(zip_files: tuple[Path, np.ndarray]) -> None:
    (zip_files[0] / "zip.test").unlink()
    with pytest.raises(DataError, match=r"has no zip\.test \(nor zip\.test\.gz\); USPS needs zip\.train and zip\.test"):
        data.usps(zip_files[0])


@needs("fashion-mnist")
def test_the_real_fashion_mnist() -> None:
    found = data.load("fashion-mnist", SHARED / "fashion-mnist")
    for part, each in ((found.train, 6000), (found.test, 1000)):
        assert np.array_equal(np.bincount(part.labels), np.full(10, each))
    boots = found.train.images[found.train.labels == 9].mean(0)[0]
    assert boots[20].mean() > boots[4].mean()  # the sole is below: the images are upright


@needs("usps")
def test_the_real_zip_codes() -> None:
    """The counts of LeCun et al. 1989: 9298 digits, 7291 of them for training."""
    found = data.load("usps", SHARED / "usps")
    assert (len(found.train), len(found.test)) == (7291, 2007) and found.input_shape == (1, 16, 16)
    ones = found.train.images[found.train.labels == 1].mean(0)[0]
    assert ones[:, 7:9].mean() > 5 * ones[:, :3].mean()  # a stroke from top to bottom in the middle
    assert len(USPS.classes) == 10
