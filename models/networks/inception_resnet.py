"""Inception-ResNet v1 and v2: Inception modules as scaled residuals.

Szegedy, Ioffe, Vanhoucke, Alemi: Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning,
AAAI 2017 (arXiv:1602.07261), figures 10 to 19. Leans on `inception_parts`, on `inception_v4` for what the paper's
networks share, and on `inception_v3` for the stem of the released v2.
"""

from __future__ import annotations

from ..layer import Layer
from ..layers import Dense, Dropout, GlobalAvgPool, Parallel, Sequential
from ..model import Model
from . import inception_v3
from .inception_parts import branch, conv, pooled, residual, shrinking
from .inception_v4 import RECIPE, reduction_a, stem
from .registry import register

Scales = tuple[float, float, float]
SCALES: Scales = (0.17, 0.1, 0.2)
"""Of the residuals at 35x35, 17x17 and 8x8, as in the authors' code; section 3.3 says between 0.1 and 0.3."""


@register
def inception_resnet_v1(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 299, 299),
    scales: Scales = SCALES,
    dropout: float = 0.2,
    seed: int | None = 0,
) -> Model:
    """Inception-ResNet v1 (Szegedy et al. 2016), of Inception v3's cost: 22,756,328 parameters.

    scales: the factors of the residuals of the three sizes of image.
    """
    a, b, c = scales
    net = Sequential(
        branch(
            conv(32, 3, stride=2, pad=0),
            conv(32, 3, pad=0),
            conv(64, 3),
            (shrinking(),),
            conv(80, 1),
            conv(192, 3, pad=0),
            conv(256, 3, stride=2, pad=0),
        ),
        *(layer for i in range(5) for layer in _block_a(256, (32, 32), a, f"block_a{i + 1}")),
        reduction_a(192, 192, 256, 384),
        *(layer for i in range(10) for layer in _block_b(896, 128, (128, 128, 128), b, f"block_b{i + 1}")),
        _reduction_b(256, (256, 256)),
        *(layer for i in range(5) for layer in _block_c(1792, (192, 192), c, f"block_c{i + 1}")),
        GlobalAvgPool(),
        Dropout(dropout),
        Dense(classes),
    )
    return Model("inception_resnet_v1", net, input_shape, classes, "imagenet", RECIPE, seed)


@register
def inception_resnet_v2(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 299, 299),
    released: bool = False,
    scales: Scales = SCALES,
    dropout: float = 0.2,
    seed: int | None = 0,
) -> Model:
    """Inception-ResNet v2 (Szegedy et al. 2016), of Inception v4's cost: 32,433,928 parameters.

    As published, but for two widths of linear convolutions that the figures misprint (1154 for 1152, 2048 for 2144).
    `released` gives the network that the authors' code trains, 55,843,464 parameters, and whose weights are in use:
    Inception v3's stem and a module after it, twice as many blocks, 1536 channels before the classifier, and a last
    block that is neither scaled nor rectified.
    """
    body = _released(scales) if released else _published(scales)
    net = Sequential(*body, GlobalAvgPool(), Dropout(dropout), Dense(classes))
    return Model("inception_resnet_v2", net, input_shape, classes, "imagenet", RECIPE, seed)


def _published(scales: Scales) -> tuple[Layer, ...]:
    """Figure 15 with the stem of Inception v4 and the blocks of figures 16 to 19: 5, 10 and 5 of them."""
    a, b, c = scales
    return (
        stem(),
        *(layer for i in range(5) for layer in _block_a(384, (48, 64), a, f"block_a{i + 1}")),
        reduction_a(256, 256, 384, 384),
        *(layer for i in range(10) for layer in _block_b(1152, 192, (128, 160, 192), b, f"block_b{i + 1}")),
        _reduction_b(288, (288, 320)),
        *(layer for i in range(5) for layer in _block_c(2144, (224, 256), c, f"block_c{i + 1}")),
    )


def _released(scales: Scales) -> tuple[Layer, ...]:
    """The authors' code: 10, 20 and 10 blocks of 320, 1088 and 2080 channels."""
    a, b, c = scales
    return (
        inception_v3.stem(),
        Parallel(
            branch(conv(96, 1)),
            branch(conv(48, 1), conv(64, 5)),
            branch(conv(64, 1), conv(96, 3), conv(96, 3)),
            pooled(64),
            name="inception",
        ),
        *(layer for i in range(10) for layer in _block_a(320, (48, 64), a, f"block_a{i + 1}")),
        reduction_a(256, 256, 384, 384),
        *(layer for i in range(20) for layer in _block_b(1088, 192, (128, 160, 192), b, f"block_b{i + 1}")),
        _reduction_b(288, (288, 320)),
        *(layer for i in range(9) for layer in _block_c(2080, (224, 256), c, f"block_c{i + 1}")),
        *_block_c(2080, (224, 256), 1.0, "block_c10", last=True),
        branch(conv(1536, 1)),
    )


def _block_a(channels: int, double: tuple[int, int], scale: float, name: str) -> tuple[Layer, ...]:
    """Figures 10 and 16, at 35x35."""
    first, second = double
    return residual(
        channels,
        scale,
        branch(conv(32, 1)),
        branch(conv(32, 1), conv(32, 3)),
        branch(conv(32, 1), conv(first, 3), conv(second, 3)),
        name=name,
    )


def _block_b(channels: int, one: int, seven: tuple[int, int, int], scale: float, name: str) -> tuple[Layer, ...]:
    """Figures 11 and 17, at 17x17."""
    first, second, third = seven
    narrow = branch(conv(first, 1), conv(second, (1, 7)), conv(third, (7, 1)))
    return residual(channels, scale, branch(conv(one, 1)), narrow, name=name)


def _block_c(channels: int, three: tuple[int, int], scale: float, name: str, last: bool = False) -> tuple[Layer, ...]:
    """Figures 13 and 19, at 8x8."""
    narrow = branch(conv(192, 1), conv(three[0], (1, 3)), conv(three[1], (3, 1)))
    return residual(channels, scale, branch(conv(192, 1)), narrow, last=last, name=name)


def _reduction_b(single: int, double: tuple[int, int]) -> Layer:
    """Figures 12 and 18, 17x17 to 8x8: 384 + `single` + double[1] channels more."""
    return Parallel(
        shrinking(),
        branch(conv(256, 1), conv(384, 3, stride=2, pad=0)),
        branch(conv(256, 1), conv(single, 3, stride=2, pad=0)),
        branch(conv(256, 1), conv(double[0], 3), conv(double[1], 3, stride=2, pad=0)),
        name="reduction_b",
    )
