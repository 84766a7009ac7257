"""What a trainer trains: images with classes (`Classification`), or a network of any inputs and outputs (`Network`).

A task feeds the data, and makes the three programs' graphs; what runs them is the trainer's. Leans on `feeds` and
`programs` for images with classes, on `structures` and `objectives` for the rest.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..compiler.errors import InputError
from ..compiler.graph.ops.indexing import gather
from ..compiler.graph.ops.slicing import stack
from ..compiler.graph.ops.source import size_of
from ..compiler.graph.tensor import Tensor, dim_of, input
from ..runtime.checkpoint import CheckpointError
from . import batches, choices, feeds, programs, snapshot, structures
from . import initializers as init
from .checks import SettingError, flag
from .images.augment import Augment
from .labels import NUMBERS, ONE, SEVERAL, Labels
from .layer import Layer
from .losses import for_numbers, for_several
from .model import Model
from .objectives import Function, loss_of, metrics_of, scalar
from .optimizers import Optimizer
from .precision import lowered
from .recipe import Recipe
from .running import Running
from .structures import Layout
from .updating import Updating

Weights = Mapping[Tensor, Tensor]
OWN = Recipe(optimizer="Adam", learning_rate=0.001, options={})
"""How a network of a user's own is trained where the trainer is given no optimizer."""


class Task(Protocol):
    """What a `Trainer` asks of what it trains."""

    measures: tuple[str, ...]
    loss: Any

    @property
    def recipe(self) -> Recipe: ...

    def feed(self, data: Any, part: str, batch: int, seed: int) -> feeds.Feed: ...

    def held(self, data: Any, validation: Any, batch: int, seed: int) -> feeds.Feed | None: ...

    def check(self, data: Any) -> Sequence[np.ndarray]:
        """One batch, as the programs take it."""

    def questions(self, data: Any) -> list[np.ndarray]:
        """The inputs of a prediction."""

    def answers(self, found: Sequence[np.ndarray]) -> Any:
        """What a prediction gives back."""

    def training(self, optimizer: Optimizer, augment: Augment | None, options: Updating) -> programs.Graph: ...

    def evaluation(self, weights: Weights, precision: str | None) -> programs.Graph: ...

    def prediction(self, weights: Weights, precision: str | None) -> programs.Graph: ...

    def means(self, sums: Running) -> dict[str, float]: ...

    def identity(self, augment: Augment | None) -> dict[str, Any]:
        """What a checkpoint says of the network."""

    def adopt(self, said: Mapping[str, Any], augment: Augment | None, path: Any) -> None:
        """Raises CheckpointError where a checkpoint that says this is of another network."""


def task_of(model: Any, loss: Any, several: bool | None, metrics: Any, weights: Any, augment: Any) -> Task:
    """What such arguments of a `Trainer` ask for. Raises SettingError for those that do not go together."""
    if isinstance(model, Model):
        if metrics or weights:
            raise SettingError(
                "Trainer: metrics and loss_weights are for networks given as a layer, kw.Trainer(model.net, ...); a "
                "kw.models.Model is measured by the accuracy of its classes"
            )
        criterion = model.recipe.criterion() if loss is None else choices.loss_of(loss)
        many = for_several(criterion) if several is None else flag("Trainer: several", several)
        if model.classes == 1 and for_numbers(criterion):
            return Classification(model, criterion, NUMBERS)
        return Classification(model, criterion, SEVERAL if many else ONE)
    if several is not None or augment is not None:
        raise SettingError(
            "Trainer: several and augment are for a kw.models.Model of images; a layer has kw.images.Augment within it"
        )
    return Network(model, loss_of(loss, weights), metrics_of(metrics), OWN)


def chosen_by(measures: Sequence[str]) -> str:
    """The key of the history by which the best epoch is chosen, where these are measured."""
    return "validation_accuracy" if "accuracy" in measures else "validation_loss"


class Classification:
    """Images whose labels are classes: `model` gives logits. Or numbers, where its one output has a squared error."""

    def __init__(self, model: Model, loss: programs.Loss, labels: Labels):
        self.model, self.loss, self.labels = model, loss, labels
        self.measures = labels.measures

    @property
    def recipe(self) -> Recipe:
        return self.model.recipe

    def feed(self, data: Any, part: str, batch: int, seed: int) -> feeds.Feed:
        return feeds.feed(data, part, self.model, self.labels, batch, seed)

    def held(self, data: Any, validation: Any, batch: int, seed: int) -> feeds.Feed | None:
        return feeds.held(data, validation, self.feed, batch, seed)

    def check(self, data: Any) -> Sequence[np.ndarray]:
        return feeds.check(data, self.model, self.labels)

    def questions(self, data: Any) -> list[np.ndarray]:
        return [batches.check_images(data, self.model.input_shape)]

    def answers(self, found: Sequence[np.ndarray]) -> Any:
        return found[0]

    def training(self, optimizer: Optimizer, augment: Augment | None, options: Updating) -> programs.Graph:
        return programs.training(self.model, self.loss, optimizer, augment, options, self.labels)

    def evaluation(self, weights: Weights, precision: str | None) -> programs.Graph:
        return programs.evaluation(self.model, self.loss, weights, self.labels, precision)

    def prediction(self, weights: Weights, precision: str | None) -> programs.Graph:
        return programs.prediction(self.model, weights, self.labels, precision)

    def means(self, sums: Running) -> dict[str, float]:
        return sums.means(self.labels, self.model.classes)

    def identity(self, augment: Augment | None) -> dict[str, Any]:
        return snapshot.identity(self.model, augment)

    def adopt(self, said: Mapping[str, Any], augment: Augment | None, path: Any) -> None:
        snapshot.check(said, self.model, augment, path)


class Network:
    """A layer of any inputs and outputs, with a loss and metrics of (outputs, targets).

    The first data says what the inputs and targets are; the layer is built for them.
    """

    def __init__(self, net: Layer, loss: Function, metrics: Mapping[str, Function], recipe: Recipe):
        self.net, self.loss, self.metrics, self._recipe = net, loss, dict(metrics), recipe
        self.measures, self.dtype = tuple(self.metrics), init.dtype()
        self.inputs: Layout | None = None
        self.targets: Layout | None = None
        self.outputs: tuple[str, tuple[str, ...]] = "array", ("output",)

    @property
    def recipe(self) -> Recipe:
        return self._recipe

    # -------------------------------------------------------- data
    def feed(self, data: Any, part: str, batch: int, seed: int) -> feeds.Feed:
        if getattr(data, part, None) is not None:
            data = getattr(data, part)
        source = feeds.loader_of(data, batch, seed)
        if source is not None:
            return feeds.BatchFeed(source, lambda images, labels: self._split((images, labels))).tried()
        return feeds.SeveralFeed(self._split(data), batch, seed)

    def held(self, data: Any, validation: Any, batch: int, seed: int) -> feeds.Feed | None:
        return feeds.held(data, validation, self.feed, batch, seed)

    def check(self, data: Any) -> Sequence[np.ndarray]:
        return self._split(data)

    def questions(self, data: Any) -> list[np.ndarray]:
        layout, found = structures.arrays("x", data, self.dtype)
        return structures.aligned("inputs", self.inputs or self._build(layout), layout, found)

    def answers(self, found: Sequence[np.ndarray]) -> Any:
        return structures.packed(*self.outputs, found)

    def _split(self, data: Any) -> list[np.ndarray]:
        """Inputs, then targets. The first data decides how both are laid out; later data has to be the same."""
        given, wanted = self._parts(data)
        layout, found = structures.arrays("x", given, self.dtype)
        aims, targets = structures.arrays("y", wanted, self.dtype)
        structures.same_count([*layout.names, *aims.names], [*found, *targets])
        found = structures.aligned("inputs", self.inputs or self._build(layout), layout, found)
        self.targets = self.targets or aims
        return [*found, *structures.aligned("targets", self.targets, aims, targets)]

    def _parts(self, data: Any) -> tuple[Any, Any]:
        """(inputs, targets) of a pair, of something with images and labels, of one array, or of one dict."""
        if isinstance(data, np.ndarray):
            return data, data
        if isinstance(data, Mapping):
            names = [name for name in _tensors(self.net) if name in data]
            rest = {name: value for name, value in data.items() if name not in names}
            if not names or not rest:
                raise InputError(
                    f"a dict of data has the inputs by the names in {type(self.net).__name__}.forward "
                    f"({', '.join(_tensors(self.net))}) and targets by others; this one has {', '.join(map(str, data))}"
                )
            return {name: data[name] for name in names}, rest if len(rest) > 1 else next(iter(rest.values()))
        if hasattr(data, "images") and hasattr(data, "labels"):
            return data.images, data.labels
        if isinstance(data, (tuple, list)) and len(data) == 2:
            return data[0], data[1]
        raise InputError(
            f"data is (inputs, targets), each an array, a tuple or a dict of arrays; one array that is its own target; "
            f"or one dict of both, not {type(data).__name__}"
        )

    def _build(self, layout: Layout) -> Layout:
        """Make the network's variables, for such inputs. Raises InputError where its forward does not take them."""
        takes = _tensors(self.net)
        missing = [name for name, needed in takes.items() if needed and name not in layout.names]
        extra = [name for name in layout.names if name not in takes]
        if layout.kind == "dict" and (missing or extra):
            told = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unexpected {', '.join(extra)}"] * bool(extra)
            where = f"{type(self.net).__name__}.forward"
            raise InputError(f"{where} takes {', '.join(takes)}; the inputs are {layout}: {'; '.join(told)}")
        with init.precision(self.dtype):
            self._forward(layout, self._tensors(layout, None), False)
        self.inputs = layout
        return layout

    # -------------------------------------------------------- programs
    def training(self, optimizer: Optimizer, augment: Augment | None, options: Updating) -> programs.Graph:
        if options.adversarial is not None:
            raise SettingError(
                "Trainer: adversarial is for a kw.models.Model of images with classes; kw.vision.adversarial_loss "
                "makes such a loss of any network"
            )
        inputs, batch, targets, positions = self._gathered()
        outputs = self._forward(self._laid_out(), batch, True)
        kind, names, values = structures.unpacked("output", outputs)
        statistics, heads = self.net.updates(), self.net.heads()
        wanted = [*values, *(head for _, head in heads), *statistics.values()]
        found = iter(lowered(wanted, options.precision, batch))
        outputs = structures.packed(kind, names, [next(found) for _ in values])
        value, sums = self._measured(outputs, targets, positions)
        for weight, _ in heads:
            value = value + scalar(self.loss, next(found), targets) * weight
        changed = dict(zip(statistics, found, strict=True))
        return programs.stepping(inputs, positions, value, sums, self.net.parameters(), changed, optimizer, options)

    def evaluation(self, weights: Weights, precision: str | None) -> programs.Graph:
        inputs, batch, targets, positions = self._gathered()
        kind, names, values = structures.unpacked("output", self._forward(self._laid_out(), batch, False))
        outputs = structures.packed(kind, names, lowered(values, precision))
        found = programs.substitute(list(self._measured(outputs, targets, positions)), weights)
        return programs.Graph([*inputs, positions], found)

    def prediction(self, weights: Weights, precision: str | None) -> programs.Graph:
        given = self._tensors(self._laid_out(), None)
        kind, names, values = structures.unpacked("output", self._forward(self._laid_out(), given, False))
        self.outputs = kind, names
        return programs.Graph(given, programs.substitute(lowered(values, precision), weights))

    def _laid_out(self) -> Layout:
        if self.inputs is None:
            raise InputError("this trainer has seen no data yet, from which it learns its network's inputs: fit first")
        return self.inputs

    def _tensors(self, layout: Layout, count: Any) -> list[Tensor]:
        """Inputs of a program for arrays laid out so, of `count` examples."""
        columns = zip(layout.names, layout.shapes, layout.dtypes, strict=True)
        return [input(name, (count, *shape), dtype) for name, shape, dtype in columns]

    def _forward(self, layout: Layout, given: Sequence[Tensor], training: bool) -> Any:
        if layout.kind == "dict":
            return self.net(training=training, **dict(zip(layout.names, given, strict=True)))
        return self.net(*given, training=training)

    def _gathered(self) -> tuple[list[Tensor], list[Tensor], Any, Tensor]:
        """(all inputs and targets, the batch's inputs, its targets in their form, the positions of the batch)"""
        layout, aims = self._laid_out(), self.targets
        if aims is None:
            raise InputError("this trainer has seen inputs without targets only: fit first")
        everything = self._tensors(layout, "examples")
        wanted = self._tensors(aims, "examples")
        positions = input("positions", (None,), "int32")
        batch = [gather(x, positions) for x in everything]
        targets = aims.pack([gather(t, positions) for t in wanted])
        return [*everything, *wanted], batch, targets, positions

    def _measured(self, outputs: Any, targets: Any, positions: Tensor) -> tuple[Tensor, Tensor]:
        """(the loss, each metric times the examples of the batch)"""
        value = scalar(self.loss, outputs, targets)
        examples = size_of(dim_of(positions, (0,)), "float32")
        metrics = [scalar(m, outputs, targets).astype("float32") * examples for m in self.metrics.values()]
        return value, stack([*metrics, examples])

    # -------------------------------------------------------- results and checkpoints
    def means(self, sums: Running) -> dict[str, float]:
        kept = zip(self.metrics, sums.counts, strict=False)  # the last count is that of the examples
        return {"loss": sums.loss / sums.seen, **{name: total / sums.seen for name, total in kept}}

    def identity(self, augment: Augment | None) -> dict[str, Any]:
        layouts = [None if each is None else each.describe() for each in (self.inputs, self.targets)]
        return {"format": snapshot.FORMAT, "network": type(self.net).__name__, "layouts": layouts}

    def adopt(self, said: Mapping[str, Any], augment: Augment | None, path: Any) -> None:
        if said.get("format") != snapshot.FORMAT or said.get("network") != type(self.net).__name__:
            theirs = said.get("network", said.get("model"))
            raise CheckpointError(f"{path} was written for {theirs}, not for {type(self.net).__name__}")
        inputs, targets = (None if each is None else Layout.revive(each) for each in said["layouts"])
        if inputs is not None and self.inputs is None:
            self._build(inputs)
        if (inputs, targets) != (self.inputs, self.targets if self.targets is not None else targets):
            raise CheckpointError(f"{path} was written for inputs {inputs} and targets {targets}")
        self.targets = targets


def _tensors(net: Layer) -> dict[str, bool]:
    """The tensors that the layer's forward takes by name, and whether each is needed."""
    parameters = list(inspect.signature(type(net).forward).parameters.values())[1:]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken = [p for p in parameters if p.name != "training" and p.kind in kinds]
    return {p.name: p.default is p.empty for p in taken}
