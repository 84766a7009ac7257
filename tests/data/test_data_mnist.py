"""MNIST from a folder, from the environment's folder, or downloaded (from file:// mirrors here)."""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from idx_files import small_mnist

from kernelwright.models import data
from kernelwright.models.data import DataError, download, idx_sets, mnist, places
from kernelwright.models.data.idx_sets import FILES, MNIST, IdxSet, download_missing


@pytest.fixture(autouse=True)
def private_user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder is empty and no network answers."""
    monkeypatch.delenv("KERNELWRIGHT_DATA", raising=False)
    monkeypatch.setattr(places.platformdirs, "user_data_dir", lambda name: str(tmp_path / "user" / name))
    monkeypatch.setattr(idx_sets, "MNIST", replace(MNIST, mirrors=((tmp_path / "nowhere").as_uri() + "/",)))
    return tmp_path / "user" / "kernelwright" / "mnist"


@pytest.fixture
def mirrored(tmp_path: Path) -> IdxSet:
    """MNIST's row for a file:// mirror of a small MNIST, with the checksums of its files."""
    folder = small_mnist(tmp_path / "mirror", compressed=True)
    found = {f"{name}.gz": hashlib.sha256((folder / f"{name}.gz").read_bytes()).hexdigest() for name in FILES}
    return replace(MNIST, downloads=found, mirrors=(folder.as_uri() + "/",))


@pytest.mark.parametrize("dots", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_from_a_folder_in_every_spelling(tmp_path: Path, dots: bool, compressed: bool) -> None:
    found = mnist(small_mnist(tmp_path / "here", dots, compressed))
    assert found.train.images.shape == (20, 1, 28, 28) and found.test.images.shape == (10, 1, 28, 28)
    assert found.train.images.dtype == np.float32 and found.train.images.max() <= 1
    assert np.array_equal(found.train.labels, np.arange(20) % 10)
    assert found.classes == tuple("0123456789")


def test_missing_folder_names_the_four_files(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        mnist(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert all(name in str(caught.value) for name in FILES)


def test_folder_without_one_file_is_not_filled(tmp_path: Path) -> None:
    folder = small_mnist(tmp_path / "here")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="has no t10k-labels-idx1-ubyte") as caught:
        mnist(folder)
    assert str(folder) in str(caught.value)
    assert len(list(folder.iterdir())) == 3


def test_environment_before_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private_user_folder: Path
) -> None:
    small_mnist(private_user_folder)
    monkeypatch.setenv("KERNELWRIGHT_DATA", str(tmp_path / "shared"))
    assert len(mnist(download=False).train) == 20  # the variable's folder has no mnist: the user's is next
    small_mnist(tmp_path / "shared" / "mnist")
    (private_user_folder / "train-labels-idx1-ubyte").unlink()
    assert len(mnist(download=False).train) == 20


def test_no_download_when_told_not_to(private_user_folder: Path) -> None:
    with pytest.raises(DataError, match=f"there is no folder {private_user_folder}"):
        mnist(download=False)


def test_download_once(mirrored: IdxSet, private_user_folder: Path) -> None:
    download_missing(mirrored, private_user_folder)
    assert sorted(os.listdir(private_user_folder)) == sorted(f"{name}.gz" for name in FILES)
    assert len(mnist().train) == 20  # no mirror answers: nothing is fetched again


def test_second_mirror_serves_where_the_first_is_wrong(mirrored: IdxSet, tmp_path: Path) -> None:
    wrong = small_mnist(tmp_path / "wrong", compressed=True)
    for path in wrong.iterdir():
        path.write_bytes(gzip.compress(b"something else"))
    target = tmp_path / "target"
    mirrors = ((tmp_path / "absent").as_uri() + "/", wrong.as_uri() + "/", *mirrored.mirrors)
    download_missing(replace(mirrored, mirrors=mirrors), target)
    assert len(mnist(target).test) == 10


def test_offline_names_mirrors_and_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(url: str, headers: object) -> None:
        raise download.urllib.request.URLError("no route to host")

    monkeypatch.setattr(download, "_open", offline)
    with pytest.raises(DataError) as caught:
        download_missing(MNIST, tmp_path / "target")
    message = str(caught.value)
    assert all(f"{mirror}: no route to host" in message for mirror in MNIST.mirrors)
    assert str(tmp_path / "target") in message and "by hand" in message and all(name in message for name in FILES)


def test_a_download_is_tried_when_nothing_is_there(private_user_folder: Path) -> None:
    with pytest.raises(DataError, match=r"cannot download train-images-idx3-ubyte\.gz") as caught:
        mnist()
    assert str(private_user_folder) in str(caught.value)


def test_wrong_checksum_is_not_stored(tmp_path: Path) -> None:
    wrong = small_mnist(tmp_path / "wrong", compressed=True)
    with pytest.raises(DataError, match="wrong checksum"):
        download_missing(replace(MNIST, mirrors=(wrong.as_uri() + "/",)), tmp_path / "target")
    assert not list((tmp_path / "target").iterdir())


def test_target_that_cannot_be_written(mirrored: IdxSet, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot store"):
        download_missing(mirrored, tmp_path / "target")


def test_failed_replacement_leaves_nothing(mirrored: IdxSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.os, "replace", full)
    with pytest.raises(DataError, match="No space left on device"):
        download_missing(mirrored, tmp_path / "target")
    assert not list((tmp_path / "target").iterdir())


def test_load_by_name(tmp_path: Path) -> None:
    assert data.load("mnist", small_mnist(tmp_path / "here")).name == "mnist"
    assert data.load("digits").name == "digits"
    with pytest.raises(DataError, match=r"no data set 'faces'; there are digits, .*mnist, .*usps"):
        data.load("faces")
    with pytest.raises(DataError, match="digits ships with the package"):
        data.load("digits", tmp_path)
