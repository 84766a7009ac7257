"""The networks, one file per family; importing this package registers them all.

A new network is a decorated function in one of these files, imported below by name.
"""

from __future__ import annotations

from .lenet import lenet5
from .perceptrons import mlp, mlp1986, perceptron, rosenblatt
from .registry import build, names, register
from .svm import linear_svm, svm

__all__ = [
    "build",
    "lenet5",
    "linear_svm",
    "mlp",
    "mlp1986",
    "names",
    "perceptron",
    "register",
    "rosenblatt",
    "svm",
]
