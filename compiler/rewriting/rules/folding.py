"""Folding: ops of constants are constants. Numbers fold at any shape, arrays where they are small.

An op's own reference says what it gives. `broadcast_to` of an array is left: stored, it would only be larger.
Leans on the op rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from ...graph.ops.registry import OPS
from ...graph.ops.source import concrete
from ...graph.tensor import ArrayConstant, Tensor, apply, full, full_value
from ...shapes import product
from ..rewrite import Any_, Number, OpPattern, Rule, Table

LARGEST = 4096
_ELEMENTWISE = [o.name for o in OPS.values() if o.folds and o.kind == "elementwise"]
_MOVED = [o.name for o in OPS.values() if o.keeps_numbers]
_ARRAYS = [o.name for o in OPS.values() if o.folds]


def _fold_numbers(node: Tensor, **_: Any) -> Tensor:
    ones = [np.full((1,), full_value(i), dtypes.computed(i.dtype)) for i in node.inputs]
    with np.errstate(all="ignore"):
        result = node.op.reference(node, {}, *ones)
    return full(node.shape, result.ravel()[0].item(), node.dtype)


def _move_number(node: Tensor, c: Any) -> Tensor:
    return full(node.shape, c, node.dtype)


def _same_pad(node: Tensor, c: Any) -> Tensor | None:
    return full(node.shape, c, node.dtype) if node.attrs.value == c else None


def _value(node: Tensor) -> np.ndarray | None:
    """The array that a small constant is."""
    count = product(node.shape)
    if not isinstance(count, int) or count >= LARGEST or not all(isinstance(d, int) for d in node.shape):
        return None
    if node.op.name == "array":
        array: np.ndarray = node.attrs.value.array
        return array
    number = full_value(node)
    return None if number is None else np.full(concrete(node.shape, {}), number, dtypes.computed(node.dtype))


def _fold_arrays(node: Tensor, **_: Any) -> Tensor | None:
    if node.dtype == dtypes.BFLOAT16:
        return None  # arrays of a graph are of NumPy's own types
    count = product(node.shape)
    values = [_value(i) for i in node.inputs]
    if any(v is None for v in values) or not isinstance(count, int) or count >= LARGEST:
        return None
    if all(i.op.name == "full" for i in node.inputs):
        return None
    with np.errstate(all="ignore"):
        result = node.op.reference(node, {}, *values)
    return apply("array", (), value=ArrayConstant(result))


def _inputs(kind: Any, count: int) -> tuple[Any, ...]:
    return tuple(kind(f"c{i}") for i in range(count))


def _arity(name: str) -> int:
    return len(OPS[name].samples[0].shapes)


TABLE = Table(
    "folding",
    [
        *[
            Rule(f"{n} of numbers", OpPattern(n, _inputs(Number, _arity(n)), "node"), _fold_numbers)
            for n in _ELEMENTWISE
        ],
        *[Rule(f"{n} of number", OpPattern(n, (Number("c"),), "node"), _move_number) for n in _MOVED],
        Rule("pad of the same number", OpPattern("pad", (Number("c"),), "node"), _same_pad),
        *[Rule(f"{n} of arrays", OpPattern(n, _inputs(Any_, _arity(n)), "node"), _fold_arrays) for n in _ARRAYS],
    ],
)
