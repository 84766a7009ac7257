"""GoogLeNet: inception modules, and two auxiliary classifiers in training.

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich: Going Deeper with Convolutions, CVPR 2015
(arXiv:1409.4842), table 1. Leans on `layers`.
"""

from __future__ import annotations

from ...compiler.graph.ops.elementwise import relu
from ...compiler.graph.tensor import Tensor
from .. import initializers as init
from ..layer import Layer
from ..layers import (
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Function,
    GlobalAvgPool,
    LocalResponseNorm,
    MaxPool,
    Parallel,
    Sequential,
)
from ..model import Model
from ..recipe import Recipe
from .registry import register

RECIPE = Recipe(
    learning_rate=0.01,
    schedule="linear",
    epochs=60,
    batch=32,
    options={"momentum": 0.9, "weight_decay": 2e-4},
)
"""Section 6 gives the momentum and a rate lowered by 4 % every 8 epochs, but neither where it starts nor the decay.
These are the figures of Caffe's reproduction of the network, with a rate that falls in a straight line."""

HEAD_WEIGHT = 0.3
END = ((0, 1), (0, 1))
"""Padding that lets a 3x3 pooling of stride 2 cover an even image to its edge: 112, 56, 28, 14, 7."""


@register
def googlenet(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 224, 224),
    heads: bool = True,
    dropout: float = 0.4,
    head_dropout: float = 0.7,
    seed: int | None = 0,
) -> Model:
    """GoogLeNet (Szegedy et al. 2014): 6,998,552 parameters, and 6,379,728 more in its two auxiliary heads.

    The heads classify from the middle, after modules 4a and 4d; training adds 0.3 times their losses, inference does
    not compute them. `heads=False` leaves them out. Weights start as He et al. (2015) would have them. With heads,
    which pool 5x5 places of what is a sixteenth of the size, images of less than 79 pixels are refused.
    """
    net = Sequential(
        *_conv(64, 7, stride=2),
        MaxPool(3, stride=2, pad=END),
        _norm(),
        *_conv(64, 1),
        *_conv(192, 3),
        _norm(),
        MaxPool(3, stride=2, pad=END),
        inception(64, (96, 128), (16, 32), 32, name="inception3a"),
        inception(128, (128, 192), (32, 96), 64, name="inception3b"),
        MaxPool(3, stride=2, pad=END),
        inception(192, (96, 208), (16, 48), 64, name="inception4a"),
        *([AuxiliaryHead(_head(classes, head_dropout), HEAD_WEIGHT)] if heads else []),
        inception(160, (112, 224), (24, 64), 64, name="inception4b"),
        inception(128, (128, 256), (24, 64), 64, name="inception4c"),
        inception(112, (144, 288), (32, 64), 64, name="inception4d"),
        *([AuxiliaryHead(_head(classes, head_dropout), HEAD_WEIGHT)] if heads else []),
        inception(256, (160, 320), (32, 128), 128, name="inception4e"),
        MaxPool(3, stride=2, pad=END),
        inception(256, (160, 320), (32, 128), 128, name="inception5a"),
        inception(384, (192, 384), (48, 128), 128, name="inception5b"),
        GlobalAvgPool(),
        Dropout(dropout),
        Dense(classes),
    )
    return Model("googlenet", net, input_shape, classes, "imagenet", RECIPE, seed)


def inception(one: int, three: tuple[int, int], five: tuple[int, int], pool: int, name: str | None = None) -> Layer:
    """Four branches side by side (figure 2b): 1x1; 1x1 and 3x3; 1x1 and 5x5; 3x3 max pooling and 1x1.

    `three` and `five` are (filters of the 1x1 before, filters). Gives one + three[1] + five[1] + pool channels.
    """
    return Parallel(
        Sequential(*_conv(one, 1)),
        Sequential(*_conv(three[0], 1), *_conv(three[1], 3)),
        Sequential(*_conv(five[0], 1), *_conv(five[1], 5)),
        Sequential(MaxPool(3, stride=1, pad=1), *_conv(pool, 1)),
        name=name,
    )


class AuxiliaryHead(Layer):
    """Gives its input on unchanged; in training `head` classifies it too, for a loss that counts `weight` times."""

    kind = "auxiliary"

    def __init__(self, head: Layer, weight: float, name: str | None = None):
        super().__init__(name)
        self.head, self.weight = head, weight

    def build(self, x: Tensor) -> None:
        self.head(x)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if training:
            self._heads = [(self.weight, self.head(x, training))]
        return x


def _head(classes: int, dropout: float) -> Sequential:
    """Section 5: a quarter of the network's depth, on 4x4 means of the 14x14 image."""
    return Sequential(
        AvgPool(5, stride=3),
        *_conv(128, 1),
        Flatten(),
        Dense(1024, weight_init=init.he_normal),
        relu,
        Dropout(dropout),
        Dense(classes),
    )


def _conv(filters: int, window: int, stride: int = 1) -> tuple[Layer, Function]:
    return Conv(filters, window, stride=stride, pad=window // 2, weight_init=init.he_normal), relu


def _norm() -> LocalResponseNorm:
    """AlexNet's response norm at k = 1, as Caffe's reproduction has it; the paper does not say."""
    return LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
