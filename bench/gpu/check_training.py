"""One training step of networks at a small batch, by the very kernels that are timed at a large one: loss and updates
beside those of the reference on the host, in every precision.

At random weights a deep network's updates are ill-conditioned: PyTorch's own in tf32 and bfloat16 are off by more than
half of their size on ResNet-50. Of such networks the loss is bounded in those precisions, and the updates in float32.
Leans on `work`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...compiler.graph.reference import evaluate
from . import turn
from .parts import NETWORKS, PRECISIONS
from .work import Work, network

BATCHES = {"lenet5": 33, "mlp": 33, "resnet50": 2}
DEEP = ("resnet50",)
LOSS = {"float32": 1e-5, "tf32": 2.0**-9, "bfloat16": 2.0**-6}
"""Of the loss."""
UPDATES = {"float32": 1e-3, "tf32": 2.0**-6, "bfloat16": 2.0**-4}
"""Of the norm of all updates, but for deep networks, whose updates in float32 may be off by DEEP_FLOAT32 of it. A relu
at so little that rounding takes it below zero is 0.9 % of the MLP's: there is one in tf32."""
DEEP_FLOAT32 = 0.1
Say = Callable[[dict[str, Any]], None]


def programs(name: str) -> Iterator[Work]:
    """A network's training step in each precision."""
    yield from (network(name, NETWORKS[name][0], precision, True) for precision in PRECISIONS)


def run(works: Iterator[Work], say: Say) -> None:
    """A row for each precision."""
    wanted: list[np.ndarray] | None = None
    for work in works:
        name = work.name.split()[0]
        arrays = [array[: BATCHES[name]] for array in work.arrays()]
        states = [variable.attrs.state for variable in work.updates]
        before = [state.get() for state in states]
        if wanted is None:  # weights are those of seed 0 in every precision
            wanted = evaluate([*work.outputs, *work.updates.values()], dict(zip(work.inputs, arrays, strict=True)))
        program = work.compiled()
        runs = []
        for _ in range(2):
            with turn.beside():
                runs.append([*program.run(arrays), *(state.get() for state in states)])
            for state, value in zip(states, before, strict=True):
                state.set(value)
        say(_row(name, work.precision, before, wanted, *runs))


def _row(
    name: str,
    precision: str,
    before: list[np.ndarray],
    wanted: list[np.ndarray],
    found: list[np.ndarray],
    again: list[np.ndarray],
) -> dict[str, Any]:
    loss = abs(float(found[0]) - float(wanted[0])) / abs(float(wanted[0]))
    moved = np.concatenate([(z - b).ravel() for z, b in zip(wanted[1:], before, strict=True)]).astype("float64")
    error = np.concatenate([(y - z).ravel() for y, z in zip(found[1:], wanted[1:], strict=True)]).astype("float64")
    updates = float(np.linalg.norm(error) / np.linalg.norm(moved))
    most = UPDATES[precision]
    if name in DEEP:
        most = DEEP_FLOAT32 if precision == PRECISIONS[-1] else float("inf")
    same = all(y.tobytes() == z.tobytes() for y, z in zip(found, again, strict=True))
    right = loss <= LOSS[precision] and updates <= most
    what = f"training step of {name} {precision}"
    return {"what": what, "right": right, "error": updates, "loss_error": loss, "same_again": same}
