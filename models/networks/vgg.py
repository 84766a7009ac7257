"""VGG-11, 13, 16 and 19: 3x3 convolutions alone, in five stages that each halve the image.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015 (arXiv:1409.1556),
table 1, configurations A, B, D and E. Leans on `layers`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...compiler.graph.ops.elementwise import relu
from .. import initializers as init
from ..layers import Conv, Dense, Dropout, Flatten, Function, Layer, MaxPool, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register

Shape = tuple[int, ...]
IMAGENET: Shape = (3, 224, 224)
WIDTHS = (64, 128, 256, 512, 512)
HIDDEN = 4096

RECIPE = Recipe(
    learning_rate=0.01,
    schedule="steps",
    milestones=(1 / 4, 1 / 2, 3 / 4),
    epochs=74,
    batch=256,
    options={"momentum": 0.9, "weight_decay": 5e-4},
)
"""Section 3.1: SGD of batch 256 from 0.01 for 74 epochs, divided by 10 three times, where accuracy stopped improving;
where that was is not said, so here at every quarter. The weights start as He et al. (2015) would have them, which
trains the deeper two without first training configuration A, as the paper had to."""


@register
def vgg11(classes: int = 1000, input_shape: Shape = IMAGENET, dropout: float = 0.5, seed: int | None = 0) -> Model:
    """VGG-11, configuration A (Simonyan and Zisserman 2014): 132,863,336 parameters."""
    return Model("vgg11", _net((1, 1, 2, 2, 2), classes, dropout), input_shape, classes, "imagenet", RECIPE, seed)


@register
def vgg13(classes: int = 1000, input_shape: Shape = IMAGENET, dropout: float = 0.5, seed: int | None = 0) -> Model:
    """VGG-13, configuration B (Simonyan and Zisserman 2014): 133,047,848 parameters."""
    return Model("vgg13", _net((2, 2, 2, 2, 2), classes, dropout), input_shape, classes, "imagenet", RECIPE, seed)


@register
def vgg16(classes: int = 1000, input_shape: Shape = IMAGENET, dropout: float = 0.5, seed: int | None = 0) -> Model:
    """VGG-16, configuration D (Simonyan and Zisserman 2014): 138,357,544 parameters."""
    return Model("vgg16", _net((2, 2, 3, 3, 3), classes, dropout), input_shape, classes, "imagenet", RECIPE, seed)


@register
def vgg19(classes: int = 1000, input_shape: Shape = IMAGENET, dropout: float = 0.5, seed: int | None = 0) -> Model:
    """VGG-19, configuration E (Simonyan and Zisserman 2014): 143,667,240 parameters."""
    return Model("vgg19", _net((2, 2, 4, 4, 4), classes, dropout), input_shape, classes, "imagenet", RECIPE, seed)


def _net(depths: Sequence[int], classes: int, dropout: float) -> Sequential:
    """`depths` convolutions in each stage, then the classifier, which has most of the parameters."""
    features: list[Layer | Function] = []
    for filters, depth in zip(WIDTHS, depths, strict=True):
        for _ in range(depth):
            features += [Conv(filters, 3, pad=1, weight_init=init.he_normal), relu]
        features.append(MaxPool(2))
    hidden = [(Dense(HIDDEN, weight_init=init.he_normal), relu, Dropout(dropout)) for _ in range(2)]
    return Sequential(*features, Flatten(), *hidden[0], *hidden[1], Dense(classes))
