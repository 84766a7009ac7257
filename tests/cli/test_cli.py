"""The `kernelwright` command as a user meets it: outcomes, JSON, errors, exit codes, Ctrl-C."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest
from command import run, run_process

from kernelwright.compiler.targets.cpu.machine import target
from kernelwright.compiler.targets.cuda.build import missing_parts
from kernelwright.runtime import checkpoint


def test_train_writes_its_outcome(tmp_path):
    out = tmp_path / "out.json"
    done = run_process("train", "perceptron", "--epochs", 2, "--seed", 3, "--json", out)
    outcome = json.loads(out.read_text())
    assert {"test_accuracy", "epochs", "seconds", "history"} <= set(outcome)
    assert outcome["epochs"] == 2 and len(outcome["history"]) == 2 and outcome["test_accuracy"] > 0.8
    assert f"{outcome['test_accuracy']:.2%}" in done.stdout and "epoch 2/2" in done.stdout


def test_training_resumes_to_the_same_result(tmp_path):
    whole, part, rest = tmp_path / "a.json", tmp_path / "b.safetensors", tmp_path / "c.json"
    run("train", "perceptron", "--epochs", 3, "-q", "--json", whole, "--threads", 1, "--lr", 0.05)
    run("train", "perceptron", "--epochs", 3, "-q", "--checkpoint", part, "--threads", 1, "--lr", 0.05)
    run("train", "perceptron", "--epochs", 3, "-q", "--resume", part, "--json", rest, "--threads", 1)
    assert json.loads(whole.read_text())["test_accuracy"] == json.loads(rest.read_text())["test_accuracy"]


def test_train_options_reach_the_trainer(tmp_path):
    log, saved = tmp_path / "run.jsonl", tmp_path / "run.safetensors"
    options = ("--device", "reference", "--label-smoothing", 0.1, "--clip-norm", 1, "--ema", 0.9, "--accumulate", 2)
    run("train", "perceptron", "--epochs", 1, "-q", "--log", log, "--checkpoint", saved, *options)
    assert json.loads(log.read_text())["epoch"] == 1
    updating = checkpoint.load(saved)[1]["updating"]
    assert {k: v for k, v in updating.items() if v is not None} == {"clip_norm": 1.0, "ema": 0.9, "accumulate": 2}
    assert "between 0 and 1" in run("train", "perceptron", "--ema", 2, code=2).stderr
    assert ".jsonl" in run("train", "perceptron", "--log", "run.txt", code=2).stderr


def test_cuda_kernels_can_be_read_without_a_gpu():
    assert "in shared memory" in run("kernels", "lenet5", "--device", "cuda", "--batch", 256).stdout
    assert "cuda.syncthreads()" in run("kernels", "lenet5", "conv1_contract_tanh", "--device", "cuda").stdout
    assert "sm_80" in run("kernels", "lenet5", "--device", "cuda", "--arch", "ninety", code=1).stderr
    run("kernels", "lenet5", "--device", "vulkan", code=2)
    run("kernels", "lenet5", "--resources", code=2)
    assert "bfloat16_at" in run("kernels", "lenet5", "conv1_contract_tanh", "--precision", "bfloat16", "--infer").stdout
    assert "tf32 is of the tensor cores" in run("kernels", "lenet5", "--precision", "tf32", code=1).stderr
    assert "tf32 tensor cores" in run("kernels", "lenet5", "--device", "cuda", "--precision", "tf32").stdout
    asm = ("kernels", "lenet5", "1", "--device", "cuda", "--arch", "sm_80", "--as", "asm")
    if missing_parts():
        assert "pip install" in run(*asm, code=1).stderr
    else:
        assert ".target sm_80" in run(*asm).stdout


def test_kernels_table_and_forms(tmp_path):
    out = tmp_path / "k.json"
    assert "contract" in run("kernels", "perceptron", "--json", out).stdout
    rows = json.loads(out.read_text())["kernels"]
    tiled = next(r["number"] for r in rows if "tile" in r["schedule"])
    assert all(r["bytes"] > 0 for r in rows) and any(r["flops"] > 0 for r in rows)
    assert "def " in run("kernels", "perceptron", tiled).stdout
    assert "define void @kw_" in run("kernels", "perceptron", tiled, "--as", "llvm").stdout
    assert "sum[" in run("kernels", "perceptron", tiled, "--as", "loops").stdout
    assert "acc[y * " in run("kernels", "perceptron", tiled, "--as", "tile").stdout
    asm = run_process("kernels", "perceptron", rows[tiled]["name"], "--as", "asm").stdout  # which has no lines of ours
    if target().triple.startswith("x86_64"):
        assert re.search(r"vfmadd\w+ps", asm)
    assert "fused because" in asm and "layers.py:" in asm


def test_inference_and_profile():
    text = run("kernels", "perceptron", "--infer", "--profile", "--batch", 64).stdout
    assert "GFLOP/s" in text and re.search(r"\d+ kernels, [\d.]+ ms", text)


def test_a_profile_has_predictions_and_the_roofline(tmp_path):
    out = tmp_path / "p.json"
    text = run("kernels", "perceptron", "--profile", "--batch", 32, "--threads", 1, "--json", out).stdout
    outcome = json.loads(out.read_text())
    assert "predicted" in text and "roofline" in text and "total" in text and "limits of 1 thread:" in text
    product = next(r for r in outcome["kernels"] if "contract" in r["name"])
    limits = outcome["limits"]
    rate = next((each for most, each in limits["streams"] if product["bytes"] <= most), limits["bytes"])
    assert product["predicted"] == pytest.approx(product["cycles"] * limits["cycle"] + product["bytes"] / rate)
    assert product["cycles"] > 0
    bound = max(product["flops"] / limits["flops"], product["bytes"] / limits["bytes"])
    assert product["bound"] == pytest.approx(bound) and product["roofline"] == pytest.approx(bound / product["seconds"])


@pytest.mark.slow
def test_bench_writes_results_and_report(tmp_path):
    pytest.importorskip("torch")
    out, folder = tmp_path / "b.json", tmp_path / "benchmarks"
    options = ("--against", "torch", "--mode", "infer", "--rounds", 1, "--batch", 4, "--threads", 1)
    done = run("bench", "playground", *options, "--folder", folder, "--json", out)
    (result,) = json.loads(out.read_text())["results"]
    assert result["best_peer"].startswith("torch") and "ratio" in done.stdout
    assert (folder / "README.md").exists() and list(folder.glob("infer-*.svg"))
    assert len(list((folder / "results").glob("*-bench.json"))) == 1


def test_a_quick_check_that_lost_something_fails_unless_it_is_stored(monkeypatch):
    from kernelwright.bench import quick

    lost = []
    monkeypatch.setattr(quick, "check", lambda *_: {"lost": lost})
    run("bench", "--quick")
    lost.append("mlp dense1, forward")
    run("bench", "--quick", code=1)
    run("bench", "--quick", "--store")


def test_cache_and_summary(tmp_path):
    out = tmp_path / "o.json"
    cache = tmp_path / "cache"
    run_process("kernels", "perceptron", "--infer", KERNELWRIGHT_CACHE=str(cache))
    run_process("cache", "--json", out, KERNELWRIGHT_CACHE=str(cache))
    assert json.loads(out.read_text())["entries"] > 0
    assert str(cache) in run_process("cache", "--clear", KERNELWRIGHT_CACHE=str(cache)).stdout
    run_process("cache", "--json", out, KERNELWRIGHT_CACHE=str(cache))
    assert json.loads(out.read_text())["entries"] == 0
    assert "61,706" in run("summary", "lenet5").stdout


@pytest.mark.parametrize("arguments, code, words", [
    (("train", "lenet"), 2, "lenet5"),
    (("train", "lenet5", "--data", "mnist", "--folder", "/no/such/folder"), 1, "/no/such/folder"),
    (("train", "lenet5", "--data", "faces"), 1, "faces"),
    (("train", "lenet5", "--device", "tpu"), 1, "tpu"),
    (("train", "lenet5", "--resume", "/no/file"), 1, "/no/file"),
    (("kernels", "perceptron", "99", "--infer"), 1, "99"),
    (("kernels", "perceptron", "0", "--infer", "--as", "poem"), 1, "poem"),
    (("train", "lenet5", "--epochs", "0"), 2, "epochs"),
    (("bench", "lenet"), 1, "lenet5"),
    (("bench", "lenet5", "--against", "theano"), 1, "theano"),
    (("bench", "lenet5", "--rounds", "0"), 2, "rounds"),
    (("bench", "--quick", "lenet"), 1, "lenet5"),
    (("bench", "lenet5", "--store"), 2, "--quick"),
])  # fmt: skip
def test_errors_are_one_message(arguments, code, words):
    assert words in run(*arguments, code=code).stderr


@pytest.mark.parametrize("name, code", [("lenet", 2), ("lenet5", 1)])
def test_a_shell_sees_errors_and_their_codes(name, code):
    error = run_process("train", name, "--data", "faces", code=code).stderr
    assert error.splitlines()[-1 if code == 1 else 0].startswith("kernelwright: " if code == 1 else "Usage: ")


def test_interrupted_training_keeps_its_checkpoint(tmp_path):
    saved = tmp_path / "run.safetensors"
    command = [sys.executable, "-m", "kernelwright.cli", "train", "lenet5", "--epochs", "500"]
    command += ["--checkpoint", str(saved)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert str(saved) in err and "Traceback" not in err
    assert "test accuracy" in run("train", "lenet5", "--resume", saved, "--epochs", 1, "-q").stdout
