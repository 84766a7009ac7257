"""GoogLeNet as torchvision has it: with batch norms, and windows of 3x3 where the paper has 5x5.

The structure is that of `torchvision.models.googlenet`, whose weights were trained in TensorFlow. Leans on
`inception_parts`, and on `googlenet` for the recipe.
"""

from __future__ import annotations

from ..layer import Layer
from ..layers import Dense, Dropout, GlobalAvgPool, MaxPool, Parallel, Sequential
from ..model import Model
from .googlenet import END, RECIPE
from .inception_parts import branch, conv
from .registry import register


@register
def googlenet_torchvision(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 224, 224),
    dropout: float = 0.2,
    seed: int | None = 0,
) -> Model:
    """torchvision's GoogLeNet with batch norms (after Szegedy et al. 2014): 6,624,904 parameters.

    It has no auxiliary classifiers, as torchvision's network after it has read its weights. The last pooling is 2x2.
    """
    net = Sequential(
        *conv(64, 7, stride=2),
        MaxPool(3, stride=2, pad=END),
        *conv(64, 1),
        *conv(192, 3),
        MaxPool(3, stride=2, pad=END),
        inception(64, (96, 128), (16, 32), 32, "inception3a"),
        inception(128, (128, 192), (32, 96), 64, "inception3b"),
        MaxPool(3, stride=2, pad=END),
        inception(192, (96, 208), (16, 48), 64, "inception4a"),
        inception(160, (112, 224), (24, 64), 64, "inception4b"),
        inception(128, (128, 256), (24, 64), 64, "inception4c"),
        inception(112, (144, 288), (32, 64), 64, "inception4d"),
        inception(256, (160, 320), (32, 128), 128, "inception4e"),
        MaxPool(2, pad=END),
        inception(256, (160, 320), (32, 128), 128, "inception5a"),
        inception(384, (192, 384), (48, 128), 128, "inception5b"),
        GlobalAvgPool(),
        Dropout(dropout),
        Dense(classes),
    )
    return Model("googlenet_torchvision", net, input_shape, classes, "imagenet", RECIPE, seed)


def inception(one: int, three: tuple[int, int], double: tuple[int, int], pool: int, name: str) -> Layer:
    """Four branches: 1x1; 1x1 and 3x3; again 1x1 and 3x3; 3x3 max pooling and 1x1."""
    return Parallel(
        branch(conv(one, 1)),
        branch(conv(three[0], 1), conv(three[1], 3)),
        branch(conv(double[0], 1), conv(double[1], 3)),
        branch((MaxPool(3, stride=1, pad=1),), conv(pool, 1)),
        name=name,
    )
