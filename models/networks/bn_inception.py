"""The Inception network of the batch-normalisation paper, where 5x5 convolutions have become two of 3x3.

Ioffe, Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift, ICML 2015
(arXiv:1502.03167), appendix, figure 5. Leans on `inception_parts`.
"""

from __future__ import annotations

from ...compiler.graph.ops.elementwise import relu
from .. import initializers as init
from ..layer import Layer
from ..layers import AvgPool, BatchNorm, Conv, Dense, Function, GlobalAvgPool, MaxPool, Parallel, Sequential
from ..model import Model
from ..recipe import Recipe
from .inception_parts import EPS, branch, conv
from .registry import register

RECIPE = Recipe(
    learning_rate=0.045,
    schedule="exponential",
    factor=0.94,
    factor_epochs=1 / 3,
    epochs=12,
    batch=32,
    options={"momentum": 0.9, "weight_decay": 4e-5},
)
"""Sections 4.2.1 and 4.2.2: batch 32, the rate of BN-x30 (30 times 0.0015), no dropout, a decay of the rate "6 times
faster" than Inception's and of the weights 5 times weaker. What these were is not said; the figures here are those that
the authors' later papers give (0.94 every two epochs), or half GoogLeNet's (2e-4) over five. The paper trains with
asynchronous copies for about 5e6 of its steps."""


@register
def bn_inception(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 224, 224),
    separable_stem: bool = True,
    seed: int | None = 0,
) -> Model:
    """Inception with batch norms (Ioffe and Szegedy 2015): 11,278,528 parameters.

    The filters of figure 5 as they stand: modules 4c and 4d then give 608 channels, not the 576 of its size column,
    and 4e 1056, not 1024, as in every reproduction. The text counts 13.6 million parameters without saying of what.
    The first convolution is separable with a depth multiplier of 8, as the appendix says; `separable_stem=False` makes
    it a plain 7x7 one, as the reproductions have it. No auxiliary classifiers and no dropout.
    """
    net = Sequential(
        *(_separable(input_shape[0]) if separable_stem else conv(64, 7, stride=2)),
        MaxPool(3, stride=2, pad=1),
        *conv(64, 1),
        *conv(192, 3),
        MaxPool(3, stride=2, pad=1),
        _module(64, (64, 64), (64, 96), AvgPool, 32, "inception3a"),
        _module(64, (64, 96), (64, 96), AvgPool, 64, "inception3b"),
        _halving((128, 160), (64, 96), "inception3c"),
        _module(224, (64, 96), (96, 128), AvgPool, 128, "inception4a"),
        _module(192, (96, 128), (96, 128), AvgPool, 128, "inception4b"),
        _module(160, (128, 160), (128, 160), AvgPool, 128, "inception4c"),
        _module(96, (128, 192), (160, 192), AvgPool, 128, "inception4d"),
        _halving((128, 192), (192, 256), "inception4e"),
        _module(352, (192, 320), (160, 224), AvgPool, 128, "inception5a"),
        _module(352, (192, 320), (192, 224), MaxPool, 128, "inception5b"),
        GlobalAvgPool(),
        Dense(classes),
    )
    return Model("bn_inception", net, input_shape, classes, "imagenet", RECIPE, seed)


def _separable(colours: int) -> tuple[Layer | Function, ...]:
    """7x7 windows of stride 2 on each colour apart, 8 filters for each, then 64 combinations of these."""
    apart = Conv(8 * colours, 7, stride=2, pad=3, groups=colours, bias=False, weight_init=init.he_normal)
    return apart, Conv(64, 1, bias=False, weight_init=init.he_normal), BatchNorm(eps=EPS), relu


def _module(
    one: int, three: tuple[int, int], double: tuple[int, int], pool: type[AvgPool | MaxPool], after: int, name: str
) -> Layer:
    """Four branches: 1x1; 1x1 and 3x3; 1x1 and two of 3x3; pooling and 1x1. Pairs are (filters of the 1x1, of 3x3)."""
    return Parallel(
        branch(conv(one, 1)),
        branch(conv(three[0], 1), conv(three[1], 3)),
        branch(conv(double[0], 1), conv(double[1], 3), conv(double[1], 3)),
        branch((pool(3, stride=1, pad=1),), conv(after, 1)),
        name=name,
    )


def _halving(three: tuple[int, int], double: tuple[int, int], name: str) -> Layer:
    """Modules 3c and 4e: the last 3x3 convolutions have stride 2, and max pooling passes the input's channels on."""
    return Parallel(
        branch(conv(three[0], 1), conv(three[1], 3, stride=2)),
        branch(conv(double[0], 1), conv(double[1], 3), conv(double[1], 3, stride=2)),
        MaxPool(3, stride=2, pad=1),
        name=name,
    )
