"""LeNet-5 as taught today, and as published: LeCun, Bottou, Bengio, Haffner 1998.

Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 86(11), section II. Leans on `glyphs`
for the output codes.
"""

from __future__ import annotations

from functools import partial

from ...compiler.graph.ops.elementwise import tanh
from ...compiler.graph.ops.slicing import pad
from ...compiler.graph.tensor import Tensor
from .. import initializers as init
from ..layers import AvgPool, Conv, Dense, Flatten, RadialBasis, Sequential, Subsampling, TableConv, scaled_tanh
from ..model import Model
from ..recipe import Recipe
from . import glyphs
from .registry import register

FIELD = 32
WHITE, BLACK = -0.1, 1.175

C3_SEES = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"
"""Table I: the maps of S2 that each of the 16 maps of C3 sees."""


@register
def lenet5(classes: int = 10, input_shape: tuple[int, ...] = (1, 28, 28), seed: int | None = 0) -> Model:
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
    return Model("lenet5", net, input_shape, classes, "mnist", recipe, seed)


@register
def lenet5_1998(
    classes: int = 10,
    input_shape: tuple[int, ...] = (1, 28, 28),
    rejection: float = 0.1,
    trained_codes: bool = False,
    seed: int | None = 0,
) -> Model:
    """LeNet-5 as published (LeCun et al. 1998, section II.B): 60,000 parameters, 60,840 with the output codes.

    Images in [0, 1] become -0.1 (white) to 1.175 (black) in a field of 32x32. S2 and S4 have a trained coefficient and
    bias per map, C3 sees S2 by table I, all units up to F6 are 1.7159 tanh(2/3 x), and the outputs are squared
    distances of F6 from drawings of the digits on 7x12 pixels, turned negative here so that the greatest wins.

    The paper's 60,000 trained parameters (section II.A; 340,908 connections) are those of C1 (156), S2 (12),
    C3 (1,516), S4 (32), C5 (48,120) and F6 (10,164). The 840 numbers of the output codes are "chosen by hand and kept
    fixed (at least initially)"; `trained_codes` makes them parameters. The loss is equation 9, the maximum a
    posteriori criterion with a class of rubbish whose penalty is `rejection` (the paper's j, of which it gives no
    value). Classes beyond the ten digits have random codes, which the paper names as the other choice. Images larger
    than 32x32 are seen whole.
    """
    spread = init.over_fan_in(2.4)
    net = Sequential(
        _inked,
        partial(pad, widths=[0, 0, *map(_centred, input_shape[1:])], value=WHITE),
        Conv(6, 5, weight_init=spread, name="C1"),
        scaled_tanh,
        Subsampling(2, weight_init=spread, name="S2"),
        scaled_tanh,
        TableConv([[int(c) for c in row] for row in C3_SEES.split()], (5, 5), weight_init=spread, name="C3"),
        scaled_tanh,
        Subsampling(2, weight_init=spread, name="S4"),
        scaled_tanh,
        Conv(120, 5, weight_init=spread, name="C5"),
        scaled_tanh,
        Flatten(),
        Dense(84, weight_init=spread, name="F6"),
        scaled_tanh,
        RadialBasis(glyphs.codes(classes), trained=trained_codes, name="output"),
    )
    recipe = Recipe(
        learning_rate=0.001,
        schedule="cosine",
        epochs=20,
        batch=16,
        options={"momentum": 0.9},
        loss="cross_entropy_with_rejection",
        loss_options={"rejection": rejection},
    )
    return Model("lenet5_1998", net, input_shape, classes, "mnist", recipe, seed)


def _inked(x: Tensor) -> Tensor:
    """[0, 1] -> [-0.1, 1.175], so that the mean is roughly 0 and the variance roughly 1 (section II.B)."""
    return x * (BLACK - WHITE) + WHITE


def _centred(size: int) -> tuple[int, int]:
    """White before and after an axis, so that it fills the field; none where it is larger."""
    missing = max(FIELD - size, 0)
    return missing // 2, (missing + 1) // 2
