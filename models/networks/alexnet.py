"""AlexNet, entered as SuperVision in the ImageNet competition of 2012.

Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks, NeurIPS 2012,
section 3. Leans on `layers`.
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
    epochs=90,
    batch=128,
    options={"momentum": 0.9, "weight_decay": 5e-4},
)
"""Section 5: SGD of batch 128 from 0.01 for about 90 epochs, divided by 10 three times, where the error stopped
improving; where that was is not said, so here at every quarter."""


@register
def alexnet(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 227, 227),
    groups: int = 2,
    dropout: float = 0.5,
    seed: int | None = 0,
) -> Model:
    """AlexNet (Krizhevsky et al. 2012), two groups in conv2, 4 and 5: 60,965,224 parameters.

    The paper says that images are 224x224 and that the first layer gives 55x55. An unpadded window of 11 at stride 4
    gives that on 227x227, (227 - 11) / 4 + 1, and no whole number on 224x224; 227 is what the authors' code cropped.
    The groups were the two GPUs; `groups=1` connects all channels. Pooling overlaps (3x3, stride 2), and the
    response norm's alpha of 1e-4 is written times its 5 channels, since the layer divides by them. Weights start as
    He et al. (2015) would have them and biases at zero, in place of a deviation of 0.01 and biases of one.
    """
    he = init.he_normal
    net = Sequential(
        Conv(96, 11, stride=4, weight_init=he),
        relu,
        LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
        MaxPool(3, stride=2),
        Conv(256, 5, pad=2, groups=groups, weight_init=he),
        relu,
        LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
        MaxPool(3, stride=2),
        Conv(384, 3, pad=1, weight_init=he),
        relu,
        Conv(384, 3, pad=1, groups=groups, weight_init=he),
        relu,
        Conv(256, 3, pad=1, groups=groups, weight_init=he),
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
    return Model("alexnet", net, input_shape, classes, "imagenet", RECIPE, seed)


@register
def alexnet_torchvision(
    classes: int = 1000,
    input_shape: tuple[int, ...] = (3, 224, 224),
    dropout: float = 0.5,
    seed: int | None = 0,
) -> Model:
    """torchvision's AlexNet (Krizhevsky 2014, arXiv:1404.5997, without its groups): 61,100,840 parameters.

    One group, 64, 192, 384, 256 and 256 filters, no response norms, and dropout before the first two dense layers.
    torchvision's adaptive pooling to 6x6 leaves images of 224 pixels as they are; here images of other sizes are
    flattened, and have dense layers of their own.
    """
    he = init.he_normal
    net = Sequential(
        Conv(64, 11, stride=4, pad=2, weight_init=he),
        relu,
        MaxPool(3, stride=2),
        Conv(192, 5, pad=2, weight_init=he),
        relu,
        MaxPool(3, stride=2),
        Conv(384, 3, pad=1, weight_init=he),
        relu,
        Conv(256, 3, pad=1, weight_init=he),
        relu,
        Conv(256, 3, pad=1, weight_init=he),
        relu,
        MaxPool(3, stride=2),
        Flatten(),
        Dropout(dropout),
        Dense(4096, weight_init=he),
        relu,
        Dropout(dropout),
        Dense(4096, weight_init=he),
        relu,
        Dense(classes),
    )
    return Model("alexnet_torchvision", net, input_shape, classes, "imagenet", RECIPE, seed)
