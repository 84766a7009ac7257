"""ZFNet, the network that came of looking at what AlexNet's filters had learnt.

Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, ECCV 2014 (arXiv:1311.2901), figure 3. Leans on
`layers`.
"""

from __future__ import annotations

from ...compiler.graph.ops.elementwise import relu
from .. import initializers as init
from ..layers import Conv, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register

RECIPE = Recipe(
    learning_rate=0.01,
    schedule="steps",
    milestones=(1 / 4, 1 / 2, 3 / 4),
    epochs=70,
    batch=128,
    options={"momentum": 0.9, "weight_decay": 5e-4},
)
"""Section 3.1: SGD of batch 128 from 0.01 for 70 epochs, lowered by hand where the error stopped falling, here at
every quarter. The weight decay is AlexNet's, which the paper otherwise follows."""

END = ((0, 1), (0, 1))
"""Padding that lets a 3x3 pooling of stride 2 cover an even image to its edge."""


@register
def zfnet(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 224, 224),
    dropout: float = 0.5,
    seed: int | None = 0,
) -> Model:
    """ZFNet (Zeiler and Fergus 2013), AlexNet with finer first layers: 62,357,608 parameters.

    Sizes are the figure's: 224, 110, 55, 26, 13, 6. For these the first convolution is padded by 1, and the first two
    poolings reach over the edge. "Contrast normalised across feature maps" is AlexNet's response norm. Filters are
    not rescaled to a radius of 0.1 in training. Weights start as He et al. (2015) would have them.
    """
    he = init.he_normal
    net = Sequential(
        Conv(96, 7, stride=2, pad=1, weight_init=he),
        relu,
        MaxPool(3, stride=2, pad=END),
        LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
        Conv(256, 5, stride=2, weight_init=he),
        relu,
        MaxPool(3, stride=2, pad=END),
        LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
        Conv(384, 3, pad=1, weight_init=he),
        relu,
        Conv(384, 3, pad=1, weight_init=he),
        relu,
        Conv(256, 3, pad=1, weight_init=he),
        relu,
        MaxPool(3, stride=2),
        Flatten(),
        Dense(4096, weight_init=he),
        relu,
        Dropout(dropout),
        Dense(4096, weight_init=he),
        relu,
        Dropout(dropout),
        Dense(classes),
    )
    return Model("zfnet", net, input_shape, classes, "imagenet", RECIPE, seed)
