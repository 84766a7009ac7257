"""MobileNet: a window for each channel, then a 1x1 convolution over the channels.

Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam: MobileNets: Efficient Convolutional Neural Networks for
Mobile Vision Applications, 2017 (arXiv:1704.04861), table 1. Leans on `layers`.
"""

from __future__ import annotations

from ...compiler.graph.ops.elementwise import relu
from ..checks import SettingError
from ..layer import Layer
from ..layers import BatchNorm, Conv, Dense, Function, GlobalAvgPool, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register
from .residual_blocks import convolution

RECIPE = Recipe(
    optimizer="RMSprop",
    learning_rate=0.045,
    schedule="exponential",
    factor=0.94,
    factor_epochs=2,
    epochs=100,
    batch=32,
    options={"alpha": 0.9, "eps": 1.0},
)
"""Section 3.2: RMSprop as for Inception v3 (whose figures these are), with less regularisation and augmentation."""

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Table 1: filters and stride of each pair of convolutions. (The table's last stride of 2 would leave 4x4 pixels, which
its own sizes contradict.)"""


@register
def mobilenet(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 224, 224),
    width: float = 1.0,
    seed: int | None = 0,
) -> Model:
    """MobileNet (Howard et al. 2017): 4,231,976 parameters, 569 million multiply-adds.

    `width` (the paper's alpha) multiplies the filters of every layer; 0.75, 0.5 and 0.25 are the paper's.
    """
    if not 0 < width <= 4:
        raise SettingError(
            f"mobilenet: width={width!r} should be above 0 and at most 4; the paper has 1, 0.75, 0.5, 0.25"
        )
    filters = [max(round(width * n), 1) for n in (32, *(n for n, _ in BLOCKS))]
    stem: list[Layer | Function] = [convolution(filters[0], 3, 2), BatchNorm(), relu]
    blocks = [
        separable(before, after, stride, f"block{i + 1}")
        for i, (before, after, (_, stride)) in enumerate(zip(filters, filters[1:], BLOCKS))
    ]
    net = Sequential(*stem, *blocks, GlobalAvgPool(), Dense(classes))
    return Model("mobilenet", net, input_shape, classes, "imagenet", RECIPE, seed)


def separable(channels: int, filters: int, stride: int, name: str | None = None) -> Sequential:
    """A 3x3 window for each channel, and 1x1 to `filters`, each with norm and relu (figure 3, right)."""
    depthwise = Conv(channels, 3, stride=stride, pad=1, groups=channels, bias=False)
    return Sequential(depthwise, BatchNorm(), relu, convolution(filters, 1), BatchNorm(), relu, name=name)
