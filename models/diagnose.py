"""Where a loss that is not a number came from: the step is run again by NumPy, op by op, until a value is not finite.

Leans on the reference evaluator and on the side table of where the user declared each op.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..compiler.graph import reference
from ..compiler.graph.node import location
from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import get_value, set_value
from ..compiler.pipeline import Compiled
from ..compiler.shapes import show
from ..runtime.errors import KernelwrightError
from .programs import Graph

Values = dict[Tensor, np.ndarray]
SNAPSHOT_BYTES = 64 * 2**20
"""Programs with more state than this are not copied before each native call, and diagnosed from what it left."""


class DivergenceError(KernelwrightError, ArithmeticError):
    """Training reached a loss that is not finite."""


def snapshot(variables: Sequence[Tensor]) -> Values | None:
    """The variables' values, or None where copying them would cost too much."""
    size = sum(math.prod(v.attrs.state.shape) * v.attrs.state.dtype.itemsize for v in variables)
    return {v: get_value(v) for v in variables} if size <= SNAPSHOT_BYTES else None


def find(
    graph: Graph, program: Compiled, before: Values | None, fixed: Sequence[Any], advancing: Sequence[Any], bad: int
) -> str:
    """The first op of step `bad` (or of the one before it) that made a non-finite value, in words.

    fixed, advancing: what the native call was given as it is and a row for each step. The variables end as they were
    found.
    """
    arrays = [*fixed, *advancing]
    per_step = range(len(arrays) - len(advancing), len(arrays))

    def feed(step: int) -> dict[Tensor, Any]:
        return {x: a[step] if i in per_step else a for i, (x, a) in enumerate(zip(graph.inputs, arrays))}

    def run(start: int, stop: int) -> None:
        part = [a[start:stop] if i in per_step else a for i, a in enumerate(arrays)]
        program.run(part, steps=stop - start, per_step=per_step)

    if before is None:
        return first_bad(graph, feed(bad)) or _nothing(bad)
    after = {v: get_value(v) for v in before}
    try:
        _restore(before)
        first = max(bad - 1, 0)
        if first:
            run(0, first)
        for step in range(first, bad + 1):
            found = first_bad(graph, feed(step))
            if found:
                return found
            run(step, step + 1)
    finally:
        _restore(after)
    return _nothing(bad)


def first_bad(graph: Graph, feed: Mapping[Tensor, Any]) -> str | None:
    """The first non-finite value of a step from the variables' present values, in words; None where there is none."""
    found: list[Tensor] = []

    def watch(node: Tensor, value: np.ndarray) -> bool:
        if value.dtype.kind == "f" and node.op.name != "full" and not np.isfinite(value).all():
            found.append(node)
        return bool(found)

    reference.evaluate([*graph.outputs, *graph.updates.values()], feed, watch=watch)
    return _words(found[0]) if found else None


def _words(node: Tensor) -> str:
    if node.op.name == "variable":
        return f"{node.attrs.name} already held nan or inf before the step"
    where = location(node)
    layer = f" in layer {where.scope}" if where.scope else ""
    return f"the first non-finite value came from {node.op.name} {show(node.shape)}{layer}, declared at {where}"


def _nothing(step: int) -> str:
    return "run by NumPy, the step gives finite values only: the compiled program and the reference disagree"


def _restore(values: Values) -> None:
    for variable, value in values.items():
        set_value(variable, value)
