"""A tar archive of class folders is read as the folder that it was made of, and nothing is written."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from image_files import noise, save, small_folder

from kernelwright.models import data
from kernelwright.models.data import DataError, archives, image_folder, image_trees

SPLIT = {"train/cat": 3, "train/ant/deep": 2, "val/cat": 1}


def packed(folder: Path, archive: Path, top: str = "") -> Path:
    """The folder as an archive, plain or compressed by its ending, its entries below `top`."""
    kind = {".tar": "w", ".xz": "w:xz", ".gz": "w:gz", ".bz2": "w:bz2"}[archive.suffix]
    with tarfile.open(archive, kind) as out:  # type: ignore[call-overload]
        out.add(folder, top or ".")
    return archive


def written(archive: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(archive, "w") as out:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
    return archive


def png(tmp_path: Path) -> bytes:
    return save(tmp_path / "one.png", noise(0)).read_bytes()


@pytest.mark.parametrize("top", ["", "a/set"])
@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("counts", [SPLIT, {"a": 20, "b": 9}])
def test_an_archive_is_read_as_its_folder(tmp_path: Path, counts: dict[str, int], ending: str, top: str) -> None:
    folder = small_folder(tmp_path / "here", counts)
    (folder / next(iter(counts)) / "notes.txt").write_text("not an image")
    (folder / ".thumbs").mkdir()
    save(folder / ".thumbs" / "a.png", noise(1))
    archive = packed(folder, tmp_path / f"pets.{ending}", top)
    before = sorted(tmp_path.rglob("*"))
    found, wanted = data.load("image-folder", archive, (3, 8, 8)), image_folder(folder, (3, 8, 8))
    assert found.name == "pets" and found.classes == wanted.classes
    for part, other in ((found.train, wanted.train), (found.test, wanted.test)):
        assert part.labels.tolist() == other.labels.tolist()
        assert all(np.array_equal(part.read(i), other.read(i)) for i in range(len(other)))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../cat/a.png", "/cat/a.png", "train/../../a.png"])
def test_places_outside_are_refused(tmp_path: Path, name: str) -> None:
    archive = written(tmp_path / "a.tar", ("train/cat/a.png", png(tmp_path)), (name, png(tmp_path)))
    with pytest.raises(DataError, match="names a place outside of it") as caught:
        image_folder(archive)
    assert name in str(caught.value)


def test_links_are_no_images(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "here", {"train/cat": 1, "test/cat": 1})
    (folder / "train" / "cat" / "link.png").symlink_to("/etc/passwd")
    assert len(image_folder(packed(folder, tmp_path / "a.tar"), (3, 8, 8)).train) == 1


def test_a_damaged_image_is_named_with_its_archive(tmp_path: Path) -> None:
    archive = written(tmp_path / "a.tar", ("train/cat/a.png", b"oops"), ("test/cat/b.png", png(tmp_path)))
    found = image_folder(archive, (3, 8, 8))
    assert found.test.read(0).shape == (3, 8, 8)
    with pytest.raises(DataError, match=r"a\.tar, train/cat/a\.png: not an image"):
        found.train.read(0)


def test_archives_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = png(tmp_path)
    for members, message in [
        ((("notes.txt", b"a"),), r"a\.tar has no images"),
        ((("a.png", one),), "has no folders, one for each class"),
        ((("train/cat/a.png", one),), "has a folder train, but none of test, val, validation"),
        ((("train/cat/a.png", one), ("test/dog/a.png", one)), "has the class 'dog', which .*train lacks"),
        ((("cat/a.png", one),), "no class has 10 images"),
    ]:
        with pytest.raises(DataError, match=message):
            image_folder(written(tmp_path / "a.tar", *members))
    (tmp_path / "a.tar").write_bytes(packed(tmp_path, tmp_path / "b.tar.xz").read_bytes()[:200])
    with pytest.raises(DataError, match="damaged tar file"):
        image_folder(tmp_path / "a.tar")
    archive = written(tmp_path / "a.tar", ("train/cat/a.png", one), ("test/cat/a.png", one))
    with monkeypatch.context() as m:
        m.setattr(image_trees, "LARGEST", len(one) - 1)
        with pytest.raises(DataError, match=r"train/cat/a\.png: .* bytes, where at most"):
            image_folder(archive)
    monkeypatch.setattr(archives, "LARGEST", 1000)
    with pytest.raises(DataError, match="unpacks to more than 1,000 bytes: unpack it yourself"):
        image_folder(archive)
