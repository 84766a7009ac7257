"""What training a network takes in memory: counted layer by layer, and as its compiled step has it.

The two differ because a compiled step stores what its kernels hand on to each other, which fusion makes fewer, and lets
these share memory where they are not needed at the same time. Leans on `programs` for the step, `runtime.memory` for
its arena.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..compiler.graph.tensor import Tensor
from ..compiler.targets.cpu.compiled import Native
from ..runtime.memory import memory
from . import programs
from .model import Model


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes. Counted: weights; gradients, one for each; optimizer, the recipe's state; statistics, state that is not
    trained; activations, the outputs of all layers for a batch, as if each were kept for the way back.

    Of the compiled step: arena, all that it computes and hands on, gradients included; states, what it keeps from step
    to step, which is weights, optimizer and statistics.
    """

    batch: int
    weights: int
    gradients: int
    optimizer: int
    statistics: int
    activations: int
    arena: int
    states: int

    def __str__(self) -> str:
        counted = {
            "weights": self.weights,
            "gradients": self.gradients,
            "optimizer state": self.optimizer,
            "running statistics": self.statistics,
            "activations": self.activations,
        }
        parts = ", ".join(f"{name} {size(count)}" for name, count in counted.items() if count)
        return (
            f"training on batches of {self.batch}, counted by layers: {size(sum(counted.values()))} ({parts})\n"
            f"the compiled step allocates {size(self.states + self.arena)} (state {size(self.states)}, arena of "
            f"temporaries {size(self.arena)}), besides data and code"
        )


def training_memory(model: Model, batch: int, threads: int | None = None) -> TrainingMemory:
    """What training with the model's recipe takes for batches of `batch`. Compiles the training step for the CPU."""
    optimizer = model.recipe.build(1, 1, True)
    graph = programs.training(model, model.recipe.criterion(), optimizer)
    compiled = graph.compile("cpu", threads, batch)
    assert isinstance(compiled, Native)
    step = memory(compiled.program, [(batch, *model.input_shape), (batch,), (batch,)])
    weights = _bytes(model.parameters())
    return TrainingMemory(
        batch=batch,
        weights=weights,
        gradients=weights,
        optimizer=_bytes(optimizer.state()),
        statistics=_bytes(model.buffers()),
        activations=sum(row.elements for row in model.rows()) * batch * np.dtype(model.dtype).itemsize,
        arena=step.arena,
        states=step.states,
    )


def size(count: int) -> str:
    """A number of bytes for reading."""
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"


def _bytes(variables: Iterable[Tensor]) -> int:
    return sum(math.prod(v.attrs.state.shape) * v.attrs.state.dtype.itemsize for v in variables)
