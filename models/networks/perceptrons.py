"""Networks of dense layers alone: perceptrons and multilayer perceptrons, as published and today; a playground's."""

from __future__ import annotations

from collections.abc import Sequence

from ...compiler.graph.ops.elementwise import relu, sigmoid, tanh
from .. import initializers as init
from ..layers import Dense, Flatten, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register


@register
def perceptron(classes: int = 10, input_shape: tuple[int, ...] = (1, 28, 28), seed: int | None = 0) -> Model:
    """One dense layer on the pixels, trained by gradient descent on cross-entropy: 7,850 parameters."""
    net = Sequential(Flatten(), Dense(classes, weight_init=init.zeros))
    recipe = Recipe(learning_rate=0.05, epochs=10, batch=128)
    return Model("perceptron", net, input_shape, classes, "mnist", recipe, seed)


@register
def rosenblatt(classes: int = 10, input_shape: tuple[int, ...] = (1, 28, 28), seed: int | None = 0) -> Model:
    """Rosenblatt's perceptron (1958) with his own rule, which learns from mistakes only: 7,850 parameters.

    The recipe is the rule: one example at a time, and on a mistake the example is added to the weights of its class
    and subtracted from those of the class that won (`kw.losses.perceptron`, rate 1, no momentum, no decay). The
    weights start at zero, so that the rate is only a scale. Rosenblatt's fixed random association units are left out:
    the pixels are what the response units see. On classes that a linear rule can separate it stops making mistakes
    after at most (R / margin)^2 of them (Novikoff 1962).
    """
    net = Sequential(Flatten(), Dense(classes, weight_init=init.zeros))
    recipe = Recipe(learning_rate=1.0, schedule="constant", epochs=10, batch=1, options={}, loss="perceptron")
    return Model("rosenblatt", net, input_shape, classes, "mnist", recipe, seed)


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
def mlp1986(
    classes: int = 10,
    input_shape: tuple[int, ...] = (1, 28, 28),
    hidden: Sequence[int] = (64,),
    seed: int | None = 0,
) -> Model:
    """The network of Rumelhart, Hinton, Williams 1986 (Nature 323), 784-64-10 by default: 50,890 parameters.

    Sigmoid units in every layer, the outputs too, which lie in (0, 1) and are trained towards 1 at the class and 0
    elsewhere by the summed squared error (equation 3), with momentum 0.9 (equation 9) from weights uniform in
    +-0.3. `hidden` has one size per hidden layer; the paper's own networks were smaller (6-2-1 for mirror symmetry).
    """
    small = init.uniform(-0.3, 0.3)
    units = [layer for n in (*hidden, classes) for layer in (Dense(n, weight_init=small), sigmoid)]
    recipe = Recipe(learning_rate=0.1, schedule="constant", epochs=20, batch=16, loss="squared_error")
    return Model("mlp1986", Sequential(Flatten(), *units), input_shape, classes, "mnist", recipe, seed)


@register
def playground(classes: int = 2, input_shape: tuple[int, ...] = (2,), seed: int | None = 0) -> Model:
    """2-8-8-2 with tanh, of the size of TensorFlow Playground's networks (Smilkov et al. 2017): 114 parameters.

    With classes=1 it learns a number, by the squared error: the playground's regressions.
    """
    net = Sequential(Flatten(), Dense(8), tanh, Dense(8), tanh, Dense(classes))
    loss = "mean_squared_error" if classes == 1 else "cross_entropy"
    recipe = Recipe(learning_rate=0.03, epochs=100, batch=10, loss=loss)
    return Model("playground", net, input_shape, classes, "circle", recipe, seed)
