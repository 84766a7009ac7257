"""`kernelwright train --data`: every kind of data set, the network built for it, and what is wrong in one message."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import run

from kernelwright.models.data.idx_sets import FILES


def train(*arguments: object, code: int = 0) -> str:
    """The output of a run on the reference device, which must end with `code` and no traceback."""
    done = run("train", *arguments, "--device", "reference", "--epochs", 1, "-q", code=code)
    return done.stderr if code else done.stdout


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes() + values.tobytes()


@pytest.fixture
def zip_codes(tmp_path: Path) -> Path:
    """A small USPS, 16x16."""
    rng = np.random.default_rng(0)
    for i, count in enumerate((40, 20)):
        (tmp_path / FILES[2 * i]).write_bytes(idx(rng.integers(0, 256, (count, 16, 16), np.uint8)))
        (tmp_path / FILES[2 * i + 1]).write_bytes(idx(np.arange(count, dtype=np.uint8) % 10))
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 + 4 grey images of three classes, of several sizes."""
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 1)):
        for name in ("ant", "bee", "cat"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, 256, (30 + i, 40), np.uint8)).save(tmp_path / part / name / f"{i}.png")
    return tmp_path


def test_a_network_is_built_for_the_data(zip_codes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert "perceptron on usps" in train("perceptron", "--data", "usps", "--folder", zip_codes, "--json", out)
    assert json.loads(out.read_text())["data"] == "usps"


def test_a_network_that_cannot_be_is_refused(zip_codes: Path) -> None:
    words = train("googlenet", "--data", "usps", "--folder", zip_codes, code=1)
    assert "googlenet: images of 79x79 pixels or more are needed, not 16x16; heads=False takes them from 31x31" in words
    assert len(words.splitlines()) == 1


def test_a_folder_of_images(folder: Path) -> None:
    assert "lenet5 on image-folder" in train("lenet5", "--data", "image-folder", "--folder", folder, "--batch", 5)
    (folder / "train" / "bee" / "2.png").write_bytes(b"oops")
    words = train("lenet5", "--data", "image-folder", "--folder", folder, code=1)
    assert f"{folder}/train/bee/2.png: not an image; remove the file" in words and len(words.splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["fashion-mnist", "emnist-letters", "usps", "cifar10", "cifar100", "image-folder", "coco"]
)
def test_a_folder_that_is_not_there(name: str, tmp_path: Path) -> None:
    words = train("perceptron", "--data", name, "--folder", tmp_path / "nowhere", code=1)
    assert f"there is no folder {tmp_path / 'nowhere'}; it should hold" in words and len(words.splitlines()) == 1
