"""Residual networks for ImageNet: ResNet-18, 34, 50, 101 and 152.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016 (arXiv:1512.03385), table 1. Shortcuts
are "option B": a 1x1 convolution where the shape changes, the input itself elsewhere. Leans on `residual_blocks`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...compiler.graph.ops.elementwise import relu
from ..layer import Layer
from ..layers import BatchNorm, Dense, Function, GlobalAvgPool, MaxPool, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register
from .residual_blocks import basic, block_name, bottleneck, convolution, projection

Shape = tuple[int, ...]
IMAGENET: Shape = (3, 224, 224)

RECIPE = Recipe(
    learning_rate=0.1,
    schedule="steps",
    milestones=(1 / 3, 2 / 3),
    epochs=90,
    batch=256,
    options={"momentum": 0.9, "weight_decay": 1e-4},
)
"""Section 3.4: SGD of batch 256 from 0.1, divided by 10 where the error stops falling; here at 30 and 60 of 90 epochs,
which is how the paper's 60e4 iterations are usually divided."""


@register
def resnet18(classes: int = 1000, input_shape: Shape = IMAGENET, seed: int | None = 0) -> Model:
    """ResNet-18 (He et al. 2016): 11,689,512 parameters."""
    return Model("resnet18", _basic_net((2, 2, 2, 2), classes), input_shape, classes, "imagenet", RECIPE, seed)


@register
def resnet34(classes: int = 1000, input_shape: Shape = IMAGENET, seed: int | None = 0) -> Model:
    """ResNet-34 (He et al. 2016): 21,797,672 parameters."""
    return Model("resnet34", _basic_net((3, 4, 6, 3), classes), input_shape, classes, "imagenet", RECIPE, seed)


@register
def resnet50(
    classes: int = 1000, input_shape: Shape = IMAGENET, stride_first: bool = False, seed: int | None = 0
) -> Model:
    """ResNet-50 (He et al. 2016): 25,557,032 parameters.

    A block that halves the image does so in its 3x3 convolution, so that no activation is left unread, as in
    torchvision and most later work; `stride_first` does so in the first 1x1 convolution, as published. The number of
    parameters is the same. (The same holds for the deeper two.)
    """
    net = _bottleneck_net((3, 4, 6, 3), classes, stride_first)
    return Model("resnet50", net, input_shape, classes, "imagenet", RECIPE, seed)


@register
def resnet101(
    classes: int = 1000, input_shape: Shape = IMAGENET, stride_first: bool = False, seed: int | None = 0
) -> Model:
    """ResNet-101 (He et al. 2016): 44,549,160 parameters."""
    net = _bottleneck_net((3, 4, 23, 3), classes, stride_first)
    return Model("resnet101", net, input_shape, classes, "imagenet", RECIPE, seed)


@register
def resnet152(
    classes: int = 1000, input_shape: Shape = IMAGENET, stride_first: bool = False, seed: int | None = 0
) -> Model:
    """ResNet-152 (He et al. 2016): 60,192,808 parameters."""
    net = _bottleneck_net((3, 8, 36, 3), classes, stride_first)
    return Model("resnet152", net, input_shape, classes, "imagenet", RECIPE, seed)


def _basic_net(depths: Sequence[int], classes: int) -> Sequential:
    """Four stages of basic blocks, 64 to 512 wide; the first stage keeps the stem's size and channels."""
    blocks = []
    for stage, depth in enumerate(depths):
        filters = 64 << stage
        for i in range(depth):
            stride = 2 if i == 0 and stage > 0 else 1
            shortcut = projection(filters, stride) if stride > 1 else None
            blocks.append(basic(filters, stride, shortcut, block_name(stage, i)))
    return _around(blocks, classes)


def _bottleneck_net(depths: Sequence[int], classes: int, stride_first: bool) -> Sequential:
    """Four stages of bottlenecks, 256 to 2048 wide; each stage's first shortcut widens the channels."""
    blocks = []
    for stage, depth in enumerate(depths):
        filters = 256 << stage
        for i in range(depth):
            stride = 2 if i == 0 and stage > 0 else 1
            shortcut = projection(filters, stride) if i == 0 else None
            blocks.append(bottleneck(filters, stride, shortcut, stride_first, block_name(stage, i)))
    return _around(blocks, classes)


def _around(blocks: Sequence[Layer], classes: int) -> Sequential:
    """The blocks after the stem, which divides the image's size by 4, and before the classifier."""
    stem: list[Layer | Function] = [convolution(64, 7, 2), BatchNorm(), relu, MaxPool(3, stride=2, pad=1)]
    return Sequential(*stem, *blocks, GlobalAvgPool(), Dense(classes))
