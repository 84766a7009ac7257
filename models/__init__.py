"""The networks: `names()` lists them, and each is a function here that builds one with random weights."""

from __future__ import annotations

from .model import Model
from .networks import build, lenet5, mlp, names, perceptron, register
from .recipe import Recipe

__all__ = ["Model", "Recipe", "build", "lenet5", "mlp", "names", "perceptron", "register"]
