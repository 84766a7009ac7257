"""Training steps against PyTorch: LeNet-5 and an MLP, batch 128, SGD with momentum, in one interleaved run.

    python benchmarks/training_step.py [--threads 2] [--rounds 15]

Same weights, same batch; before anything is timed, the loss and every parameter after one step have to agree.
PyTorch runs eagerly, with channels last, and compiled (both), and its best median counts. Writes
`benchmarks/results/<date>-training-step.json`; `python benchmarks/render.py` makes the tables from those.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import machine, quartiles, save

import kernelwright as kw

BATCH, RATE, MOMENTUM = 128, 0.01, 0.9
NETWORKS = {"lenet5": kw.models.lenet5, "mlp": kw.models.mlp}


def ours(network: str, images: np.ndarray, labels: np.ndarray, threads: int) -> tuple[Any, Any, Callable[[int], None]]:
    """(model, program, a function that takes n steps)."""
    model = NETWORKS[network]()
    x, t = kw.input("images", (None, 1, 28, 28)), kw.input("labels", (None,), "int32")
    loss = kw.losses.cross_entropy(model(x, training=True), t)
    parameters = model.parameters()
    updates = kw.optim.SGD(RATE, momentum=MOMENTUM).updates(parameters, kw.grad(loss, parameters))
    program = kw.compile([x, t], [loss], updates, threads=threads)
    return model, program, lambda n: [program(images, labels) for _ in range(n)] and None


def theirs(network: str, model: Any, mode: str, images: np.ndarray, labels: np.ndarray) -> tuple[Any, Callable]:
    """(module with our weights, a function that takes n steps and gives the last loss)."""
    import torch
    from torch import nn

    if network == "lenet5":
        net = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
        )  # fmt: skip
    else:
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )
    with torch.no_grad():
        for p, q in zip(net.parameters(), model.parameters(), strict=True):
            p.copy_(torch.from_numpy(kw.get_value(q)))
    x, t = torch.from_numpy(images), torch.from_numpy(labels.astype("int64"))
    if "channels last" in mode:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=MOMENTUM)

    def forward(images: Any, labels: Any) -> Any:
        return nn.functional.cross_entropy(net(images), labels)

    run = torch.compile(forward) if "compiled" in mode else forward

    def steps(n: int) -> float:
        for _ in range(n):
            optimizer.zero_grad(set_to_none=True)
            loss = run(x, t)
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    return net, steps


def agree(network: str, images: np.ndarray, labels: np.ndarray, threads: int) -> dict[str, float]:
    """The greatest differences after one step: of the loss, and of any parameter."""
    model, program, _ = ours(network, images, labels, threads)
    net, steps = theirs(network, model, "eager", images, labels)
    want, got = steps(1), float(program(images, labels))
    pairs = zip(net.parameters(), model.parameters(), strict=True)
    worst = max(float(np.abs(p.detach().numpy() - kw.get_value(q)).max()) for p, q in pairs)
    assert abs(want - got) < 1e-4 and worst < 1e-5, f"{network}: loss {want} and {got}, parameters differ by {worst}"
    return {"loss": abs(want - got), "parameters": worst}


def measure(network: str, threads: int, rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    images = rng.random((BATCH, 1, 28, 28), dtype="float32")
    labels = rng.integers(0, 10, BATCH).astype("int32")
    differences = agree(network, images, labels, threads)
    model, program, run = ours(network, images, labels, threads)
    flops = sum(k.flops(batch=BATCH) for k in program.kernels)
    runs: dict[str, Callable[[int], Any]] = {
        "kernelwright": run,
        "kernelwright, 20 steps a call": lambda n: program.run([images, labels], steps=n),
    }
    skipped = {}
    for mode in ("eager", "channels last", "compiled", "compiled, channels last"):
        try:
            _, runs[f"torch {mode}"] = theirs(network, model, mode, images, labels)
            runs[f"torch {mode}"](5)
        except Exception as error:
            del runs[f"torch {mode}"]
            skipped[mode] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    for each in runs.values():
        each(20)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, each in runs.items():
            started = time.perf_counter()
            each(20)
            times[name].append((time.perf_counter() - started) / 20)
    stats = {name: quartiles(values) for name, values in times.items()}
    best = min((s["median"], name) for name, s in stats.items() if name.startswith("torch"))
    mine = stats["kernelwright"]["median"]
    return {"network": network, "batch": BATCH, "seconds": stats, "best_peer": best[1], "ratio": best[0] / mine,
            "ratio_many_steps": best[0] / stats["kernelwright, 20 steps a call"]["median"], "flops": flops,
            "gflops": flops / mine / 1e9, "kernels": len(program.kernels), "differences": differences,
            "skipped": skipped}  # fmt: skip


START = """
import time; started = time.perf_counter()
import numpy as np, kernelwright as kw
from kernelwright.models import programs
model = kw.models.{network}()
x, t = kw.input("images", (None, 1, 28, 28)), kw.input("labels", (None,), "int32")
loss = kw.losses.cross_entropy(model(x, training=True), t)
p = model.parameters()
program = kw.compile([x, t], [loss], kw.optim.SGD(0.01, momentum=0.9).updates(p, kw.grad(loss, p)), threads=2)
program(np.zeros((128, 1, 28, 28), "float32"), np.zeros(128, "int32"))
print(time.perf_counter() - started)
"""


def first_step(network: str, repeats: int = 3) -> dict[str, Any]:
    """Seconds from the first line of a new process to the end of the first step, cold and warm."""
    out: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("cold", "warm"):
                env = {**os.environ, "KERNELWRIGHT_CACHE": folder}
                command = [sys.executable, "-c", START.format(network=network)]
                done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
                out[kind].append(float(done.stdout))
    return {kind: quartiles(values) for kind, values in out.items()}


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = [measure(name, options.threads, options.rounds) for name in NETWORKS]
    starts = {name: first_step(name) for name in NETWORKS}
    path = save("training-step", {"machine": machine(), "threads": options.threads, "rounds": options.rounds,
                                  "results": results, "first_step": starts})  # fmt: skip
    for r in results:
        print(r["network"], f"{r['ratio']:.2f}x", {k: round(v["median"] * 1e3, 3) for k, v in r["seconds"].items()})
    print(starts)
    print(path)


if __name__ == "__main__":
    main()
