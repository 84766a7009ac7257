"""What is paid besides arithmetic: a call from Python, barriers between kernels, compiling."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measuring import report

import kernelwright as kw

PROGRAMS = {
    "one kernel": "x = kw.input('x', (None, 64)); kw.compile([x], kw.tanh(x))",
    "lenet5 predicts": "x = kw.input('x', (None, 1, 28, 28)); kw.compile([x], kw.models.lenet5()(x))",
    "lenet5 trains": """
x, t, net = kw.input("x", (None, 1, 28, 28)), kw.input("t", (None,), "int32"), kw.models.lenet5()
loss = kw.cross_entropy(net(x, training=True), t)
p = net.parameters()
kw.compile([x, t], [loss], kw.optim.SGD(0.01, momentum=0.9).updates(p, kw.grad(loss, p)))
""",
}


@pytest.mark.benchmark(group="call from Python", max_time=0.5)
@pytest.mark.parametrize("inputs", [0, 1, 10])
def test_an_almost_empty_program(inputs: int, benchmark: Any, threads: int | None) -> None:
    xs = [kw.input(f"x{i}", (1,)) for i in range(inputs)]
    total = sum(xs, kw.as_tensor(np.ones(1, "float32")))
    program = kw.compile(xs, total * 2.0, threads=threads)
    arrays = [np.ones(1, "float32")] * inputs
    report(benchmark, lambda: program.run(arrays))


@pytest.mark.benchmark(group="barriers", max_time=0.5, min_rounds=3)
@pytest.mark.parametrize("count", [10, 200])
def test_many_tiny_kernels(count: int, operand: Any, benchmark: Any, threads: int | None) -> None:
    h, w = operand(16, 16), operand(16, 16)
    y = h
    for _ in range(count):
        y = kw.tanh(y @ w)
    program = kw.compile([], [], {h: y}, threads=threads)
    report(benchmark, lambda: program.run([]))
    benchmark.extra_info["kernels"] = len(program.kernels)
    if benchmark.stats is not None:
        benchmark.extra_info["us per kernel"] = round(benchmark.stats.stats.min * 1e6 / len(program.kernels), 3)


@pytest.mark.benchmark(group="steps in one call", max_time=0.5, min_rounds=3)
def test_a_thousand_tiny_steps(operand: Any, benchmark: Any, threads: int | None) -> None:
    h = operand(16)
    program = kw.compile([], [], {h: h * 0.5 + 1.0}, threads=threads)
    report(benchmark, lambda: program.run([], steps=1000))
    if benchmark.stats is not None:
        benchmark.extra_info["us per step"] = round(benchmark.stats.stats.min * 1e3, 3)


@pytest.mark.benchmark(group="new process, empty kernel cache")
@pytest.mark.parametrize("name", PROGRAMS)
def test_compiling_cold(name: str, benchmark: Any, tmp_path: Path) -> None:
    folders = (tmp_path / str(i) for i in range(100))

    def once() -> None:
        env = {**os.environ, "KERNELWRIGHT_CACHE": str(next(folders))}
        subprocess.run([sys.executable, "-c", f"import kernelwright as kw\n{PROGRAMS[name]}"], env=env, check=True)

    benchmark.pedantic(once, rounds=3)
