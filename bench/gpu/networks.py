"""The part `networks`: a training step and an inference of a network, as replays of its CUDA graph.

Arrays lie on the device; what a call moves between host and device is told apart, as `call_ms`. Leans on `work`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...compiler.targets.cuda import compiled
from . import cards, turn
from .parts import MODES, read_case
from .work import Work, milliseconds, network


def programs(case: str) -> Iterator[Work]:
    """What `run` compiles."""
    name, batch, precision = read_case(case)
    yield from (network(name, batch, precision, mode == "train") for mode in MODES)


def run(case: str, say: Callable[[dict[str, Any]], None]) -> None:
    """A row for each mode."""
    name, batch, precision = read_case(case)
    card = cards.of_name(compiled.driver(0).name)
    for mode, work in zip(MODES, programs(case), strict=True):
        started = time.perf_counter()
        program = work.compiled()
        built = time.perf_counter() - started
        arrays = work.arrays()
        with turn.alone():
            started = time.perf_counter()
            first = program.run(arrays)[0]
            called = time.perf_counter()
            program.run(arrays)
            again = time.perf_counter()
            found = milliseconds(program, arrays)
        least = [k["least_ms"] for k in cards.with_bounds(card, program.kernels, batch)]
        say(
            {
                "network": name,
                "batch": batch,
                "mode": mode,
                "precision": precision,
                "by": "kernelwright",
                **found,
                "call_ms": (again - called) * 1e3,
                "predicted_ms": None if card is None else sum(least),
                "kernels": len(program.kernels),
                "build_seconds": built,
                "first_call_seconds": called - started,
                "finite": bool(np.isfinite(first).all()),
            }
        )
