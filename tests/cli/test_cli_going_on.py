"""`kernelwright train` going on from a checkpoint, stopped by a signal, and refusing before it begins."""

import json
import signal
import subprocess
import sys

import command
import pytest
from command import run_process

TRAIN = ("train", "perceptron", "-q", "--device", "reference")


def run(*arguments, code=0):
    done = command.run(*arguments, code=code)
    if code == 1:
        assert done.stderr.count("\n") == 1
    return done


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "one.safetensors"
    run(*TRAIN, "--epochs", 1, "--lr", 0.05, "--checkpoint", path)
    return path


def test_more_epochs_go_on_learning_and_leave_the_checkpoint(saved, tmp_path):
    before, out = saved.read_bytes(), tmp_path / "out.json"
    run(*TRAIN, "--epochs", 3, "--resume", saved, "--json", out)
    history = json.loads(out.read_text())["history"]
    assert [h["epoch"] for h in history] == [1, 2, 3]
    assert 0 < history[2]["learning_rate"] < history[1]["learning_rate"] < 0.05
    assert saved.read_bytes() == before


@pytest.mark.parametrize("options, words", [
    (("--lr", 0.1), "--lr 0.1 contradicts"),
    (("--batch", 7), "--batch 7 contradicts"),
    (("--seed", 9), "--seed 9 contradicts"),
])  # fmt: skip
def test_what_contradicts_the_checkpoint_is_refused(saved, options, words):
    assert words in run(*TRAIN, "--epochs", 2, "--resume", saved, *options, code=1).stderr


def test_other_networks_are_refused(saved):
    assert "written for perceptron" in run("train", "mlp", "--resume", saved, code=1).stderr


@pytest.mark.parametrize("network", ["googlenet", "inception_v3"])
def test_networks_that_do_not_take_the_data(network):
    assert "choose other --data" in run("train", network, "--data", "digits", code=1).stderr


@pytest.mark.parametrize("option", ["--json", "--checkpoint", "--plot"])
def test_outputs_are_tried_first(option, tmp_path):
    path = tmp_path / "no" / "file.png"
    err = run("train", "lenet5", "--epochs", 500, option, path, code=1).stderr
    assert "cannot write" in err and str(path) in err


@pytest.mark.parametrize("rate", ["nan", "-1"])
def test_rates_that_are_none(rate):
    assert "learning_rate is a number of at least 0" in run("train", "perceptron", "--lr", rate, code=2).stderr


def test_help_and_version():
    assert "train" in run("-h").stdout and "--resume" in run("train", "-h").stdout
    assert run_process("--version").stdout.startswith("kernelwright")


def test_sigterm_saves_and_says_how_to_go_on(tmp_path):
    saved = tmp_path / "run.safetensors"
    arguments = ["train", "perceptron", "--epochs", "100000", "--checkpoint", str(saved)]
    started = [sys.executable, "-m", "kernelwright.cli", *arguments]
    process = subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "epoch 1/" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, err
    assert f"--resume {saved} --checkpoint {saved}` goes on" in err and "Traceback" not in err
    assert saved.exists()
