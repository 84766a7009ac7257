"""DenseNet: every layer reads what all layers before it in its block gave.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks, CVPR 2017 (arXiv:1608.06993),
table 1. Leans on `layers`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...compiler.graph.ops.elementwise import relu
from ...compiler.graph.tensor import Tensor
from ..layer import Layer
from ..layers import AvgPool, BatchNorm, Dense, Function, GlobalAvgPool, MaxPool, Parallel, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register
from .residual_blocks import convolution

Shape = tuple[int, ...]
IMAGENET: Shape = (3, 224, 224)
GROWTH, STEM, NARROW = 32, 64, 4
"""New channels of a layer, channels before the first block, and how many times GROWTH the 1x1 convolutions have
(section 3, "Bottleneck layers")."""

RECIPE = Recipe(
    learning_rate=0.1,
    schedule="steps",
    milestones=(1 / 3, 2 / 3),
    epochs=90,
    batch=256,
    options={"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
)
"""Section 4.2: SGD with Nesterov momentum, batch 256 for 90 epochs from 0.1, divided by 10 at epochs 30 and 60."""


@register
def densenet121(classes: int = 1000, input_shape: Shape = IMAGENET, seed: int | None = 0) -> Model:
    """DenseNet-121 (Huang et al. 2017): 7,978,856 parameters."""
    return Model("densenet121", _net((6, 12, 24, 16), classes), input_shape, classes, "imagenet", RECIPE, seed)


@register
def densenet169(classes: int = 1000, input_shape: Shape = IMAGENET, seed: int | None = 0) -> Model:
    """DenseNet-169 (Huang et al. 2017): 14,149,480 parameters."""
    return Model("densenet169", _net((6, 12, 32, 32), classes), input_shape, classes, "imagenet", RECIPE, seed)


@register
def densenet201(classes: int = 1000, input_shape: Shape = IMAGENET, seed: int | None = 0) -> Model:
    """DenseNet-201 (Huang et al. 2017): 20,013,928 parameters."""
    return Model("densenet201", _net((6, 12, 48, 32), classes), input_shape, classes, "imagenet", RECIPE, seed)


def dense(name: str) -> Layer:
    """Norm, relu, 1x1, norm, relu, 3x3 to GROWTH channels, joined to what it was given."""
    body: list[Layer | Function] = [BatchNorm(), relu, convolution(NARROW * GROWTH, 1)]
    return Parallel(_same, Sequential(*body, BatchNorm(), relu, convolution(GROWTH, 3)), name=name)


def transition(channels: int, name: str) -> Layer:
    """Norm, relu, 1x1 to half of the channels, the mean of every 2x2 pixels."""
    return Sequential(BatchNorm(), relu, convolution(channels // 2, 1), AvgPool(2), name=name)


def _net(depths: Sequence[int], classes: int) -> Sequential:
    layers: list[Layer | Function] = [convolution(STEM, 7, 2), BatchNorm(), relu, MaxPool(3, stride=2, pad=1)]
    channels = STEM
    for block, depth in enumerate(depths):
        layers += [dense(f"block{block + 1}_layer{i + 1}") for i in range(depth)]
        channels += depth * GROWTH
        if block + 1 < len(depths):
            layers.append(transition(channels, f"transition{block + 1}"))
            channels //= 2
    return Sequential(*layers, BatchNorm(), relu, GlobalAvgPool(), Dense(classes))


def _same(x: Tensor) -> Tensor:
    return x
