"""`kernelwright train --validation`: what watches a run is held out of training, and the test set is looked at once."""

import json

import command
import numpy as np
import pytest

import kernelwright as kw
from kernelwright.cli import training
from kernelwright.runtime import checkpoint


def run(*arguments, code=0):
    done = command.run("train", "perceptron", "--device", "reference", *arguments, code=code)
    return " ".join((done.stderr if code else done.stdout).split())


def test_a_tenth_is_held_out_and_the_resumed_run_keeps_it(tmp_path):
    saved, out = tmp_path / "run.safetensors", tmp_path / "out.json"
    run("--epochs", 1, "-q", "--seed", 3, "--checkpoint", saved)
    said = checkpoint.load(saved)[1]
    assert said["data"]["examples"] == 7650 and said["notes"]["validation"] == 0.1  # 8,500 digits
    run("--epochs", 2, "-q", "--resume", saved, "--json", out)
    outcome = json.loads(out.read_text())
    assert outcome["validation"] == 0.1 and outcome["seed"] == 3
    assert all(0.5 < line["validation_accuracy"] < 1 for line in outcome["history"])
    words = run("--epochs", 2, "--resume", saved, "--validation", 0.2, code=2)
    assert "--validation 0.2 contradicts" in words and "0.1: leave it out" in words


def test_none_held_out(tmp_path):
    saved, out = tmp_path / "run.safetensors", tmp_path / "out.json"
    words = run("--epochs", 1, "--validation", 0, "--checkpoint", saved, "--json", out)
    assert "nothing watches this run" in words and "test accuracy" in words
    assert checkpoint.load(saved)[1]["data"]["examples"] == 8500
    assert not [key for key in json.loads(out.read_text())["history"][0] if key.startswith("validation")]


@pytest.mark.parametrize("options, words", [
    (("--validation", 1), "--validation is a number that lies in [0, 1), not 1.0"),
    (("--validation", 0, "--patience", 2), "leave out --validation 0"),
    (("--validation", 0, "--best", "best.safetensors"), "leave out --validation 0"),
])  # fmt: skip
def test_what_cannot_watch(options, words):
    text = run("--epochs", 1, *options, code=2).replace("│ ", "")
    assert words in " ".join(text.split())


def test_patience_and_the_best_epoch(tmp_path):
    best, out = tmp_path / "best.safetensors", tmp_path / "out.json"
    words = run("--epochs", 30, "-q", "--lr", 1, "--patience", 1, "--best", best, "--json", out)
    outcome = json.loads(out.read_text())
    losses = [line["validation_loss"] for line in outcome["history"]]
    accuracies = [line["validation_accuracy"] for line in outcome["history"]]
    assert outcome["epochs"] == len(losses) < 30 and losses[-1] >= min(losses[:-1])
    assert outcome["tested_epoch"] == 1 + int(np.argmax(accuracies))
    assert f"with the weights of epoch {outcome['tested_epoch']}, the best of {len(losses)}" in words


def test_an_older_runs_best_file_is_not_tested(tmp_path):
    images, labels = np.zeros((4, 1, 2, 2), "float32"), np.zeros(4, "int32")
    model = kw.models.Model("m", kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(2)), (1, 2, 2), 2)
    older = kw.Trainer(model, "adam", device="reference")
    older.fit((images, labels), 3, progress=False)
    older.save(tmp_path / "best.safetensors")
    newer = kw.Trainer(model, "sgd", device="reference")
    newer.fit((images, labels), 2, progress=False)
    measured, which = training.tested(newer, (images, labels), tmp_path / "best.safetensors")
    assert (measured["accuracy"], which) == (1.0, "after 2 epochs")
