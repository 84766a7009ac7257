"""`contained`: a contraction that stands for another one, and that other one for the results it would spoil.

A faster way to the same sums may mix numbers that the sums themselves keep apart, as Winograd's does the pixels of a
tile: one that is not finite, or far above the rest, then shows in results that never read it. Inputs are those of the
fast contraction, then those of the direct one; `spec` and `direct` say how each reads its own. Passes of a target make
it after differentiation, so that it has no gradient. Leans on `contract`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from ...loops import expressions as loops
from ..tensor import Tensor
from .contract import infer, lowered, summed
from .registry import Op, register


def _reference(node: Tensor, env: dict[str, int], *arrays: np.ndarray) -> np.ndarray:
    n = len(node.attrs.spec.operands)
    with np.errstate(all="ignore"):
        fast = summed(node.attrs.spec, node.dtype, env, arrays[:n])
        if np.isfinite(fast).all():
            return fast
        direct = summed(node.attrs.direct, node.dtype, env, arrays[n:])
    return np.where(np.isfinite(fast), fast, direct)


def _lower(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    """In this form too: a target that schedules the fast sum says which of its results it doubts."""
    n = len(node.attrs.spec.operands)
    fast = lowered(node.attrs.spec, node.inputs[:n], node.dtype, index, read, axis)
    direct = lowered(node.attrs.direct, node.inputs[n:], node.dtype, index, lambda k, place: read(n + k, place), axis)
    finite = loops.call("lt", [loops.call("abs", [fast], node.dtype), loops.const(np.inf, node.dtype)], dtypes.BOOL)
    return loops.call("where", [finite, fast, direct], node.dtype)


register(
    Op(
        "contained",
        "contract",
        infer,
        _reference,
        _lower,
        no_gradient="passes of a target make it after differentiation",
        flops=2,
        repeats=True,
        rounds=True,
        underflows=True,
    )
)
