"""Checkpoints whose metadata a stranger wrote: one error that names the file, and no code but that of `kw.optim`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kernelwright as kw
from kernelwright.runtime import checkpoint
from kernelwright.runtime.checkpoint import CheckpointError


def trainer() -> kw.Trainer:
    net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(3))
    return kw.Trainer(kw.models.Model("small", net, (1, 2, 2), 3), kw.optim.SGD(kw.optim.Cosine(0.1, 10)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    trainer().save(tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


NEEDED = ("model", "input_shape", "classes", "optimizer_made", "seed", "batch", "epoch", "history", "running")


@pytest.mark.parametrize("key", NEEDED)
def test_metadata_that_lacks_something(saved: Path, key: str) -> None:
    arrays, said = checkpoint.load(saved)
    del said[key]
    checkpoint.save(saved, arrays, said)
    with pytest.raises(CheckpointError, match=rf"^{saved}: its metadata is damaged: KeyError\('{key}'\)"):
        trainer().load(saved)


@pytest.mark.parametrize("kind", ["np", "whole", "variable", "Group", "__loader__", "Cosine", "", 3, None, ["SGD"]])
def test_an_optimizer_that_is_none(saved: Path, kind: Any) -> None:
    arrays, said = checkpoint.load(saved)
    said["optimizer"]["kind"] = kind
    checkpoint.save(saved, arrays, said)
    fresh = kw.Trainer(trainer().model)
    with pytest.raises(CheckpointError, match=rf"^{saved}: its metadata is damaged: .* is no Optimizer of kw\.optim"):
        fresh.load(saved)


@pytest.mark.parametrize("kind", ["np", "SGD", "math", None])
def test_a_schedule_that_is_none(saved: Path, kind: Any) -> None:
    arrays, said = checkpoint.load(saved)
    said["optimizer"]["learning_rate"]["kind"] = kind
    checkpoint.save(saved, arrays, said)
    with pytest.raises(CheckpointError, match=rf"^{saved}: its metadata is damaged: .* is no Schedule of kw\.optim"):
        kw.Trainer(trainer().model).load(saved)


@pytest.mark.parametrize("key", ["optimizer", "running", "history", "input_shape"])
@pytest.mark.parametrize("value", [7, "text", [[]]])
def test_metadata_of_another_kind(saved: Path, key: str, value: Any) -> None:
    arrays, said = checkpoint.load(saved)
    said[key] = value
    checkpoint.save(saved, arrays, said)
    if (key, value) in [("history", "text"), ("history", [[]])]:
        return  # a list of something, which nothing reads before the next epoch
    with pytest.raises(CheckpointError, match=f"^{saved}"):
        kw.Trainer(trainer().model).load(saved)


@pytest.mark.parametrize("key", ["name", "input_shape", "classes", "dtype", "built_by"])
def test_a_models_file_that_lacks_something(tmp_path: Path, key: str) -> None:
    path = tmp_path / "model"
    trainer().model.save(path)
    arrays, said = checkpoint.load(path)
    del said[key]
    checkpoint.save(path, arrays, said)
    with pytest.raises(CheckpointError, match=f"^{path}: "):
        kw.load_model(path)
