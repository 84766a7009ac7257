"""`segment_sum`: sums of runs of sorted sources, what a scatter-add into many rows becomes (`lowering/sorted_sums.py`).

Row r sums the sources `order[starts[r]]` to `order[starts[r + 1] - 1]`, one after the other, in float64 for float32.
Leans on the loop form, where the ends of the runs become the bounds of a loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...loops import expressions as loops
from ..tensor import Tensor
from .registry import Op, register


def _infer(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    values = inputs[0]
    return values.shape[: attrs.axis] + (attrs.size,) + values.shape[attrs.axis + 1 :], values.dtype


def _reference(node: Tensor, env: Any, values: np.ndarray, order: np.ndarray, starts: np.ndarray) -> np.ndarray:
    a = node.attrs.axis
    out = np.zeros((*values.shape[:a], starts.size - 1, *values.shape[a + 1 :]), _summed_in(node.dtype))
    row = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    run = order[starts[0] : starts[-1]]
    np.add.at(out, (slice(None),) * a + (row,), values[(slice(None),) * a + (run,)])
    return out.astype(dtypes.computed(node.dtype))


def _lower(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    a, count = node.attrs.axis, node.inputs[1].shape[0]
    term = axis(count)
    place = loops.at(term)
    first, end = (loops.Index([(loops.Dynamic(read(2, (row,))), 1)]) for row in (index[a], index[a] + 1))
    source = loops.Index([(loops.Dynamic(read(1, (place,))), 1)])
    value = read(0, (*index[:a], source, *index[a + 1 :]))
    kind = _summed_in(node.dtype)
    value = value if value.dtype == kind else loops.call("cast", [value], kind)
    inside = [loops.Within(place + first * -1, count), loops.Within(end + place * -1 + -1, count)]
    total = loops.reduction("sum", [term], loops.guard(inside, value, loops.const(0, kind)), kind)
    computed = dtypes.computed(node.dtype)
    return total if computed == kind else loops.call("cast", [total], computed)


def _summed_in(dtype: str) -> str:
    return dtypes.FLOAT64 if dtypes.is_float(dtype) else dtype


register(
    Op(
        "segment_sum",
        "reduce",
        _infer,
        _reference,
        _lower,
        no_gradient="it is made when gradients are there",
        repeats=True,
        rounds=True,
    )
)
