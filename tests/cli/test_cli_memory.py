"""`kernelwright summary`: the bytes of a training step, and inputs that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

from command import run


def test_what_a_step_takes(tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    done = run("summary", "perceptron", "--batch", 10, "--json", out)
    said = json.loads(out.read_text())
    assert said["training"]["weights"] == 4 * 7850 and said["layers"][-1]["elements"] == 10
    assert "counted by layers" in done.stdout and "the compiled step allocates" in done.stdout
    assert "3,136" in run("summary", "perceptron").stdout  # bytes of 28 x 28 pixels laid flat
    assert "(batch, 3, 16, 20)" in run("summary", "perceptron", "--input", "3x16x20").stdout


def test_inputs_that_cannot_be() -> None:
    assert "3x224x224" in run("summary", "perceptron", "--input", "3x4", code=2).stderr
    words = run("summary", "lenet5", "--input", "3x8x8", code=1).stderr
    assert "lenet5" in words and "3x8x8" in words and len(words.splitlines()) == 1
