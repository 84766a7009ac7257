"""A network with what is known of it: its input, its classes, its data and how it is trained by default.

Leans on `layers` for the network and on `recipe` for the training defaults. `summary` renders its table.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiler.graph.node import location, toposort, user_location
from ..compiler.graph.tensor import Tensor, input
from ..compiler.shapes import show, symbol, value
from ..compiler.targets.shared.inspect import grid
from ..compiler.uncollected import uncollected
from ..runtime import checkpoint as storage
from ..runtime.errors import KernelwrightError
from . import initializers as init
from . import saved
from .arguments import explained
from .blame import blame_network
from .checks import SettingError, sizes, whole
from .checks import seed as checked_seed
from .layer import Layer, traced
from .named_state import Loaded
from .recipe import Recipe
from .scaling import Scaling
from .shown import table_html

NUMBERS = (3, 4, 5, 6)
"""The columns of a summary that hold numbers."""
SPATIAL = ("depth", "height", "width")
"""The symbols of sides that only a run knows."""


@dataclass(frozen=True)
class Row:
    """One layer of a summary; elements (of its output) and flops are for one example, forward."""

    path: str
    kind: str
    output: str
    parameters: int
    flops: int
    elements: int


class Model:
    """`net` built for images of `input_shape` (channels, height, width), giving logits over `classes`.

    (3, None, None) is for images of any height and width, which one compiled program then takes; `net` needs means over
    pixels (`GlobalAvgPool`, `AdaptiveAvgPool`) before a layer that is dense. `sides` keeps what was given.
    Its parameters are drawn from `seed` (None: different each time). dataset: the name in `kw.data` that it is
    usually trained on. `built_by` is, for a network of `kw.models`, its name there and the options it was built with.
    `scaling`, None unless it is set, is what images are less and divided by on their way into `net`.
    """

    @explained({"num_classes": "here it is classes", "shape": "here it is input_shape"})
    def __init__(
        self,
        name: str,
        net: Layer,
        input_shape: tuple[int | None, ...],
        classes: int,
        dataset: str | None = None,
        recipe: Recipe | None = None,
        seed: int | None = 0,
    ):
        if not isinstance(name, str) or not isinstance(net, Layer):
            raise SettingError(f"Model: a name and a layer are needed, not {name!r} and {net!r}")
        self.name, self.net, self.classes = name, net, whole("Model: classes", classes)
        self.sides = _sides(input_shape)
        self.dataset, self.recipe, self.dtype = dataset, recipe or Recipe(), init.dtype()
        self.built_by: tuple[str, dict[str, Any]] | None = None
        self.scaling: Scaling | None = None
        with init.seeded(None if seed is None else checked_seed("Model: seed", seed)):
            logits = self(self.images())
        if logits.shape[1:] != (classes,):
            raise SettingError(
                f"model {name!r}: the network gives {show(logits.shape)}, not (batch, {classes}) logits"
                f"\n  at {user_location()}"
            )

    def images(self) -> Tensor:
        """The input of programs made from this model: (batch, *input_shape), of the dtype it was built with."""
        named = dict(zip(range(1, len(self.sides)), SPATIAL[-len(self.sides) + 1 :]))
        return input("images", (None, *(named[i] if n is None else n for i, n in enumerate(self.sides))), self.dtype)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of an image. Raises SettingError for a model of images of any size."""
        known = tuple(n for n in self.sides if n is not None)
        if len(known) < len(self.sides):
            raise SettingError(
                f"{self.name} is for images of any size, {_shown(self.sides)}, and here one size is "
                f"needed: build it with input_shape=({self.sides[0]}, 224, 224), say (at {user_location()})"
            )
        return known

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        """The logits, (batch, classes), of images."""
        try:
            with uncollected():
                return self.net(self.scaled(x), training)
        except KernelwrightError as error:
            blame_network(error, self.name)
            raise

    def scaled(self, x: Tensor) -> Tensor:
        """What the network is given for these images."""
        return x if self.scaling is None else self.scaling(x)

    def parameters(self) -> list[Tensor]:
        """The trainable variables, in order."""
        return self.net.parameters()

    def buffers(self) -> list[Tensor]:
        """State that is not trained, in order."""
        return self.net.buffers()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and running statistics by PyTorch's names (`Layer.state_dict` of `net`)."""
        return self.net.state_dict()

    def load_state_dict(self, values: Mapping[str, Any], strict: bool = True) -> Loaded:
        """Set parameters and running statistics, as `Layer.load_state_dict` of `net` does, with its errors."""
        return self.net.load_state_dict(values, strict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network's values, and which network it is, to a safetensors file for `kw.load_model`.

        The file has `state_dict()` and no code; optimizer and counters of a run are in `Trainer.save`. Raises
        CheckpointError where it cannot be written.
        """
        storage.save(path, self.state_dict(), saved.describe(self))

    def size(self) -> int:
        """How many numbers are trained."""
        return sum(_count(p) for p in self.parameters())

    def rows(self) -> list[Row]:
        """One row per innermost layer, in the order of the calls. Raises SettingError where images are of any size."""
        self.input_shape  # noqa: B018 - its error, before layers are counted
        trace = traced(self.net, self.images())
        flops = _flops([trace[-1][2]]) if trace else {}
        rows, seen = [], set()
        for path, layer, y in trace:
            fresh = [p for p in layer.parameters() if p not in seen]
            seen.update(fresh)
            parameters = sum(map(_count, fresh))
            elements = math.prod(value(d, {"batch": 1}) for d in y.shape)
            rows.append(Row(path, type(layer).__name__, show(y.shape), parameters, flops.get(path, 0), elements))
        return rows

    def summary(self, batch: int = 1) -> str:
        """A table of the layers as text, then the totals: output shape, parameters, flops for one example, activations
        (elements of the output) and their bytes for `batch` examples."""
        lines = self._lines(whole("summary: batch", batch))
        heading, rule, *rows = grid(lines, right=NUMBERS).split("\n")
        head = f"{self.name}: input {show((*self.images().shape,))}, {self.classes} classes"
        said = "" if batch == 1 else f"; activations for a batch of {batch}"
        return "\n".join([head + said, rule, heading, rule, *rows[:-1], rule, rows[-1]])

    def _lines(self, batch: int = 1) -> list[tuple[str, ...]]:
        """A heading, a row for each layer, and their sum; activations for `batch` examples."""
        rows, width = self.rows(), np.dtype(self.dtype).itemsize
        total = Row("total", "", "", self.size(), sum(r.flops for r in rows), sum(r.elements for r in rows))
        lines: list[tuple[str, ...]] = [("layer", "kind", "output", "parameters", "flops", "activations", "bytes")]
        for r in [*rows, total]:
            numbers = (r.parameters, r.flops, r.elements * batch, r.elements * batch * width)
            lines.append((r.path, r.kind, r.output, *(f"{n:,}" for n in numbers)))
        return lines

    def _repr_html_(self) -> str:
        return table_html(self._lines(), right=NUMBERS)

    def __repr__(self) -> str:
        return f"<Model {self.name}: {_shown(self.sides)} -> {self.classes} classes, {self.size():,} parameters>"


def _sides(given: Any) -> tuple[int | None, ...]:
    """A model's input shape, checked: None may stand for a height, a width or a depth."""
    items = tuple(given) if isinstance(given, (tuple, list)) else ()
    if 1 < len(items) <= len(SPATIAL) + 1 and None in items[1:]:
        return tuple(
            None if n is None and i > 0 else whole("Model: input_shape, each number,", n) for i, n in enumerate(items)
        )
    shape = sizes("Model: input_shape", given)
    return shape if isinstance(shape, tuple) else (shape,)


def _shown(sides: tuple[int | None, ...]) -> str:
    return show(tuple(symbol("any") if n is None else n for n in sides))


def _count(p: Tensor) -> int:
    return math.prod(p.shape)  # type: ignore[arg-type]


def _flops(outputs: list[Tensor]) -> dict[str, int]:
    """Arithmetic operations for one example, per layer: two per multiply-add, one per element of the rest."""
    out: dict[str, int] = {}
    for node in toposort(outputs):
        if node.op.kind not in ("contract", "elementwise", "reduce"):
            continue
        work = math.prod(value(d, {"batch": 1}) for d in node.shape)
        if "spec" in dict(node.attrs.items()):
            work *= math.prod(node.attrs.spec.red) * (2 if node.op.kind == "contract" else 1)
        elif node.op.kind == "reduce":
            work = math.prod(value(d, {"batch": 1}) for d in node.inputs[0].shape)
        path = location(node).scope
        out[path] = out.get(path, 0) + work
    return out
