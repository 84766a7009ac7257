"""The part `checks`: are results on the device those of the reference on the host, and the same in a second run?

Contractions in every precision and reductions run on small integers, which all precisions hold exactly; each op's
samples and gradients, and a network's training step, on random numbers within a bound. Leans on the files that make
the programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...compiler.graph.reference import evaluate
from . import check_contractions, check_ops, check_training, turn
from .work import Work

Say = Callable[[dict[str, Any]], None]
ROUNDED = 2e-5
"""Of 1 + |value|: what float32 functions and short sums may be off, as the tests of every op have it."""


def programs(case: str) -> Iterator[Work]:
    """What `run` compiles."""
    kind, *which = case.split()
    makers: dict[str, Callable[..., Iterator[Work]]] = {
        "contractions": check_contractions.contractions,
        "reductions": check_contractions.reductions,
        "ops": check_ops.programs,
        "training": check_training.programs,
    }
    yield from makers[kind](*which)


def run(case: str, say: Say) -> None:
    """A row for each program."""
    if case.startswith("training"):
        check_training.run(programs(case), say)
        return
    bound = ROUNDED if case.startswith("ops") else 0.0
    for work in programs(case):
        arrays = work.arrays()
        wanted = evaluate(work.outputs, dict(zip(work.inputs, arrays, strict=True)))
        program = work.compiled()
        with turn.beside():
            found, again = program.run(arrays), program.run(arrays)
        say(compared(work.name, found, wanted, again, bound))


def compared(
    what: str,
    found: Sequence[np.ndarray],
    wanted: Sequence[np.ndarray],
    again: Sequence[np.ndarray],
    bound: float,
) -> dict[str, Any]:
    """The row of a program: its largest error, is that within the bound, have both runs the same bits?"""
    error = max(off(y, z) for y, z in zip(found, wanted, strict=True))
    same = all(y.tobytes() == z.tobytes() for y, z in zip(found, again, strict=True))
    return {"what": what, "right": error <= bound, "error": error, "same_again": same}


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest |found - wanted| / (1 + |wanted|), infinite for another shape or dtype; NaN is right where it is
    wanted, and makes the outcome NaN elsewhere."""
    if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
        return float("inf")
    y, z = found.astype("float64"), wanted.astype("float64")
    with np.errstate(invalid="ignore"):
        each = np.abs(y - z) / (1 + np.abs(z))
    return float(np.where((y == z) | (np.isnan(y) & np.isnan(z)), 0.0, each).max(initial=0.0))
