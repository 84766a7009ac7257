"""A network's parameters and running statistics by name, as PyTorch names them: state dicts.

A name is the path of attributes to the layer, then what the layer calls the variable: `conv1.weight`,
`features.0.bias`, `bn1.running_mean`. Layers of a `Sequential` go by the name they were given, else by their place.
Random states (of dropout) belong to a run, not to the network, and are left out: the trainer's checkpoints have them.
Leans on `layer` for what belongs to what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import get_value, set_value
from ..runtime.errors import KernelwrightError

if TYPE_CHECKING:
    from .layer import Layer


class StateError(KernelwrightError, ValueError):
    """Values by name that do not fit a network: all that is missing, unexpected or of another shape."""


class Loaded(NamedTuple):
    """What `load_state_dict(strict=False)` left out: variables without a value that fits, values without a variable.

    A name whose value has another shape, or is none of numbers, is in both.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


def state_dict(layer: Layer) -> dict[str, np.ndarray]:
    """Copies of the values by name, a layer's own before its children's. Raises LayerError before the first call."""
    return {name: get_value(v) for name, v in _named(layer)[0].items()}


def load_state_dict(
    layer: Layer, values: Mapping[str, Any], strict: bool, called: Mapping[str, str] = MappingProxyType({})
) -> Loaded:
    """Set the variables to these values (anything that NumPy makes an array of), converted to their dtypes.

    called: what the layers at these paths (of `holding`) are called in `values`, and so in errors and in the result.

    Raises StateError, before anything is changed, for what is no mapping and, where `strict`, unless every variable has
    one value that fits and every value a variable.
    """
    if not isinstance(values, Mapping):
        raise StateError(f"load_state_dict: a dict of arrays by name is needed, not {type(values).__name__}")
    variables, ignored = _named(layer, called)
    fitting: dict[str, np.ndarray] = {}
    wrong: dict[str, str] = {}
    for name in variables.keys() & values.keys():
        array = _array(values[name])
        reason = array if isinstance(array, str) else _misfit(array, variables[name])
        if reason:
            wrong[name] = reason
        else:
            fitting[name] = np.asarray(array)
    missing = [name for name in variables if name not in fitting]
    unexpected = sorted(str(name) for name in values if name not in fitting and name not in ignored)
    if strict and (missing or unexpected):
        raise StateError(_listed(missing, unexpected, wrong))
    for name, array in fitting.items():
        set_value(variables[name], array)
    return Loaded(missing, unexpected)


def names(layer: Layer, called: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """The names of the values, in order; `called` as in `load_state_dict`. Raises LayerError before the first call."""
    return list(_named(layer, called)[0])


def holding(layer: Layer) -> list[str]:
    """The paths of the layers with values of their own, in order: `conv1`, `features.0`, for the layer itself ''."""
    return [path for path, each in _layers(layer) if _own(each)]


def _named(layer: Layer, called: Mapping[str, str] = MappingProxyType({})) -> tuple[dict[str, Tensor], set[str]]:
    """The variables by name, and the names of values that other frameworks keep and this one has no use for."""
    variables: dict[str, Tensor] = {}
    ignored: set[str] = set()
    for path, each in _layers(layer):
        there = called.get(path, path)
        prefix = f"{there}." if there else ""
        variables.update((prefix + name, v) for name, v in _own(each))
        ignored.update(prefix + name for name in each.state_ignored)
    return variables, ignored


def _own(layer: Layer) -> list[tuple[str, Tensor]]:
    """(name, variable) of those of the layer's own variables that a state dict has."""
    named = [(layer.state_names.get(name, name), v) for name, v in layer.named_variables()]
    return [(name, v) for name, v in named if name is not None]


def _layers(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """(path, layer) of the layer and all inside it; one that is shared comes once for each path to it."""
    list(layer.walk())  # raises where one is not built
    waiting = [("", layer, frozenset[int]())]
    while waiting:
        path, each, around = waiting.pop()
        if id(each) in around:
            continue  # a layer that holds itself ends here
        yield path, each
        inside, prefix = around | {id(each)}, f"{path}." if path else ""
        waiting += reversed([(prefix + name, child, inside) for name, child in each.named_children()])


def _array(value: Any) -> np.ndarray | str:
    """The value as an array of numbers, or why it is none."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # what a tensor with gradients, or bfloat16, raises
        return f"{type(value).__name__} that NumPy cannot read ({' '.join(str(error).split())})"
    return array if array.dtype.kind in "fiub" else f"{array.dtype}, not numbers"


def _misfit(array: np.ndarray, variable: Tensor) -> str:
    """Why the array cannot be the variable's value; an empty string where it can."""
    if array.shape != variable.shape:
        return f"shape {array.shape}, here {variable.shape}"
    if array.dtype.kind == "f" and np.dtype(variable.dtype).kind != "f":
        return f"{array.dtype}, here {variable.dtype}"
    return ""


def _listed(missing: list[str], unexpected: list[str], wrong: Mapping[str, str]) -> str:
    """All that does not fit, one line for each kind."""
    lines = [
        ("missing", [name for name in missing if name not in wrong]),
        ("unexpected", [name for name in unexpected if name not in wrong]),
        ("not fitting", [f"{name} ({wrong[name]})" for name in missing if name in wrong]),
    ]
    told = "".join(f"\n  {kind}: {', '.join(names)}" for kind, names in lines if names)
    return f"load_state_dict: these values are of another network (strict=False loads those that fit):{told}"
