"""CIFAR in the binary format: from the archive or unpacked, channels and rows in place, and damage named."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kernelwright.models import data
from kernelwright.models.data import DataError, cifar, places
from kernelwright.models.data.cifar import CIFAR10, CIFAR100, Cifar

SHARED = Path(os.environ.get("KERNELWRIGHT_DATA", "/nowhere"))
FEW = {
    "cifar10": replace(CIFAR10, train=dict.fromkeys(CIFAR10.train, 4), test={"test_batch.bin": 3}),
    "cifar100": replace(CIFAR100, train={"train.bin": 6}, test={"test.bin": 3}),
}


def content(row: Cifar) -> dict[str, bytes]:
    """The files of a small set: random pixels, labels that count up."""
    rng = np.random.default_rng(0)
    out = {
        name: "\n".join(f"{name[0]}{i}" for i in range(cifar.CLASSES[name])).encode() + b"\n\n" for name in row.names
    }
    for name, count in {**row.train, **row.test}.items():
        pixels = rng.integers(0, 256, (count, 3072), np.uint8)
        labels = np.stack([np.arange(count, dtype=np.uint8) + 5 * i for i in range(len(row.names))], 1)
        out[name] = np.concatenate([labels, pixels], 1).tobytes()
    return out


def pack(row: Cifar, folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / row.archive, "w:gz") as archive:
        for name, found in files.items():
            entry = tarfile.TarInfo(f"{row.inside}/{name}")
            entry.size = len(found)
            archive.addfile(entry, io.BytesIO(found))
    return folder


def unpack(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in files.items():
        (folder / name).write_bytes(found)
    return folder


@pytest.fixture(params=FEW)
def row(request: pytest.FixtureRequest) -> Cifar:
    return FEW[request.param]


def test_archive_and_unpacked_files_are_the_same(row: Cifar, tmp_path: Path) -> None:
    files = content(row)
    packed = cifar.read(row, pack(row, tmp_path / "packed", files))
    inner = cifar.read(row, unpack(tmp_path / "inner" / row.inside, files).parent)
    loose = cifar.read(row, unpack(tmp_path / "loose", files))
    for found in (packed, inner, loose):
        assert found.input_shape == (3, 32, 32) and found.train.images.max() <= 1
        assert np.array_equal(found.train.images, packed.train.images)
        assert np.array_equal(found.test.labels, packed.test.labels)


def test_bytes_are_where_the_format_says(row: Cifar, tmp_path: Path) -> None:
    files = content(row)
    found = cifar.read(row, unpack(tmp_path, files))
    raw, head = files[next(iter(row.test))], len(row.names)
    record = raw[3072 + head : 2 * (3072 + head)]
    for channel, y, x in ((0, 0, 0), (0, 0, 31), (1, 3, 5), (2, 31, 31)):
        expected = record[head + channel * 1024 + y * 32 + x]
        assert round(float(found.test.images[1, channel, y, x]) * 255) == expected
    assert len(found.train) == sum(row.train.values())


def test_fine_and_coarse_labels(tmp_path: Path) -> None:
    row = FEW["cifar100"]
    folder = unpack(tmp_path, content(row))
    fine, coarse = cifar.read(row, folder), cifar.read(row, folder, label=0)
    assert len(fine.classes) == 100 and len(coarse.classes) == 20
    assert fine.train.labels.tolist() == [5, 6, 7, 8, 9, 10] and coarse.train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert coarse.classes[0] == "c0" and fine.classes[0] == "f0"


def test_truncated_damaged_and_missing_files_are_named(row: Cifar, tmp_path: Path) -> None:
    name = next(iter(row.test))
    good = content(row)
    bad = bytes([200]) + good[name][1:]
    cases = [
        ({**good, name: good[name][:-1]}, f"{name}: truncated: .* bytes where 3 images need .*again"),
        ({**good, name: good[name][: 3072 + len(row.names)]}, f"{name}: truncated"),
        ({**good, name: good[name] + b"1"}, f"{name}: too long"),
        ({**good, name: bad}, f"{name}: label 200 of image 0 is not one of .* classes"),
        ({**good, row.names[-1]: b"one two"}, f"{row.names[-1]}: 2 class names, not"),
    ]
    for i, (files, message) in enumerate(cases):
        for folder in (unpack(tmp_path / f"u{i}", files), pack(row, tmp_path / f"p{i}", files)):
            with pytest.raises(DataError, match=message) as caught:
                cifar.read(row, folder)
            assert str(folder) in str(caught.value)
    (tmp_path / "u0" / name).unlink()
    with pytest.raises(DataError, match=f"u0 has no {name}; {row.name} needs {row.archive}, or the files in it"):
        cifar.read(row, tmp_path / "u0")


def test_damaged_archives(row: Cifar, tmp_path: Path) -> None:
    folder = pack(row, tmp_path, content(row))
    whole = (folder / row.archive).read_bytes()
    for length in (0, 20, len(whole) // 2, len(whole) - 1000):
        (folder / row.archive).write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"{row.archive}.*again"):
            cifar.read(row, folder)
    middle = len(whole) // 2
    (folder / row.archive).write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    with pytest.raises(DataError, match=rf"{row.archive}.*again"):
        cifar.read(row, folder)
    lacking = {name: raw for name, raw in content(row).items() if name not in row.test}
    pack(row, folder, lacking)
    with pytest.raises(DataError, match=f"has no {next(iter(row.test))}: it is cut off or not the published"):
        cifar.read(row, folder)


def test_a_folder_without_it_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no cifar10 in the binary format; .*cifar-10-binary\.tar\.gz.*train/CLASS"):
        data.load("cifar10", tmp_path)
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; it should hold cifar-100-binary\.tar\.gz"):
        data.load("cifar100", tmp_path / "nowhere")


@pytest.mark.parametrize("packed", [False, True])
def test_image_files_serve_as_well(tmp_path: Path, packed: bool) -> None:
    image = pytest.importorskip("PIL.Image")
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    folder, pixels = tmp_path / "files", {}
    for i, (part, name) in enumerate((part, name) for part in ("train", "test") for name in names):
        pixels[part, name] = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
        (folder / part / name).mkdir(parents=True)
        image.fromarray(pixels[part, name]).save(folder / part / name / "0.png")
    if packed:
        with tarfile.open(tmp_path / "all.tar.xz", "w:xz") as archive:
            archive.add(folder, ".")
        folder = tmp_path / "all.tar.xz"
    found = data.load("cifar10", folder)
    assert found.name == "cifar10" and found.classes == tuple(names)
    want = np.stack([pixels["test", name] for name in names]).transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_array_equal(found.test.images, want)
    np.testing.assert_array_equal(found.train.labels, np.arange(10))


def test_image_files_of_other_classes_are_refused(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for place in ("train/cat", "train/dog", "test/cat"):
        (tmp_path / place).mkdir(parents=True)
        image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / place / "0.png")
    with pytest.raises(DataError, match="2 folders with images, cifar10 has 10 classes"):
        data.load("cifar10", tmp_path)


def test_download_is_checked_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = pack(CIFAR10, tmp_path / "mirror", content(FEW["cifar10"]))
    right = hashlib.sha256((mirror / CIFAR10.archive).read_bytes()).hexdigest()
    monkeypatch.delenv("KERNELWRIGHT_DATA", raising=False)
    monkeypatch.setattr(cifar, "MIRRORS", (mirror.as_uri() + "/",))
    monkeypatch.setattr(places.platformdirs, "user_data_dir", lambda name: str(tmp_path / name))
    with pytest.raises(
        DataError, match=r"(?s)cannot download .*wrong checksum.*Put cifar-10-binary\.tar\.gz.* by hand"
    ):
        cifar.read(FEW["cifar10"])
    row = replace(FEW["cifar10"], sha256=right)
    assert len(cifar.read(row).train) == 20
    monkeypatch.setattr(cifar, "MIRRORS", ())
    assert len(cifar.read(row).train) == 20  # what was stored is read


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_real_files(name: str) -> None:
    row = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    if not any((SHARED / name / found).exists() for found in (row.archive, row.inside, *row.test)):
        pytest.skip(f"needs {row.archive} in $KERNELWRIGHT_DATA/{name}")
    found = data.load(name, SHARED / name)
    assert len(np.unique(np.bincount(found.train.labels))) == len(np.unique(np.bincount(found.test.labels))) == 1
