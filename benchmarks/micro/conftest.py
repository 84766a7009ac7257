"""How a micro-benchmark runs: one program over variables, so that neither the call's arrays nor their order count.

    pytest benchmarks/micro [-k lenet5] [--threads 2] [--benchmark-json FILE]

Needs pytest-benchmark (`pip install -e ".[bench]"`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from measuring import report

import kernelwright as kw

Measure = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--threads", type=int, default=None, help="worker threads (default: one per core)")


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> int | None:
    return request.config.getoption("--threads")


@pytest.fixture
def operand() -> Callable[..., kw.Tensor]:
    """`operand(*shape)`: a variable of small random floats, whose order in memory the compiler chooses."""
    rng = np.random.default_rng(0)

    def make(*shape: int) -> kw.Tensor:
        return kw.variable("operand", rng.standard_normal(shape, "float32") * np.float32(0.1))

    return make


@pytest.fixture
def measure(benchmark: Any, threads: int | None) -> Measure:
    """`measure(results, flops=, nbytes=)`: time the kernels that leave `results` in variables; GFLOP/s and GB/s."""

    def run(results: Sequence[kw.Tensor] | Mapping[kw.Tensor, kw.Tensor], flops: int = 0, nbytes: int = 0) -> None:
        updates = results
        if not isinstance(updates, Mapping):
            updates = {kw.variable("result", np.zeros(y.shape, y.dtype)): y for y in results}
        program = kw.compile([], [], updates, threads=threads)
        report(benchmark, lambda: program.run([]), flops, nbytes)
        benchmark.extra_info["kernels"] = len(program.kernels)
        benchmark.extra_info["threads"] = program.executable.threads

    return run


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The rates, which pytest-benchmark's table does not show."""
    session = getattr(config, "_benchmarksession", None)
    rows = [(b.name, b.extra_info) for b in (session.benchmarks if session else []) if b.extra_info]
    for name, extra in rows:
        terminalreporter.write_line(f"{name}: " + ", ".join(f"{k} {v}" for k, v in extra.items()))
