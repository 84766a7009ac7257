"""Networks of dense layers alone: the perceptron, the multilayer perceptron, and a playground's."""

from __future__ import annotations

from ...compiler.ops.elementwise import relu, tanh
from .. import initializers as init
from ..layers import Dense, Flatten, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register


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
def playground(classes: int = 2, input_shape: tuple[int, ...] = (2,), seed: int | None = 0) -> Model:
    """2-8-8-2 with tanh, of the size of TensorFlow Playground's networks (Smilkov et al. 2017): 114 parameters."""
    net = Sequential(Dense(8), tanh, Dense(8), tanh, Dense(classes))
    recipe = Recipe(learning_rate=0.03, epochs=100, batch=10)
    return Model("playground", net, input_shape, classes, None, recipe, seed)
