"""Inception v3: large windows factorised into small and one-sided ones, an auxiliary classifier, label smoothing.

Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception Architecture for Computer Vision, CVPR 2016
(arXiv:1512.00567). Leans on `inception_parts`, and on `googlenet` for the auxiliary classifier.
"""

from __future__ import annotations

from ..layer import Layer
from ..layers import AvgPool, Dense, Dropout, GlobalAvgPool, Parallel, Sequential
from ..model import Model
from ..recipe import Recipe
from .googlenet import AuxiliaryHead
from .inception_parts import branch, conv, fork, pooled, shrinking
from .registry import register

RECIPE = Recipe(
    optimizer="RMSprop",
    learning_rate=0.045,
    schedule="exponential",
    factor=0.94,
    factor_epochs=2,
    epochs=100,
    batch=32,
    options={"alpha": 0.9, "eps": 1.0},
    loss_options={"label_smoothing": 0.1},
)
"""Sections 7 and 8: batch 32, 100 epochs, RMSProp of decay 0.9 and epsilon 1.0, 0.045 times 0.94 every two epochs,
label smoothing 0.1. The paper has 50 asynchronous copies, clips gradients at 2.0 (`Trainer(model, clip_norm=2.0)`)
and evaluates averaged weights (`ema=`)."""

HEAD_WEIGHT = 0.4
"""As in the authors' code; the paper does not say."""


@register
def inception_v3(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 299, 299),
    heads: bool = True,
    dropout: float = 0.5,
    seed: int | None = 0,
) -> Model:
    """Inception v3 (Szegedy et al. 2015): 23,834,568 parameters, and 3,326,696 more in its auxiliary head.

    The modules of figures 5, 6, 7 and 10 with the authors' published filters, which are torchvision's too; table 1
    differs from them in the stem. The head (figure 8) classifies the last 17x17 image; training adds 0.4 times its
    loss, inference does not compute it. Images of less than 75 pixels are refused, and of less than 299 with the head,
    whose 5x5 window would not fit; `heads=False` leaves it out.
    """
    net = Sequential(
        stem(),
        figure5(32, "inception5a"),
        figure5(64, "inception5b"),
        figure5(64, "inception5c"),
        reduction5("reduction5"),
        figure6(128, "inception6a"),
        figure6(160, "inception6b"),
        figure6(160, "inception6c"),
        figure6(192, "inception6d"),
        *([AuxiliaryHead(auxiliary(classes), HEAD_WEIGHT)] if heads else []),
        reduction6("reduction6"),
        figure7("inception7a"),
        figure7("inception7b"),
        GlobalAvgPool(),
        Dropout(dropout),
        Dense(classes),
    )
    return Model("inception_v3", net, input_shape, classes, "imagenet", RECIPE, seed)


def stem() -> Sequential:
    """299, 149, 147, 147, 73, 73, 71, 35: seven layers until the image has an eighth of its size, and 192 channels."""
    return branch(
        conv(32, 3, stride=2, pad=0),
        conv(32, 3, pad=0),
        conv(64, 3),
        (shrinking(),),
        conv(80, 1),
        conv(192, 3, pad=0),
        (shrinking(),),
    )


def figure5(pool: int, name: str) -> Layer:
    """At 35x35: the 5x5 branch once as it was (48 to 64 channels), once as two of 3x3. 224 + `pool` channels."""
    return Parallel(
        branch(conv(64, 1)),
        branch(conv(48, 1), conv(64, 5)),
        branch(conv(64, 1), conv(96, 3), conv(96, 3)),
        pooled(pool),
        name=name,
    )


def reduction5(name: str) -> Layer:
    """35x35 to 17x17 without a bottleneck (figure 10): 480 channels more."""
    return Parallel(
        branch(conv(384, 3, stride=2, pad=0)),
        branch(conv(64, 1), conv(96, 3), conv(96, 3, stride=2, pad=0)),
        shrinking(),
        name=name,
    )


def figure6(narrow: int, name: str) -> Layer:
    """At 17x17: 7x7 windows as 1x7 and 7x1, once and twice, `narrow` channels between them. 768 channels."""
    return Parallel(
        branch(conv(192, 1)),
        branch(conv(narrow, 1), conv(narrow, (1, 7)), conv(192, (7, 1))),
        branch(conv(narrow, 1), conv(narrow, (7, 1)), conv(narrow, (1, 7)), conv(narrow, (7, 1)), conv(192, (1, 7))),
        pooled(192),
        name=name,
    )


def reduction6(name: str) -> Layer:
    """17x17 to 8x8: 512 channels more."""
    return Parallel(
        branch(conv(192, 1), conv(320, 3, stride=2, pad=0)),
        branch(conv(192, 1), conv(192, (1, 7)), conv(192, (7, 1)), conv(192, 3, stride=2, pad=0)),
        shrinking(),
        name=name,
    )


def figure7(name: str) -> Layer:
    """At 8x8: branches that end in 1x3 and 3x1 windows side by side. 2048 channels."""
    return Parallel(
        branch(conv(320, 1)),
        branch(conv(384, 1), fork(384, (1, 3), (3, 1))),
        branch(conv(448, 1), conv(384, 3), fork(384, (1, 3), (3, 1))),
        pooled(192),
        name=name,
    )


def auxiliary(classes: int) -> Sequential:
    """Figure 8: 5x5 means of the 17x17 image, a 1x1 convolution and one over what is left, with norms."""
    return branch((AvgPool(5, stride=3),), conv(128, 1), conv(768, 5, pad=0), (GlobalAvgPool(), Dense(classes)))
