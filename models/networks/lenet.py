"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998)."""

from __future__ import annotations

from ...compiler.ops.elementwise import tanh
from .. import initializers as init
from ..layers import AvgPool, Conv, Dense, Flatten, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register


@register
def lenet5(classes: int = 10, seed: int | None = 0) -> Model:
    """LeNet-5 on 28x28 digits (LeCun et al. 1998, as taught today): 61,706 parameters.

    The first window is padded by 2 in place of the paper's 32x32 images; plain pooling, all channels connected,
    and a dense output with softmax replace the paper's sub-sampling, connection table and radial units.
    """
    glorot = init.glorot_uniform
    net = Sequential(
        Conv(6, 5, pad=2, weight_init=glorot),
        tanh,
        AvgPool(2),
        Conv(16, 5, weight_init=glorot),
        tanh,
        AvgPool(2),
        Flatten(),
        Dense(120, weight_init=glorot),
        tanh,
        Dense(84, weight_init=glorot),
        tanh,
        Dense(classes, weight_init=glorot),
    )
    recipe = Recipe(learning_rate=0.1, epochs=10, batch=64, options={"momentum": 0.9, "weight_decay": 5e-4})
    return Model("lenet5", net, (1, 28, 28), classes, "mnist", recipe, seed)
