"""The three programs of a trainer as graphs: a training step, an evaluation, a prediction.

Training and evaluation take the whole data set and the positions of a batch, and gather the batch themselves, so
that one native call can run many steps. Leans on the DSL, `model` and `optimizers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compiler.graph.autodiff import grad
from ..compiler.graph.node import toposort
from ..compiler.graph.ops.elementwise import sign, stop_gradient
from ..compiler.graph.ops.indexing import gather
from ..compiler.graph.ops.source import size_of
from ..compiler.graph.tensor import Tensor, dim_of, input
from ..compiler.pipeline import Compiled, compile
from ..compiler.rewriting.rewrite import rebuild
from .labels import ONE, Labels
from .layer import Layer
from .model import Model
from .optimizers import Optimizer
from .precision import LossScale, lowered
from .progress import Compiling, Tuning
from .updating import Updating, accumulated, plain

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Graph:
    """What `kw.compile` takes; averages: each parameter's, where there are any; state: variables made for them and
    for accumulated gradients."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    updates: dict[Tensor, Tensor] = field(default_factory=dict)
    averages: dict[Tensor, Tensor] = field(default_factory=dict)
    state: list[Tensor] = field(default_factory=list)

    def compile(
        self,
        device: str,
        threads: int | None,
        batch: int,
        schedules: Mapping[str, str] | None = None,
        tune: bool = False,
        shown: bool = False,
        precision: str = "float32",
    ) -> Compiled:
        """The program for this device, its schedules chosen for batches of about `batch`, as `schedules` says or by
        measuring; progress is `shown`. precision: of contractions on a GPU."""
        typical = {"batch": batch}
        with Tuning(shown and tune) as report, Compiling(shown and not tune):
            measured = report if tune else False
            return compile(
                self.inputs, self.outputs, self.updates, device, threads, typical, schedules, measured, precision
            )


def training(
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    augment: Layer | None = None,
    options: Updating | None = None,
    labels: Labels = ONE,
) -> Graph:
    """(images, labels, positions) -> (mean loss, counts of what was right), updating all that training changes.

    augment: a layer that the batch goes through first. Where `options` accumulates gradients, a fourth input says
    whether this micro-batch ends with an update. Running statistics are those of the images, also where half of the
    loss is of adversarial ones.
    """
    options = options or Updating()
    inputs, batch, targets = _gathered(model, labels)
    changes: dict[Tensor, Tensor] = {}
    if augment is not None:
        batch = augment(batch, training=True)
        changes = augment.updates()
    logits, heads, statistics = _forward(model, batch, options.precision)
    value = _value(loss, logits, heads, targets)
    if options.adversarial is not None:
        moved = stop_gradient(batch + sign(grad(value, batch)) * options.adversarial)
        value = (value + _value(loss, *_forward(model, moved, options.precision)[:2], targets)) * 0.5
    counts = labels.counts(logits, targets)
    changed = {**changes, **statistics}
    return stepping(inputs[:2], inputs[2], value, counts, model.parameters(), changed, optimizer, options)


def stepping(
    arrays: Sequence[Tensor],
    positions: Tensor,
    value: Tensor,
    counts: Tensor,
    parameters: Sequence[Tensor],
    changes: Mapping[Tensor, Tensor],
    optimizer: Optimizer,
    options: Updating,
) -> Graph:
    """(arrays, positions, and, where gradients are accumulated, apply) -> (loss, counts), with the updates that
    lessen the loss `value` and `changes` of other variables."""
    inputs = [*arrays, positions]
    scale = None if options.loss_scale is None else LossScale(options.loss_scale)
    gradients = grad(value, parameters) if scale is None else scale.unscaled(grad(scale.scaled(value), parameters))
    if options.accumulate == 1:
        step = plain(options, optimizer, parameters, gradients)
    else:
        examples = size_of(dim_of(positions, (0,)), "float32")
        inputs.append(input("apply", (), "int32"))
        step = accumulated(options, optimizer, parameters, gradients, examples, inputs[-1] > 0)
    moved, state = step.updates, step.state
    if scale is not None:
        moved, state = scale.guarded(moved, gradients), [*state, *scale.state]
    return Graph(inputs, [value, counts], {**changes, **moved}, step.averages, state)


def _value(loss: Loss, logits: Tensor, heads: Sequence[tuple[float, Tensor]], targets: Tensor) -> Tensor:
    """The loss of a training pass, with its share for each head."""
    value = loss(logits, targets)
    for weight, head in heads:
        value = value + loss(head, targets) * weight
    return value


def _forward(
    model: Model, batch: Tensor, precision: str | None
) -> tuple[Tensor, list[tuple[float, Tensor]], dict[Tensor, Tensor]]:
    """A training pass in this precision: logits, (weight, logits) of each head, and what it leaves in buffers."""
    logits = model(batch, training=True)
    heads, updates = model.net.heads(), model.net.updates()
    found = lowered([logits, *(head for _, head in heads), *updates.values()], precision, [batch])
    shares, ends = [weight for weight, _ in heads], 1 + len(heads)
    return found[0], list(zip(shares, found[1:ends], strict=True)), dict(zip(updates, found[ends:], strict=True))


def evaluation(
    model: Model,
    loss: Loss,
    weights: Mapping[Tensor, Tensor] | None = None,
    labels: Labels = ONE,
    precision: str | None = None,
) -> Graph:
    """(images, labels, positions) -> (mean loss, counts of what was right), in inference mode.

    weights: what stands for the model's parameters, as their averages do.
    """
    inputs, batch, targets = _gathered(model, labels)
    (logits,) = lowered([model(batch)], precision)
    return Graph(inputs, substitute([loss(logits, targets), labels.counts(logits, targets)], weights or {}))


def prediction(
    model: Model,
    weights: Mapping[Tensor, Tensor] | None = None,
    labels: Labels = ONE,
    precision: str | None = None,
) -> Graph:
    """images -> class probabilities (batch, classes); weights: as in `evaluation`."""
    images = model.images()
    (logits,) = lowered([model(images)], precision)
    return Graph([images], substitute([labels.probabilities(logits)], weights or {}))


def substitute(outputs: Sequence[Tensor], leaves: Mapping[Tensor, Tensor]) -> list[Tensor]:
    """The same expressions over other leaves."""
    done: dict[Tensor, Tensor] = {}
    for node in toposort(outputs):
        done[node] = leaves[node] if node in leaves else rebuild(node, [done[i] for i in node.inputs])
    return [done[y] for y in outputs]


def _gathered(model: Model, labels: Labels) -> tuple[list[Tensor], Tensor, Tensor]:
    """The inputs (all images, all labels, positions of the batch), and the batch's images and labels."""
    images = input("images", ("examples", *model.input_shape))
    targets = labels.input("examples", model.classes)
    positions = input("positions", (None,), "int32")
    return [images, targets, positions], gather(images, positions), gather(targets, positions)


def run(program: Compiled, arrays: Sequence[Any], advancing: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Losses (steps,) and counts (steps, kinds) of a step for each row of what advances with the step: the positions
    of its batch and, where gradients are accumulated, whether it ends with an update (int32, 0 or 1)."""
    fixed, steps = [*arrays], len(advancing[0])
    per_step = range(len(fixed), len(fixed) + len(advancing))
    losses, counts = program.run([*fixed, *advancing], steps=steps, per_step=per_step)
    return np.ravel(losses), np.reshape(counts, (steps, -1))
