"""Residual networks for CIFAR: ResNet-20, 32, 44, 56, 110 and 1202, and the pre-activation ResNet-164 and 1001.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016 (arXiv:1512.03385), section 4.2; and by
the same authors: Identity Mappings in Deep Residual Networks, ECCV 2016 (arXiv:1603.05027). Leans on
`residual_blocks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...compiler.graph.ops.elementwise import relu
from ..checks import SettingError
from ..layer import Layer
from ..layers import BatchNorm, Dense, Function, GlobalAvgPool, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register
from .residual_blocks import Subsample, basic, block_name, convolution, preactivated, projection

Shape = tuple[int, ...]
CIFAR: Shape = (3, 32, 32)

RECIPE = Recipe(
    learning_rate=0.1,
    schedule="steps",
    milestones=(1 / 2, 3 / 4),
    epochs=164,
    batch=128,
    options={"momentum": 0.9, "weight_decay": 1e-4},
)
"""Section 4.2: SGD of batch 128 from 0.1, divided by 10 after 32k and 48k of 64k steps, which are 164 epochs."""

DEEP = replace(RECIPE, warm_up_epochs=1.0)
"""For 110 layers and more the paper starts with about 400 steps, one epoch, at a lower rate; here the rate rises."""


@register
def resnet20(classes: int = 10, input_shape: Shape = CIFAR, shortcut: str = "A", seed: int | None = 0) -> Model:
    """ResNet-20 for CIFAR (He et al. 2016): 269,722 parameters, 0.27M in the paper.

    shortcut: "A" fills new channels with zeros and has no parameters, as published; "B" is a 1x1 convolution. (The
    same holds for the deeper ones.) Raises ValueError for any other.
    """
    return Model("resnet20", _net(3, classes, shortcut), input_shape, classes, "cifar10", RECIPE, seed)


@register
def resnet32(classes: int = 10, input_shape: Shape = CIFAR, shortcut: str = "A", seed: int | None = 0) -> Model:
    """ResNet-32 for CIFAR (He et al. 2016): 464,154 parameters, 0.46M in the paper."""
    return Model("resnet32", _net(5, classes, shortcut), input_shape, classes, "cifar10", RECIPE, seed)


@register
def resnet44(classes: int = 10, input_shape: Shape = CIFAR, shortcut: str = "A", seed: int | None = 0) -> Model:
    """ResNet-44 for CIFAR (He et al. 2016): 658,586 parameters, 0.66M in the paper."""
    return Model("resnet44", _net(7, classes, shortcut), input_shape, classes, "cifar10", RECIPE, seed)


@register
def resnet56(classes: int = 10, input_shape: Shape = CIFAR, shortcut: str = "A", seed: int | None = 0) -> Model:
    """ResNet-56 for CIFAR (He et al. 2016): 853,018 parameters, 0.85M in the paper."""
    return Model("resnet56", _net(9, classes, shortcut), input_shape, classes, "cifar10", RECIPE, seed)


@register
def resnet110(classes: int = 10, input_shape: Shape = CIFAR, shortcut: str = "A", seed: int | None = 0) -> Model:
    """ResNet-110 for CIFAR (He et al. 2016): 1,727,962 parameters, 1.7M in the paper."""
    return Model("resnet110", _net(18, classes, shortcut), input_shape, classes, "cifar10", DEEP, seed)


@register
def resnet1202(classes: int = 10, input_shape: Shape = CIFAR, shortcut: str = "A", seed: int | None = 0) -> Model:
    """ResNet-1202 for CIFAR (He et al. 2016): 19,421,274 parameters, 19.4M in the paper."""
    return Model("resnet1202", _net(200, classes, shortcut), input_shape, classes, "cifar10", DEEP, seed)


@register
def resnet164_preact(classes: int = 10, input_shape: Shape = CIFAR, seed: int | None = 0) -> Model:
    """Pre-activation ResNet-164 for CIFAR (He et al. 2016b): 1,703,258 parameters, 1.7M in the paper."""
    return Model("resnet164_preact", _preactivation_net(18, classes), input_shape, classes, "cifar10", DEEP, seed)


@register
def resnet1001_preact(classes: int = 10, input_shape: Shape = CIFAR, seed: int | None = 0) -> Model:
    """Pre-activation ResNet-1001 for CIFAR (He et al. 2016b): 10,327,706 parameters, 10.2M without norms."""
    return Model("resnet1001_preact", _preactivation_net(111, classes), input_shape, classes, "cifar10", DEEP, seed)


def _net(depth: int, classes: int, shortcut: str) -> Sequential:
    """Three stages of `depth` basic blocks, 16, 32 and 64 wide: 6 depth + 2 layers with weights."""
    if shortcut not in ("A", "B"):
        raise SettingError(f'resnet: the shortcut is "A" (zeros) or "B" (a 1x1 convolution), not {shortcut!r}')
    blocks = []
    for stage in range(3):
        filters = 16 << stage
        for i in range(depth):
            stride = 2 if i == 0 and stage > 0 else 1
            change = Subsample(filters, stride) if shortcut == "A" else projection(filters, stride)
            blocks.append(basic(filters, stride, change if stride > 1 else None, block_name(stage, i)))
    return _around([BatchNorm(), relu, *blocks], classes)


def _preactivation_net(depth: int, classes: int) -> Sequential:
    """Three stages of `depth` pre-activated bottlenecks, 64, 128 and 256 wide: 9 depth + 2 layers with weights."""
    blocks = []
    for stage in range(3):
        filters = 64 << stage
        for i in range(depth):
            stride = 2 if i == 0 and stage > 0 else 1
            blocks.append(preactivated(filters, stride, i == 0, block_name(stage, i)))
    return _around([*blocks, BatchNorm(), relu], classes)


def _around(middle: Sequence[Layer | Function], classes: int) -> Sequential:
    """The stem, of one convolution at the image's size, then `middle`, then the classifier."""
    return Sequential(convolution(16, 3), *middle, GlobalAvgPool(), Dense(classes))
