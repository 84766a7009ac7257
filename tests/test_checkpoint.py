"""Checkpoints come back as they were written, survive a failed write, and say what is wrong with a bad file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from kernelwright.runtime import checkpoint
from kernelwright.runtime.checkpoint import CheckpointError

TENSORS: dict[str, np.ndarray] = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "half": np.ones((2, 0), np.float16),
    "step": np.array(7, np.int64),
    "flags": np.array([True, False]),
}
META = {"model": "lenet5", "epoch": 3, "history": [0.5, 0.25], "nested": {"é": None}}


def full(*args: object) -> None:
    raise OSError(28, "No space left on device")


def test_round_trip(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.safetensors", TENSORS, META)
    tensors, meta = checkpoint.load(tmp_path / "a.safetensors")
    assert meta == META
    assert set(tensors) == set(TENSORS)
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype and tensors[name].shape == value.shape
        assert np.array_equal(tensors[name], value)
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_other_tools_can_read_it(tmp_path: Path) -> None:
    checkpoint.save(str(tmp_path / "a"), TENSORS, META)
    assert set(safetensors.numpy.load_file(tmp_path / "a")) == set(TENSORS)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "a"
    checkpoint.save(path, TENSORS, {"epoch": 1})
    before = path.read_bytes()
    monkeypatch.setattr(checkpoint.os, call, full)
    with pytest.raises(CheckpointError, match=r"a \([\d,]+ bytes\): No space left on device; .* unchanged"):
        checkpoint.save(path, TENSORS, {"epoch": 2})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a"]


def test_interrupted_write_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    checkpoint.save(tmp_path / "a", TENSORS, {"epoch": 1})
    monkeypatch.setattr(checkpoint.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path / "a", TENSORS, {"epoch": 2})
    assert os.listdir(tmp_path) == ["a"] and checkpoint.load(tmp_path / "a")[1] == {"epoch": 1}


def test_partial_files_of_dead_writers_are_swept(tmp_path: Path) -> None:
    """No process has number 2**22 + 1; a file of its that was written lately may be another machine's."""
    kept = [".a.notes.partial", f".a.{os.getppid()}.partial", f".a.{2**22 + 2}.partial", f".b.{2**22 + 1}.partial"]
    for name in (*kept, f".a.{2**22 + 1}.partial"):
        (tmp_path / name).write_bytes(b"half")
        if name != kept[2]:
            os.utime(tmp_path / name, (0, 0))
    checkpoint.save(tmp_path / "a", TENSORS, META)
    assert sorted(os.listdir(tmp_path)) == sorted(["a", *kept])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk(tmp_path: Path) -> None:
    """The partial file's name leads to a device that is always full."""
    (tmp_path / f".a.{os.getpid()}.partial").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match="No space left on device"):
        checkpoint.save(tmp_path / "a", TENSORS, META)
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_hold_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        checkpoint.save(tmp_path / "absent" / "a", TENSORS, META)
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="Not a directory"):
        checkpoint.save(tmp_path / "file" / "a", TENSORS, META)


@pytest.mark.parametrize(
    ("tensors", "meta", "message"),
    [
        ({"z": np.array([1j])}, {}, "complex128"),
        ({"o": np.array([None])}, {}, "object"),
        ({}, {"when": object()}, "not JSON serializable"),
    ],
)
def test_what_cannot_be_stored(tmp_path: Path, tensors: dict, meta: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        checkpoint.save(tmp_path / "a", tensors, meta)
    assert os.listdir(tmp_path) == []


def test_missing_and_unreadable(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"there is no checkpoint {tmp_path / 'a'}"):
        checkpoint.load(tmp_path / "a")
    with pytest.raises(CheckpointError, match=f"cannot read the checkpoint {tmp_path}"):
        checkpoint.load(tmp_path)


def test_every_truncation_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    checkpoint.save(path, TENSORS, META)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=f"{path} is not a whole safetensors file"):
            checkpoint.load(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04 a zip file, say", b"\xff" * 100, b"{}"])
def test_another_kind_of_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{tmp_path / 'a'} is not a whole safetensors file"):
        checkpoint.load(tmp_path / "a")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"kernelwright": "not JSON"}])
def test_safetensors_of_another_program(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    safetensors.numpy.save_file({"w": np.ones(3)}, tmp_path / "a", metadata)
    with pytest.raises(CheckpointError, match="but not a checkpoint of kernelwright"):
        checkpoint.load(tmp_path / "a")
