"""What belongs to a layer: the layers and variables among its attributes, also inside lists, tuples and dicts.

Each has a path that stays the same as long as the code does: `head`, `blocks.0`, `branches.wide.1`. Leans on the
compiler's tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..compiler import dtypes
from ..compiler.graph.tensor import Tensor


def members(attributes: Mapping[str, Any], kind: type) -> Iterator[tuple[str, Any]]:
    """(path, value) of every value of `kind` in these attributes, depth first, in order."""
    waiting = [(name, value, frozenset[int]()) for name, value in reversed(list(attributes.items()))]
    while waiting:
        path, value, inside = waiting.pop()
        if isinstance(value, kind):
            yield path, value
        elif isinstance(value, (list, tuple, dict)) and id(value) not in inside:
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            around = inside | {id(value)}  # a list that holds itself ends here
            waiting += reversed([(f"{path}.{key}", item, around) for key, item in inner])


def variables(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """(path, variable) of the variables among these attributes, in order."""
    for path, value in members(attributes, Tensor):
        if value.op.name == "variable":
            yield path, value


def trainable(variable: Tensor) -> bool:
    """Whether gradients change it: counters and masks are state."""
    return dtypes.is_float(variable.dtype)
