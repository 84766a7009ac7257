"""A run killed with SIGKILL, also while it saves, ends with the bits and the log of a run that was left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from killed_run import EPOCHS, MOMENTS, main

from kernelwright.runtime import checkpoint

SCRIPT = Path(__file__).with_name("killed_run.py")


def start(folder: Path, *moment: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), *moment])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    main(folder, None)
    return folder


def same(folder: Path, whole: Path) -> None:
    arrays, metadata = checkpoint.load(folder / "run.safetensors")
    wanted, expected = checkpoint.load(whole / "run.safetensors")
    assert arrays.keys() == wanted.keys() and {"plateau.scale", "accumulated.examples"} <= arrays.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)
    timed = ("seconds", "images_per_second")
    for history in (metadata["history"], expected["history"]):
        for record in history:
            for key in timed:
                del record[key]
    assert metadata["history"] == expected["history"] and len(expected["history"]) == EPOCHS
    assert metadata["callbacks"] == expected["callbacks"]
    epochs = [json.loads(line)["epoch"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert epochs == list(range(1, EPOCHS + 1))


def slow(moment: str) -> object:
    return moment if moment in MOMENTS[:2] else pytest.param(moment, marks=pytest.mark.slow)


@pytest.mark.parametrize("moment", [slow(moment) for moment in MOMENTS])
def test_a_run_killed_at_a_moment_resumes_to_the_same_bits(moment: str, whole: Path, tmp_path: Path) -> None:
    assert start(tmp_path, moment).wait(120) == -signal.SIGKILL
    done = len(checkpoint.load(tmp_path / "run.safetensors")[1]["history"])
    assert done == (2 if moment == "after the rename" else 1)
    main(tmp_path, None)
    same(tmp_path, whole)


@pytest.mark.slow
def test_a_run_killed_again_and_again_resumes_to_the_same_bits(whole: Path, tmp_path: Path) -> None:
    for seed in range(8):
        process = start(tmp_path)
        deadline = time.monotonic() + 30
        while not (tmp_path / "log.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0.0, 1.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    main(tmp_path, None)
    same(tmp_path, whole)
