"""The three programs of a trainer as graphs: a training step, an evaluation, a prediction.

Training and evaluation take the whole data set and the positions of a batch, and gather the batch themselves, so
that one native call can run many steps. Leans on the DSL, `model` and `optimizers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..compiler.autodiff import grad
from ..compiler.functions import softmax
from ..compiler.ops.elementwise import equal
from ..compiler.ops.indexing import gather
from ..compiler.ops.reduce import argmax
from ..compiler.pipeline import Compiled, compile
from ..compiler.tensor import Tensor, input
from .model import Model
from .optimizers import Optimizer

Loss = Callable[[Tensor, Tensor], Tensor]

POSITIONS = 2
"""Which input of the training and evaluation programs advances with the step."""


@dataclass(frozen=True)
class Graph:
    """What `kw.compile` takes."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    updates: dict[Tensor, Tensor] = field(default_factory=dict)

    def compile(self, device: str, threads: int | None, batch: int) -> Compiled:
        """The program for this device, its schedules chosen for batches of about `batch`."""
        typical = {"batch": batch}
        return compile(self.inputs, self.outputs, self.updates, device=device, threads=threads, typical=typical)


def training(model: Model, loss: Loss, optimizer: Optimizer) -> Graph:
    """(images, labels, positions) -> (mean loss, correct predictions), updating all that training changes."""
    inputs, batch, targets = _gathered(model)
    logits = model(batch, training=True)
    value = loss(logits, targets)
    for weight, head in model.net.heads():
        value = value + loss(head, targets) * weight
    parameters = model.parameters()
    updates = {**model.net.updates(), **optimizer.updates(parameters, grad(value, parameters))}
    return Graph(inputs, [value, _correct(logits, targets)], updates)


def evaluation(model: Model, loss: Loss) -> Graph:
    """(images, labels, positions) -> (mean loss, correct predictions), in inference mode."""
    inputs, batch, targets = _gathered(model)
    logits = model(batch)
    return Graph(inputs, [loss(logits, targets), _correct(logits, targets)])


def prediction(model: Model) -> Graph:
    """images -> class probabilities (batch, classes)."""
    images = model.images()
    return Graph([images], [softmax(model(images))])


def _gathered(model: Model) -> tuple[list[Tensor], Tensor, Tensor]:
    """The inputs (all images, all labels, positions of the batch), and the batch's images and labels."""
    images = input("images", ("examples", *model.input_shape))
    labels = input("labels", ("examples",), "int32")
    positions = input("positions", (None,), "int32")
    return [images, labels, positions], gather(images, positions), gather(labels, positions)


def _correct(logits: Tensor, targets: Tensor) -> Tensor:
    """How many rows have their greatest logit at the target, int32."""
    return equal(argmax(logits, -1), targets).astype("int32").sum()
