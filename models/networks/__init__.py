"""The networks, one file per family; importing this package registers them all.

A new network is a decorated function in one of these files, imported below by name.
"""

from __future__ import annotations

from .lenet import lenet5
from .perceptrons import mlp, perceptron, playground
from .registry import build, names, register

__all__ = ["build", "lenet5", "mlp", "names", "perceptron", "playground", "register"]
