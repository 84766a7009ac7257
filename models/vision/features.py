"""A network's intermediate values, by the names of its layers.

A layer is called by the scope that its nodes were made in, as in `model.summary()`: conv1, stage1_block1.relu1, or
stage1_block1 for the whole block. Nothing is hooked: the values are nodes of the graph that the network makes of an
input. Leans on the graph's scopes.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ...compiler.graph.node import location, toposort
from ...compiler.graph.tensor import Tensor
from ..checks import NOT_NEGATIVE, SettingError, number
from ..layers import Sequential
from ..model import Model

Found = TypeVar("Found")
Network = Callable[[Tensor], Tensor]
"""A model, a layer or a function, from images (batch, channels, height, width) to scores (batch, classes)."""


def layers(network: Network, x: Tensor) -> dict[str, Tensor]:
    """The value of every layer in `network(x)`, by its name, in the order that they are computed.

    A layer inside others has their names before its own, with dots between; the outer one's value is that of the last
    node made in it. A layer called twice is there with its second value.
    """
    found: dict[str, Tensor] = {}
    for node in toposort([network(x)]):
        parts = location(node).scope.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            found.pop(name, None)  # the later node stands later
            found[name] = node
    found.pop("", None)
    return {name: node for name, node in found.items() if node.op.kind != "source"}


def features(network: Network, x: Tensor, layer: str) -> Tensor:
    """The value of the layer called `layer` in `network(x)`, such as conv1 or stage1_block1: a node of that graph, by
    which outputs can be differentiated. Raises SettingError, with the names there are, for another one."""
    return _called(layers(network, x), layer)


def several(network: Network, x: Tensor, names: Sequence[str]) -> list[Tensor]:
    """The values of these layers in `network(x)`; raises what `features` raises.

    What a Sequential does after the last of them is not called: the convolutions of a network take images of any size,
    whatever its classifier takes.
    """
    found = layers(trunk(network, names), x)
    return [_called(found, name) for name in names]


def trunk(network: Network, names: Sequence[str]) -> Network:
    """The layers of a Sequential, or of a model of one, up to the last that is named; any other network as it is.
    Raises SettingError for a layer that the Sequential has not."""
    net, scaled = (network.net, network.scaled) if isinstance(network, Model) else (network, _as_it_is)
    if not isinstance(net, Sequential) or net.name is not None:
        return network
    places = {str(layer.name): place for place, layer in enumerate(net.layers)}
    last = max((_called(places, str(name).split(".")[0]) for name in names), default=len(places) - 1)
    parts = net.layers[: last + 1]
    return lambda x: functools.reduce(lambda value, layer: layer(value), parts, scaled(x))


def _as_it_is(x: Tensor) -> Tensor:
    return x


def weighted(what: str, given: Any) -> dict[str, float]:
    """{layer: weight} as given; a name or names without weights get equal ones, 1 in all. `what` begins the message of
    the SettingError for weights that are not at least 0."""
    if isinstance(given, Mapping):
        return {name: number(f"{what}, {name},", weight, NOT_NEGATIVE) for name, weight in given.items()}
    names = [given] if isinstance(given, str) else list(given)
    return {name: 1 / len(names) for name in names}


def _called(found: Mapping[str, Found], layer: str) -> Found:
    if layer not in found:
        close = difflib.get_close_matches(str(layer), found, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise SettingError(f"there is no layer {layer!r}; {hint}there are {', '.join(found)}")
    return found[layer]
