"""Maxout networks: dense for MNIST without its geometry, convolutional for MNIST and CIFAR-10.

Goodfellow, Warde-Farley, Mirza, Courville, Bengio: Maxout Networks, ICML 2013 (arXiv:1302.4389), section 5. The paper
says how the networks are built and leaves their sizes to the configurations that its authors published with it
(pylearn2, scripts/papers/maxout), which these are. Leans on `historical` for the maxout unit, on `groups` for limits of
norms.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ...compiler.graph.ops.window import max_pool
from ...compiler.graph.tensor import Tensor
from .. import initializers as init
from ..groups import Group
from ..layers import Conv, Dense, Dropout, Flatten, Layer, Maxout, Sequential, as_layer
from ..model import Model
from ..recipe import Recipe
from .registry import register

SMALL = init.uniform(-0.005, 0.005)
NORM = 1.9365


def _recipe(rate: float, epochs: int, batch: int, first: float | None = None) -> Recipe:
    """SGD with momentum whose weight vectors keep a norm of at most NORM, those of conv1 of at most `first`."""
    groups = [Group("conv1.weight", max_norm=first)] if first else []
    options = {"momentum": 0.7, "groups": [*groups, Group("*.weight", max_norm=NORM)]}
    return Recipe(learning_rate=rate, epochs=epochs, batch=batch, options=options)


@register
def maxout_mlp(
    classes: int = 10,
    input_shape: tuple[int, ...] = (1, 28, 28),
    units: int = 240,
    pieces: int = 5,
    dropout: float = 0.5,
    seed: int | None = 0,
) -> Model:
    """The dense maxout network (Goodfellow et al. 2013, section 5.1), which sees no geometry: 1,233,610 parameters.

    Two layers of 240 units with 5 pieces each, then softmax; dropout of a fifth of the pixels and half of the units;
    the weights of every unit's piece keep a norm of at most 1.9365. The paper reached 0.94 % test errors on MNIST
    after some hundred epochs; the recipe has 60, with a rate that falls as a cosine. Dropped pixels are made up for by
    scaling the others, where the authors did not scale them.
    """
    layers: list[Layer] = []
    for p in (dropout * 0.4, dropout):
        layers += [Dropout(p), Dense(units * pieces, weight_init=SMALL), Maxout(pieces)]
    net = Sequential(Flatten(), *layers, Dropout(dropout), Dense(classes, weight_init=SMALL))
    return Model("maxout_mlp", net, input_shape, classes, "mnist", _recipe(0.1, 60, 100), seed)


@register
def maxout_conv(
    classes: int = 10, input_shape: tuple[int, ...] = (1, 28, 28), dropout: float = 0.5, seed: int | None = 0
) -> Model:
    """The convolutional maxout network for MNIST (Goodfellow et al. 2013, section 5.1): 418,714 parameters.

    Three layers of convolution, maxout and overlapping max pooling, of 48, 48 and 24 maps with 2, 2 and 4 pieces, then
    softmax. The paper reached 0.45 % test errors. A map has one bias, where the authors gave each place its own.
    """
    layers = [
        *_stage(48, 2, 8, 0, 4, dropout * 0.4),
        *_stage(48, 2, 8, 3, 4, dropout),
        *_stage(24, 4, 5, 3, 2, dropout),
        Flatten(),
        Dropout(dropout),
        Dense(classes, weight_init=SMALL),
    ]
    return Model("maxout_conv", Sequential(*layers), input_shape, classes, "mnist", _recipe(0.05, 40, 128, 0.9), seed)


@register
def maxout_cifar(
    classes: int = 10, input_shape: tuple[int, ...] = (3, 32, 32), dropout: float = 0.5, seed: int | None = 0
) -> Model:
    """The maxout network for CIFAR-10 (Goodfellow et al. 2013, section 5.2): 16,247,830 parameters.

    As `maxout_conv` with 96, 192 and 192 maps of 2 pieces, and a dense layer of 500 units with 5 pieces before the
    softmax. The paper reached 11.68 % test errors, 9.38 % with translations and reflections, both on images whitened by
    ZCA, which is left to the user.
    """
    layers = [
        *_stage(96, 2, 8, 4, 4, dropout * 0.4),
        *_stage(192, 2, 8, 3, 4, dropout),
        *_stage(192, 2, 5, 3, 2, dropout),
        Flatten(),
        Dropout(dropout),
        Dense(500 * 5, weight_init=SMALL),
        Maxout(5),
        Dropout(dropout),
        Dense(classes, weight_init=SMALL),
    ]
    net = Sequential(*layers)
    return Model("maxout_cifar", net, input_shape, classes, "cifar10", _recipe(0.01, 100, 128, 0.9), seed)


def _stage(maps: int, pieces: int, window: int, pad: int, pool: int, dropout: float) -> list[Layer]:
    """Dropout of the input, a convolution, maxout, and max pooling of `pool` x `pool` at every second place."""
    conv = Conv(maps * pieces, window, pad=pad, weight_init=SMALL)
    return [Dropout(dropout), conv, Maxout(pieces), as_layer(partial(_pooled, window=pool))]


def _pooled(x: Tensor, window: int) -> Tensor:
    """Max pooling at every second place, whose last windows may reach over the edge, as in the authors' library."""
    sizes: Any = x.shape[2:]
    return max_pool(x, window, 2, [(0, (n - window) % 2) for n in sizes])
