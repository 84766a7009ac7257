"""The NumPy printer: runs a tensor graph node by node with each op's reference. Slow, and what is meant.

Used by tests and for finding the first op that made a NaN. Values of bfloat16 are float32 here, rounded after each
op. Leans on the op rows only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...runtime.sizes import single_symbol
from .. import dtypes
from ..errors import InputError
from ..shapes import poly
from .bfloat16 import given, rounded
from .node import toposort
from .tensor import Tensor


def bind(inputs: Mapping[Any, np.ndarray]) -> dict[str, int]:
    """The values of the size symbols, from the shapes of the inputs given."""
    env: dict[str, int] = {}
    for node, array in inputs.items():
        for dim, n in zip(node.shape, np.shape(array)):
            name = single_symbol(poly(dim))
            if name is not None:
                env.setdefault(name, n)
    return env


def evaluate(
    outputs: Sequence[Tensor],
    inputs: Mapping[Any, Any],
    env: Mapping[str, int] | None = None,
    watch: Callable[[Tensor, np.ndarray], bool] | None = None,
    disturb: Callable[[Tensor, Sequence[np.ndarray], np.ndarray], np.ndarray] | None = None,
) -> list[np.ndarray]:
    """The outputs for the given inputs (and the variables' present values). `watch` sees every value; True stops.
    `disturb` takes each op's node, inputs and result, and gives what takes the result's place."""
    sizes = dict(env) if env is not None else bind(inputs)
    values: dict[Any, np.ndarray] = {}
    for node in toposort(outputs):
        if node in inputs:
            values[node] = given(inputs[node], node.dtype)
        elif node.op.name == "variable":
            values[node] = node.attrs.state.get()
        elif node.op.name == "input":
            raise InputError(f"no value given for input {node.attrs.name!r}")
        else:
            with np.errstate(all="ignore"):
                values[node] = node.op.reference(node, sizes, *(values[i] for i in node.inputs))
            if disturb is not None:
                values[node] = disturb(node, [values[i] for i in node.inputs], values[node])
            if node.dtype == dtypes.BFLOAT16:
                values[node] = rounded(values[node])
        if watch is not None and watch(node, values[node]):
            break
    return [values[y] for y in outputs if y in values]
