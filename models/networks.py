"""The small networks, and the registry that `kw.models.names()` lists.

Each returns a fresh `Model` with random weights drawn from `seed`, its usual data and its training recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..compiler.ops.elementwise import relu, tanh
from . import initializers as init
from .layers import AvgPool, Conv, Dense, Flatten, Sequential
from .model import Model
from .recipe import Recipe

Builder = TypeVar("Builder", bound=Callable[..., Model])
_BUILDERS: dict[str, Callable[..., Model]] = {}


def register(builder: Builder) -> Builder:
    """Decorator: the function builds the network of its own name."""
    _BUILDERS[builder.__name__] = builder
    return builder


def names() -> list[str]:
    """The networks that there are, by name."""
    return sorted(_BUILDERS)


def build(name: str, **options: Any) -> Model:
    """The network called `name`. Raises KeyError naming those that there are."""
    if name not in _BUILDERS:
        raise KeyError(f"there is no network {name!r}; there are {', '.join(names())}")
    return _BUILDERS[name](**options)


@register
def perceptron(classes: int = 10, input_shape: tuple[int, ...] = (1, 28, 28), seed: int | None = 0) -> Model:
    """One dense layer on the pixels (Rosenblatt 1958, trained by cross-entropy): 7,850 parameters."""
    net = Sequential(Flatten(), Dense(classes, weight_init=init.zeros))
    recipe = Recipe(learning_rate=0.05, epochs=10, batch=128)
    return Model("perceptron", net, input_shape, classes, "mnist", recipe, seed)


@register
def mlp(classes: int = 10, input_shape: tuple[int, ...] = (1, 28, 28), seed: int | None = 0) -> Model:
    """784-512-512-10 with relu: 669,706 parameters."""
    net = Sequential(
        Flatten(),
        Dense(512, weight_init=init.he_uniform),
        relu,
        Dense(512, weight_init=init.he_uniform),
        relu,
        Dense(classes),
    )
    recipe = Recipe(learning_rate=0.05, epochs=8, batch=128)
    return Model("mlp", net, input_shape, classes, "mnist", recipe, seed)


@register
def lenet5(classes: int = 10, seed: int | None = 0) -> Model:
    """LeNet-5 on 28x28 digits (LeCun et al. 1998, as taught today): 61,706 parameters.

    The first window is padded by 2 in place of the paper's 32x32 images; plain pooling, all channels connected,
    and a dense output with softmax replace the paper's sub-sampling, connection table and radial units.
    """
    glorot = init.glorot_uniform
    net = Sequential(
        Conv(6, 5, pad=2, weight_init=glorot),
        tanh,
        AvgPool(2),
        Conv(16, 5, weight_init=glorot),
        tanh,
        AvgPool(2),
        Flatten(),
        Dense(120, weight_init=glorot),
        tanh,
        Dense(84, weight_init=glorot),
        tanh,
        Dense(classes, weight_init=glorot),
    )
    recipe = Recipe(learning_rate=0.1, epochs=10, batch=64, options={"momentum": 0.9, "weight_decay": 5e-4})
    return Model("lenet5", net, (1, 28, 28), classes, "mnist", recipe, seed)
