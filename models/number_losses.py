"""Losses of numbers besides the squared error: those that far-off targets pull at less. Parts of `kw.losses`.

Formulas and defaults are PyTorch's; each is the mean over all elements. Leans on the DSL's ops.
"""

from __future__ import annotations

from ..compiler.errors import ShapeError
from ..compiler.graph.node import user_location
from ..compiler.graph.ops.elementwise import abs_, where
from ..compiler.graph.ops.reduce import mean
from ..compiler.graph.tensor import Tensor
from ..compiler.shapes import show
from .checks import NOT_NEGATIVE, POSITIVE, number


def mean_absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of |prediction - target|; PyTorch's L1Loss. The gradient where they are equal is 0.

    prediction, target: floats of one shape. Raises ShapeError for two shapes.
    """
    return mean(_distance("mean_absolute_error", prediction, target))


def huber(prediction: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    """The mean of d^2 / 2 where d = |prediction - target| is below delta, delta (d - delta / 2) beyond (Huber 1964).

    prediction, target: floats of one shape. Raises ShapeError for two shapes, SettingError unless delta > 0.
    """
    delta = number("huber: delta", delta, POSITIVE)
    d = _distance("huber", prediction, target)
    return mean(where(d < delta, d * d * 0.5, (d - 0.5 * delta) * delta))


def smooth_l1(prediction: Tensor, target: Tensor, beta: float = 1.0) -> Tensor:
    """The mean of d^2 / (2 beta) where d = |prediction - target| is below beta, of d - beta / 2 beyond (Girshick 2015).

    It is huber(delta=beta) / beta, and the mean absolute error for beta = 0. prediction, target: floats of one shape.
    Raises ShapeError for two shapes, SettingError for a beta below 0.
    """
    beta = number("smooth_l1: beta", beta, NOT_NEGATIVE)
    d = _distance("smooth_l1", prediction, target)
    return mean(where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta)) if beta else mean(d)


def _distance(name: str, prediction: Tensor, target: Tensor) -> Tensor:
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{name}: prediction and target are compared element by element, and have the shapes "
            f"{show(prediction.shape)} and {show(target.shape)}: give both one shape (y[:, None] adds an axis to "
            f"targets) (at {user_location()})"
        )
    return abs_(prediction - target)
