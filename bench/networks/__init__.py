"""The networks as plain PyTorch modules, written from the papers: what the peers run.

Parameters are registered in the order of ours, so that weights pass from one to the other by position; their shapes
are checked. A module in training mode gives a tuple where it has auxiliary classifiers. `definition` imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..contenders import BenchError


@dataclass(frozen=True)
class Case:
    """How a network is raced: the file that defines it, the default batch, how many steps one call may take, and the
    learning rate, at which losses on random data stay finite. `convolutional`: does an order of channels make sense?
    """

    file: str
    batch: int
    steps_per_call: int = 1
    convolutional: bool = True
    rate: float = 0.01


CASES = {
    "playground": Case("small", 10, 500, convolutional=False),
    "mlp": Case("small", 128, 20, convolutional=False),
    "lenet5": Case("small", 128, 20),
    "resnet110": Case("resnet", 32),
    "alexnet": Case("plain", 16, rate=0.001),
    "googlenet": Case("googlenet", 16, rate=0.001),
    "resnet18": Case("resnet", 16, rate=0.001),
    "resnet50": Case("resnet", 8, rate=0.001),
    "vgg16": Case("plain", 8, rate=0.001),
    "mobilenet": Case("mobilenet", 8, rate=0.001),
    "densenet121": Case("densenet", 8, rate=0.001),
}


def case(name: str) -> Case:
    """How the network of that name is raced. Raises BenchError where it is not."""
    if name not in CASES:
        raise BenchError(f"there is no benchmark of a network {name!r}; there are {', '.join(CASES)}")
    return CASES[name]


def definition(name: str) -> Any:
    """The network of that name as a fresh torch module."""
    return getattr(import_module(f".{case(name).file}", __package__), name)()
