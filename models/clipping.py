"""Gradient clipping, by value and by global norm, and limits of weights, as expressions of a training program.

Pascanu, Mikolov, Bengio 2013, section 3.2. Leans on the DSL.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..compiler.graph.ops.elementwise import clip, maximum, minimum, sqrt
from ..compiler.graph.tensor import Tensor
from .checks import POSITIVE, SettingError, number


def clip_by_value(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Every element cut to [-limit, limit] (PyTorch's clip_grad_value_). Raises ValueError for a limit not above 0."""
    check_limit("clip_by_value", limit)
    return [clip(g, -limit, limit) for g in gradients]


def clip_by_global_norm(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """All scaled by the same factor, min(1, limit / (norm + 1e-6)), as PyTorch's clip_grad_norm_ does.

    The norm is that of all elements of all gradients together. Raises ValueError for a limit not above 0.
    """
    check_limit("clip_by_global_norm", limit)
    if not gradients:
        return []
    factor = minimum(limit / (global_norm(gradients) + 1e-6), 1.0)
    return [g * factor for g in gradients]


def global_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all elements of all gradients together, a float scalar; at least one is needed."""
    total = (gradients[0] * gradients[0]).sum()
    for g in gradients[1:]:
        total = total + (g * g).sum()
    return sqrt(total)


def limit_rows(weight: Tensor, limit: float) -> Tensor:
    """The weight with the norm of each unit's vector, weight[i], scaled down to at most `limit`, as torch.renorm does.

    Raises ValueError for a limit not above 0 or a weight of less than two axes.
    """
    check_limit("limit_rows", limit)
    if weight.rank < 2:
        raise SettingError(f"limit_rows: a weight (units, ...) is needed, not {weight.brief()}")
    norm = sqrt((weight * weight).sum(tuple(range(1, weight.rank)), keepdims=True))
    return weight * (limit / maximum(norm, limit))


def check_limit(name: str, limit: float) -> None:
    """Raises ValueError for a limit that is not a number above 0."""
    number(f"{name}: the limit", limit, POSITIVE, "; None leaves clipping out")
