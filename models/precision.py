"""Mixed precision: contractions in a narrow float type, everything else, and the weights, in the model's own.

Micikevicius et al. 2018, "Mixed precision training": parameters stay in float32 (the master weights) and are cast where
a convolution or a matrix product reads them; normalisation, losses and updates stay in float32; where small gradients
would vanish, the loss is multiplied by a factor and the gradients divided by it. Leans on the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler import dtypes
from ..compiler.graph.node import inherit_location, toposort
from ..compiler.graph.ops.elementwise import equal, maximum, where
from ..compiler.graph.ops.reduce import min_
from ..compiler.graph.tensor import Tensor, cast
from ..compiler.graph.variable import variable
from ..compiler.rewriting.rewrite import rebuild
from .checks import SettingError
from .optimizer import Updates

NARROW = ("bfloat16",)
TENSOR_CORES = ("tf32", "bfloat16")
GROWTH_STEPS = 2000
LARGEST = float(np.finfo(np.float32).max)


def check(precision: Any) -> None:
    """Raises ValueError for a precision that contractions cannot have."""
    if precision not in (None, dtypes.FLOAT32, *NARROW):
        raise SettingError(f"precision: {', '.join(NARROW)} or None for float32 throughout, not {precision!r}")


def of_device(device: str, precision: Any) -> tuple[Any, str]:
    """(precision of the graph, precision of the device's contractions).

    "bfloat16" lowers the graph on every device, and has tensor cores multiply on a GPU. "tf32" is what they round the
    operands of contractions to: the graph and everything in memory stay float32. Raises ValueError for tf32 elsewhere.
    """
    on_gpu = device.partition(":")[0] == "cuda"
    if precision == "tf32" and not on_gpu:
        raise SettingError(f"precision: tf32 is of the tensor cores of 'cuda'; {device!r} has {', '.join(NARROW)}")
    of_contractions = precision if on_gpu and precision in TENSOR_CORES else dtypes.FLOAT32
    return None if precision == "tf32" else precision, of_contractions


def lowered(outputs: Sequence[Tensor], precision: str | None, before: Sequence[Tensor] = ()) -> list[Tensor]:
    """The same expressions with contractions in `precision`, their operands cast to it and their results cast back.

    What was computed for a contraction to read is rounded once, for all who read it, so that memory holds it once; and
    so are gradients of it, which are sums of what those who read it send back. before: what the expressions start from;
    contractions that lead up to these stay as they are, and so do those of integers and of types no wider. None changes
    nothing.
    """
    if precision is None:
        return list(outputs)
    kept = set(toposort(before))
    nodes = toposort(outputs)
    contractions = {n for n in nodes if n not in kept and n.op.kind == "contract" and _wider(n.dtype, precision)}
    read = _leading_to(contractions, kept, precision)
    done: dict[Tensor, Tensor] = {}
    narrow: dict[Tensor, Tensor] = {}
    for node in nodes:
        inputs = [done[i] for i in node.inputs]
        if node in contractions:
            narrow[node] = _placed(rebuild(node, [_rounded(i, done, narrow, precision) for i in node.inputs]), node)
        elif node in read and not _commutes(node):
            narrow[node] = _placed(cast(_placed(rebuild(node, inputs), node), precision), node)
        elif node in read and any(i in narrow for i in node.inputs):
            narrow[node] = _placed(rebuild(node, [_rounded(i, done, narrow, precision) for i in node.inputs]), node)
        else:
            done[node] = node if node in kept else _placed(rebuild(node, inputs), node)
            continue
        done[node] = _placed(cast(narrow[node], node.dtype), node)
    return [done[y] for y in outputs]


def _leading_to(contractions: set[Tensor], kept: set[Tensor], precision: str) -> set[Tensor]:
    """What is computed for contractions to read, from the last op that rounds on."""
    found: set[Tensor] = set()
    stack = [i for n in contractions for i in n.inputs]
    while stack:
        node = stack.pop()
        if node not in found and node not in kept and node.inputs and _wider(node.dtype, precision):
            found.add(node)
            stack += node.inputs if _commutes(node) else ()
    return found - contractions


def _commutes(node: Tensor) -> bool:
    """Does rounding the inputs give the rounded result, and is it then one that the narrow type holds?"""
    return node.op.kind == "movement" or node.op.name in ("relu", "window_max")


def _rounded(x: Tensor, done: dict[Tensor, Tensor], narrow: dict[Tensor, Tensor], precision: str) -> Tensor:
    """What stands for `x` in the narrow type; indices stay as they are."""
    if x in narrow or not _wider(x.dtype, precision):
        return narrow.get(x, done[x])
    return _placed(cast(done[x], precision), x)


def _placed(made: Tensor, of: Tensor) -> Tensor:
    """What is made of a node belongs to its line and its layer."""
    inherit_location(made, of)
    return made


def _wider(dtype: str, than: str) -> bool:
    return dtypes.is_float(dtype) and dtypes.ITEMSIZE[dtype] > dtypes.ITEMSIZE[than]


class LossScale:
    """The factor of the loss, kept up while training: halved where a gradient is not finite, doubled after 2000 good
    steps in a row. A step with such a gradient changes nothing else. (Micikevicius et al. 2018, section 3.2; with
    PyTorch's numbers.)

    `state`: its variables, for checkpoints.
    """

    def __init__(self, first: float):
        self.factor = variable("loss_scale.factor", np.array(first, "float32"))
        self.good = variable("loss_scale.good_steps", np.array(0, "int32"))
        self.state = [self.factor, self.good]

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss to differentiate."""
        return loss * self.factor

    def unscaled(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The gradients of the loss itself."""
        return [g / self.factor for g in gradients]

    def guarded(self, updates: Updates, gradients: Sequence[Tensor]) -> Updates:
        """The updates, where all gradients are finite, and the factor's own."""
        finite = finite_all(gradients)
        grown = equal(self.good + 1, GROWTH_STEPS)
        factor = where(grown, self.factor * 2.0, self.factor)
        return {
            **{v: where(finite, new, v) for v, new in updates.items()},
            self.factor: where(finite, factor, maximum(self.factor * 0.5, 1.0)),
            self.good: where(finite, where(grown, 0, self.good + 1), 0),
        }


def finite_all(tensors: Sequence[Tensor]) -> Tensor:
    """Whether no element of any is nan or infinite, a bool scalar."""
    all_good = min_((abs(tensors[0]) <= LARGEST).astype("int32"))
    for t in tensors[1:]:
        all_good = all_good * min_((abs(t) <= LARGEST).astype("int32"))
    return all_good > 0
