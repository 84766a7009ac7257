"""What a network of any outputs is trained for and measured by: losses and metrics of tensors, tuples and dicts.

A loss is a name, a function of (outputs, targets), or a dict of these, one for each output. Named losses compare one
output with one target and check that their shapes fit. Leans on `losses` for the names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..compiler.dtypes import is_float, is_integer
from ..compiler.errors import ShapeError
from ..compiler.graph.ops.elementwise import equal
from ..compiler.graph.ops.movement import transpose
from ..compiler.graph.ops.reduce import argmax, mean
from ..compiler.graph.tensor import Tensor
from ..compiler.shapes import show
from . import losses
from .checks import NOT_NEGATIVE, SettingError, function, number
from .structures import unpacked

Function = Callable[[Any, Any], Tensor]


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The part of integer targets that is the class of the greatest output; of zeros and ones, the part on whose side
    of 0 the output (a logit) is."""
    if is_integer(targets.dtype):
        return mean(equal(argmax(outputs, -1), targets).astype("float32"))
    return mean(equal((outputs > 0).astype("int32"), (targets > 0.5).astype("int32")).astype("float32"))


METRICS: Mapping[str, tuple[str, Function]] = {
    "accuracy": ("accuracy", accuracy),
    "mae": ("mae", losses.mean_absolute_error),
    "mean_absolute_error": ("mae", losses.mean_absolute_error),
    "mse": ("mse", losses.mean_squared_error),
    "mean_squared_error": ("mse", losses.mean_squared_error),
}
"""Names of metrics: what the history calls each, and what it is."""
LIKE = (losses.mean_squared_error, losses.binary_cross_entropy, losses.kl_divergence, *losses.OF_NUMBERS)
"""Functions that compare element by element: output and target have one shape."""


class Named:
    """A function that was given by name: output and target are checked first, and classes moved to the last axis."""

    def __init__(self, name: str, function: Function):
        self.name, self.function = name, function

    def __call__(self, output: Any, target: Any) -> Tensor:
        for what, value in (("output", output), ("target", target)):
            if not isinstance(value, Tensor):
                names = ", ".join(unpacked(what, value)[1])
                raise SettingError(
                    f"{self.name!r} compares one output with one target, and there are several {what}s ({names}): give "
                    " a dict with one for each output, or a function of (outputs, targets)"
                )
        output = _classes_last(output, target)
        one_hot = output.rank == 2 and target.rank == 1 and is_integer(target.dtype)
        if self.function in LIKE and output.shape != target.shape and not one_hot:
            raise ShapeError(
                f"{self.name!r} compares element by element, and the output is {show(output.shape)}, the target "
                f"{show(target.shape)}: give both one shape (y[:, None] adds an axis to targets)"
            )
        return self.function(output, target)


class PerOutput:
    """The sum of losses of the outputs of these keys, each times its weight."""

    def __init__(self, parts: Mapping[Any, Function], weights: Mapping[Any, float]):
        self.parts, self.weights = dict(parts), dict(weights)

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        total: Tensor | None = None
        for key, part in self.parts.items():
            value = scalar(part, picked("outputs", outputs, key), picked("targets", targets, key))
            weighted = value * self.weights.get(key, 1.0)
            total = weighted if total is None else total + weighted
        assert total is not None
        return total


def loss_of(given: Any, weights: Mapping[Any, float] | None = None) -> Function:
    """The loss as a function of (outputs, targets). Raises SettingError for what is none."""
    if isinstance(given, Mapping) and given:
        unknown = [key for key in weights or {} if key not in given]
        if unknown:
            raise SettingError(
                f"loss_weights: there is no loss for {unknown[0]!r}, only for {', '.join(map(str, given))}"
            )
        checked = {key: number(f"loss_weights[{key!r}]", w, NOT_NEGATIVE) for key, w in (weights or {}).items()}
        return PerOutput({key: loss_of(one) for key, one in given.items()}, checked)
    if weights:
        raise SettingError("loss_weights: they are for a dict of losses, one for each output")
    if isinstance(given, str):
        return Named(given, losses.named(given))
    if given is None:
        raise SettingError('Trainer: the loss is needed for a network of your own: loss="mse", or a function')
    result: Function = function('Trainer: the loss, where it is not a name such as "mse" or a dict,', given)
    return result


def metrics_of(given: Any) -> dict[str, Function]:
    """Metrics by the names that the history has for them: names and functions, or a dict of these per output."""
    if isinstance(given, Mapping):
        return {
            f"{key}_{name}": _of_output(key, metric)
            for key, some in given.items()
            for name, metric in metrics_of(some).items()
        }
    out: dict[str, Function] = {}
    for one in () if given is None else given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(one, str):
            if one not in METRICS:
                raise SettingError(f"metrics: there is no {one!r}; there are {', '.join(METRICS)}, and functions")
            name, found = METRICS[one]
            out[name] = Named(one, found)
        else:
            called = function("metrics: each, where it is not a name,", one)
            out[getattr(one, "__name__", type(one).__name__.lower())] = called
    taken = [name for name in out if name in ("loss", "epoch", "learning_rate", "seconds", "images_per_second")]
    if taken:
        raise SettingError(f"metrics: {taken[0]!r} is another quantity of the history; give the function another name")
    return out


def scalar(what: Function, outputs: Any, targets: Any) -> Tensor:
    """The value of a loss or a metric. Raises ShapeError where it is no scalar of floats."""
    value = what(outputs, targets)
    name = getattr(what, "name", getattr(what, "__name__", type(what).__name__))
    if not isinstance(value, Tensor) or value.shape != () or not is_float(value.dtype):
        shown = value.brief() if isinstance(value, Tensor) else type(value).__name__
        raise ShapeError(f"{name} gives {shown}, and a scalar of floats is needed: kw.mean(...) makes one of a tensor")
    return value


def picked(what: str, values: Any, key: Any) -> Any:
    """The one of `values` with this key. Raises SettingError naming those that there are."""
    if isinstance(values, Mapping) and key in values:
        return values[key]
    if isinstance(values, (tuple, list)) and isinstance(key, int) and 0 <= key < len(values):
        return values[key]
    there = list(values) if isinstance(values, Mapping) else range(len(values)) if isinstance(values, tuple) else []
    names = f"only {', '.join(map(repr, there))}" if there else "but a single one without a name"
    raise SettingError(f"there is a loss or a metric for {key!r}, and no such key among the {what}, {names}")


def _of_output(key: Any, metric: Function) -> Function:
    def one(outputs: Any, targets: Any) -> Tensor:
        return metric(picked("outputs", outputs, key), picked("targets", targets, key))

    return one


def _classes_last(output: Tensor, target: Tensor) -> Tensor:
    """Outputs (batch, classes, *spatial) of integer targets (batch, *spatial) with the classes last."""
    spatial = (output.shape[0], *output.shape[2:]) if output.rank > 2 else None
    if not is_integer(target.dtype) or target.shape != spatial:
        return output
    if output.rank == 3 and target.shape == output.shape[:-1]:
        return output  # (batch, time, classes) with as many classes as times
    return transpose(output, (0, *range(2, output.rank), 1))
