"""The part `launches`: what starting kernels costs, on the host and on the device. Leans on `work`.

A kernel of one element is launched by itself, as a graph of its own, and as a graph of a thousand (a loop of as many
turns).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...compiler.graph.recurrences import scan
from ...compiler.graph.tensor import as_tensor, input
from . import turn
from .work import Work, milliseconds

TURNS = 1000
CALLS = 300


def programs(case: str) -> Iterator[Work]:
    """What `run` compiles: one small kernel, and a loop of it."""
    x = input("x", (1,))
    yield Work("one", [x], [x + 1.0], {}, "float32", 1, lambda: [np.zeros(1, "float32")])
    rows = input("rows", (TURNS, 1))
    last, _ = scan(lambda h, row: (h * 0.5 + row, None), as_tensor(np.zeros(1, "float32")), rows)
    yield Work("loop", [rows], [last], {}, "float32", 1, lambda: [np.zeros((TURNS, 1), "float32")])


def run(case: str, say: Callable[[dict[str, Any]], None]) -> None:
    """A row for each way of starting a kernel: microseconds for each."""
    one, loop = programs(case)
    program, arrays, many = one.compiled(), one.arrays(), loop.compiled()
    with turn.alone():
        replay, call = milliseconds(program, arrays)["ms"], _call(program, arrays)
        turns = milliseconds(many, loop.arrays())["ms"]
    say({"what": "replay of a graph of one kernel, on the device", "us": replay * 1e3})
    say({"what": "call of a program of one kernel, arrays to and fro", "us": call})
    say({"what": f"each kernel of a graph of {TURNS}, on the device", "us": turns * 1e3 / TURNS})


def _call(program: Any, arrays: list[np.ndarray]) -> float:
    """Microseconds of the host for one call."""
    program.run(arrays)
    started = time.perf_counter()
    for _ in range(CALLS):
        program.run(arrays)
    return (time.perf_counter() - started) * 1e6 / CALLS
