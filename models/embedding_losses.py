"""Losses of vectors that are to lie near each other or apart. Parts of `kw.losses`.

Formulas, defaults and small constants are PyTorch's; each is the mean over the pairs. Leans on the DSL's ops.
"""

from __future__ import annotations

from ..compiler.errors import ShapeError
from ..compiler.graph.node import user_location
from ..compiler.graph.ops.elementwise import maximum, minimum, sqrt, where
from ..compiler.graph.ops.reduce import mean, sum_
from ..compiler.graph.tensor import Tensor
from ..compiler.shapes import show
from .checks import FINITE, NOT_NEGATIVE, flag, number


def cosine_embedding(x1: Tensor, x2: Tensor, target: Tensor, margin: float = 0.0) -> Tensor:
    """The mean of 1 - cos(x1, x2) where target is 1, of max(0, cos(x1, x2) - margin) where it is -1.

    x1, x2: floats (..., features); target: (...,) of 1 and -1. Raises ShapeError where shapes do not fit.
    """
    margin = number("cosine_embedding: margin", margin, FINITE)
    if x1.shape != x2.shape or target.shape != x1.shape[:-1]:
        raise ShapeError(
            f"cosine_embedding: x1 and x2 of one shape (..., features) and targets (...,) are needed, not "
            f"{show(x1.shape)}, {show(x2.shape)} and {show(target.shape)} (at {user_location()})"
        )
    lengths = (sum_(x1 * x1, -1) + 1e-12) * (sum_(x2 * x2, -1) + 1e-12)
    cosine = sum_(x1 * x2, -1) / sqrt(lengths)
    return mean(where(target > 0, 1.0 - cosine, maximum(cosine - margin, 0.0)))


def triplet_margin(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, swap: bool = False
) -> Tensor:
    """The mean of max(0, |a - p| - |a - n| + margin), of vectors (Schroff et al. 2015; Balntas et al. 2016 for swap).

    anchor, positive, negative: floats (..., features) of one shape. swap: |p - n| takes the place of |a - n| where it
    is the smaller. Raises ShapeError for other shapes.
    """
    margin = number("triplet_margin: margin", margin, NOT_NEGATIVE)
    if not anchor.shape == positive.shape == negative.shape:
        raise ShapeError(
            f"triplet_margin: anchor, positive and negative have one shape (..., features), not {show(anchor.shape)}, "
            f"{show(positive.shape)} and {show(negative.shape)} (at {user_location()})"
        )
    apart = _length(anchor - negative)
    if flag("triplet_margin: swap", swap):
        apart = minimum(apart, _length(positive - negative))
    return mean(maximum(_length(anchor - positive) - apart + margin, 0.0))


def _length(d: Tensor) -> Tensor:
    """Of vectors along the last axis; 1e-6 is added to each element, so that that of zeros has a gradient."""
    shifted = d + 1e-6
    return sqrt(sum_(shifted * shifted, -1))
