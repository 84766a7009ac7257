"""Kernelwright as a contender, and the count of a network's work. Leans on models and the compiler."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import models
from ..compiler.graph.autodiff import grad
from ..compiler.graph.functions import cross_entropy
from ..compiler.graph.node import toposort
from ..compiler.graph.tensor import Tensor, input
from ..compiler.pipeline import Compiled, compile
from ..compiler.shapes import value
from ..models.model import Model
from ..models.normalization import Dropout
from ..models.optimizers import SGD
from ..models.precision import lowered
from .contenders import FLOAT32, MOMENTUM, BenchError, Contender, Setup


def network(name: str) -> Model:
    """Our network with the weights of seed 0, its dropout off. Raises BenchError for one that there is not."""
    if name not in models.names():
        raise BenchError(f"there is no network {name!r}; there are {', '.join(models.names())}")
    model: Model = models.build(name, seed=0)
    for layer in model.net.walk():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    return model


def program(model: Model, training: bool, threads: int, batch: int, rate: float, precision: str = FLOAT32) -> Compiled:
    """images -> logits; or (images, labels) -> loss, with everything that a training step updates."""
    images, typical = model.images(), {"batch": batch}
    narrow = None if precision == FLOAT32 else precision
    if not training:
        return compile([images], lowered([model(images)], narrow), threads=threads, typical=typical)
    return compile(*training_step(model, rate, precision), threads=threads, typical=typical)


def training_step(
    model: Model, rate: float, precision: str = FLOAT32
) -> tuple[list[Tensor], list[Tensor], dict[Tensor, Tensor]]:
    """(images and labels, the loss, everything that a training step updates), for `compile`."""
    images, narrow = model.images(), None if precision == FLOAT32 else precision
    labels = input("labels", (None,), "int32")
    answers = [model(images, training=True), *(logits for _, logits in model.net.heads())]
    moving = model.net.updates()
    found = lowered([*answers, *moving.values()], narrow, [images])
    weights = [1.0, *(weight for weight, _ in model.net.heads())]
    loss = sum((cross_entropy(y, labels) * w for w, y in zip(weights[1:], found[1:])), cross_entropy(found[0], labels))
    parameters = model.parameters()
    updates = SGD(rate, momentum=MOMENTUM).updates(parameters, grad(loss, parameters))
    updates |= dict(zip(moving, found[len(answers) :], strict=True))
    return [images, labels], [loss], updates


def flops(model: Model, batch: int, training: bool) -> int:
    """Floating point operations of dense and convolutional layers, two per multiply-add, for one batch.

    Training adds a product of the same size for each operand that has a gradient: the weights, and all but the first
    layer's inputs. Normalisation, activations and pooling are not counted.
    """
    images = model.images()
    learned = {*model.parameters()}
    total = 0
    for node in toposort([model(images)]):
        if any(x in learned for x in node.inputs):
            learned.add(node)
        if node.op.name == "contract":
            work = math.prod(value(d, {"batch": batch}) for d in (*node.shape, *node.attrs.spec.red))
            total += 2 * work * (1 + training * sum(x in learned for x in node.inputs))
    return total


class Ours:
    """Runs a compiled program, one step or many in a native call."""

    def __init__(self, contender: Contender, setup: Setup):
        self.model = network(setup.network)
        self.setup, self.many = setup, contender.many_steps
        images, labels = setup.batches()
        self.arrays = [images, labels] if setup.training else [images]
        self.program: Compiled | None = None
        self.at = 0

    def call(self) -> np.ndarray:
        result = self._call()
        if self.setup.training:
            return np.atleast_1d(result)
        last: np.ndarray = result[0] if self.many else result
        return last

    def repeat(self, calls: int) -> None:
        for _ in range(calls):
            self._call()

    def _call(self) -> Any:
        if self.program is None:
            batch = self.arrays[0].shape[1]
            setup = self.setup
            self.program = program(self.model, setup.training, setup.threads, batch, setup.rate, setup.precision)
        if self.many:
            everything = range(len(self.arrays))
            return self.program.run(self.arrays, self.setup.steps_per_call, everything)[0]
        i, self.at = self.at, (self.at + 1) % len(self.arrays[0])
        return self.program(*(a[i] for a in self.arrays))


def build(contender: Contender, setup: Setup) -> Ours:
    """Our contender, its network built."""
    return Ours(contender, setup)
