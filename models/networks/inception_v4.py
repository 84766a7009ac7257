"""Inception v4: the Inception modules made uniform, without residual connections.

Szegedy, Ioffe, Vanhoucke, Alemi: Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning,
AAAI 2017 (arXiv:1602.07261), figures 3 to 9. Its stem and first reduction serve `inception_resnet` too. Leans on
`inception_parts`.
"""

from __future__ import annotations

from ..layer import Layer
from ..layers import Dense, Dropout, GlobalAvgPool, Parallel, Sequential
from ..model import Model
from ..recipe import Recipe
from .inception_parts import branch, conv, fork, pooled, shrinking
from .registry import register

RECIPE = Recipe(
    optimizer="RMSprop",
    learning_rate=0.045,
    schedule="exponential",
    factor=0.94,
    factor_epochs=2,
    epochs=160,
    batch=32,
    options={"alpha": 0.9, "eps": 1.0},
    loss_options={"label_smoothing": 0.1},
)
"""Section 4: RMSProp of decay 0.9 and epsilon 1.0, 0.045 times 0.94 every two epochs, on 20 copies. The batch and the
label smoothing are those of Inception v3; the number of epochs is read off figures 20 to 26. The paper evaluates
averaged weights (`ema=`)."""


@register
def inception_v4(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 299, 299),
    dropout: float = 0.2,
    seed: int | None = 0,
) -> Model:
    """Inception v4 (Szegedy et al. 2016): 42,679,816 parameters."""
    net = Sequential(
        stem(),
        *(_module_a(f"inception_a{i + 1}") for i in range(4)),
        reduction_a(192, 224, 256, 384),
        *(_module_b(f"inception_b{i + 1}") for i in range(7)),
        _reduction_b(),
        *(_module_c(f"inception_c{i + 1}") for i in range(3)),
        GlobalAvgPool(),
        Dropout(dropout),
        Dense(classes),
    )
    return Model("inception_v4", net, input_shape, classes, "imagenet", RECIPE, seed)


def stem() -> Sequential:
    """Figure 3: 299x299x3 to 35x35x384, in three steps that each join two ways of getting there."""
    return branch(
        conv(32, 3, stride=2, pad=0),
        conv(32, 3, pad=0),
        conv(64, 3),
        (Parallel(shrinking(), branch(conv(96, 3, stride=2, pad=0))),),
        (
            Parallel(
                branch(conv(64, 1), conv(96, 3, pad=0)),
                branch(conv(64, 1), conv(64, (7, 1)), conv(64, (1, 7)), conv(96, 3, pad=0)),
            ),
        ),
        (Parallel(branch(conv(192, 3, stride=2, pad=0)), shrinking()),),
    )


def reduction_a(k: int, l: int, m: int, n: int) -> Layer:  # noqa: E741
    """Figure 7, 35x35 to 17x17, with the letters of table 1: m + n channels more."""
    return Parallel(
        shrinking(),
        branch(conv(n, 3, stride=2, pad=0)),
        branch(conv(k, 1), conv(l, 3), conv(m, 3, stride=2, pad=0)),
        name="reduction_a",
    )


def _module_a(name: str) -> Layer:
    """Figure 4, at 35x35: 384 channels."""
    return Parallel(
        pooled(96),
        branch(conv(96, 1)),
        branch(conv(64, 1), conv(96, 3)),
        branch(conv(64, 1), conv(96, 3), conv(96, 3)),
        name=name,
    )


def _module_b(name: str) -> Layer:
    """Figure 5, at 17x17: 1024 channels. The third branch ends in 7x1, where the figure prints 1x7 twice."""
    return Parallel(
        pooled(128),
        branch(conv(384, 1)),
        branch(conv(192, 1), conv(224, (1, 7)), conv(256, (7, 1))),
        branch(conv(192, 1), conv(192, (1, 7)), conv(224, (7, 1)), conv(224, (1, 7)), conv(256, (7, 1))),
        name=name,
    )


def _reduction_b() -> Layer:
    """Figure 8, 17x17 to 8x8: 1024 to 1536 channels."""
    return Parallel(
        shrinking(),
        branch(conv(192, 1), conv(192, 3, stride=2, pad=0)),
        branch(conv(256, 1), conv(256, (1, 7)), conv(320, (7, 1)), conv(320, 3, stride=2, pad=0)),
        name="reduction_b",
    )


def _module_c(name: str) -> Layer:
    """Figure 6, at 8x8: 1536 channels."""
    return Parallel(
        pooled(256),
        branch(conv(256, 1)),
        branch(conv(384, 1), fork(256, (1, 3), (3, 1))),
        branch(conv(384, 1), conv(448, (1, 3)), conv(512, (3, 1)), fork(256, (3, 1), (1, 3))),
        name=name,
    )
