"""The first convolutional network trained by backpropagation on real images: digits of zip codes, 1989.

LeCun, Boser, Denker, Henderson, Howard, Hubbard, Jackel: Backpropagation Applied to Handwritten Zip Code Recognition,
Neural Computation 1(4), 1989. Leans on `historical` for layers by a connection table.
"""

from __future__ import annotations

from functools import partial

from ...compiler.graph.ops.slicing import pad
from ...compiler.graph.tensor import Tensor
from .. import initializers as init
from ..layers import Dense, Flatten, Sequential, TableConv, scaled_tanh
from ..model import Model
from ..recipe import Recipe
from .registry import register

H1_MAPS, H2_MAPS, SEEN = 12, 12, 8
BACKGROUND = -1.0

RECIPE = Recipe(
    learning_rate=0.01,
    schedule="linear",
    epochs=23,
    batch=1,
    options={},
    loss="squared_error",
    loss_options={"on": 1.0, "off": -1.0},
)
"""Section 4: 23 passes over the training set, the weights changed after each pattern, the mean squared error from
targets in the quasi-linear range of the units. The paper's pseudo-Newton steps are here plain gradient descent, whose
rate falls in a straight line."""


def table() -> list[list[int]]:
    """Which 8 of the 12 maps of H1 each map of H2 sees.

    "According to a scheme that will not be described here", says the paper; here 8 neighbours in a circle of 12.
    """
    return [sorted((first + i) % H1_MAPS for i in range(SEEN)) for first in range(H2_MAPS)]


def _signed(x: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]"""
    return x * 2.0 - 1.0


@register
def lecun1989(classes: int = 10, input_shape: tuple[int, ...] = (1, 16, 16), seed: int | None = 0) -> Model:
    """LeCun et al. 1989, for zip codes: 9,760 parameters, 1,256 units (with the input), 64,660 connections.

    H1 has 12 maps of 8x8, H2 12 maps of 4x4: windows of 5x5 at every second place, whose weights a map shares and
    whose biases it does not. A map of H2 sees 8 of H1's 12 (`table`). H3 has 30 units, then the outputs. All units
    are 1.7159 tanh(2/3 x). Images in [0, 1] become -1 to 1; what a window sees beyond the border is background, -1
    (in H2 too, where the paper does not say). An even image has no middle, so that windows reach two places over the
    border at the start and one at the end. First weights are uniform in +-2.4 / fan-in, biases zero.
    """
    spread = init.over_fan_in(2.4)
    border = partial(pad, widths=[0, 0, (2, 1), (2, 1)], value=BACKGROUND)
    net = Sequential(
        _signed,
        border,
        TableConv([[0]] * H1_MAPS, (5, 5), stride=2, bias="unit", weight_init=spread),
        scaled_tanh,
        border,
        TableConv(table(), (5, 5), stride=2, bias="unit", weight_init=spread),
        scaled_tanh,
        Flatten(),
        Dense(30, weight_init=spread),
        scaled_tanh,
        Dense(classes, weight_init=spread),
        scaled_tanh,
    )
    return Model("lecun1989", net, input_shape, classes, "usps", RECIPE, seed)
