"""PyTensor, which goes on from Theano, as a contender for dense networks: a function per step over shared variables.

It no longer has convolutions of stacks of images. Leans on pytensor, and on the network's graph as `graph.py` wrote it.
"""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytensor
from pytensor import tensor

from .contenders import HEAD_WEIGHT, MOMENTUM, BenchError, Contender, Setup


def outputs(graph: dict[str, Any], weights: list[Any], x: Any) -> list[Any]:
    """The graph's outputs as expressions of the weights and of x. Raises BenchError for an op of images."""
    values: dict[str, Any] = {}
    for node in graph["nodes"]:
        args = [values[name] for name in node["inputs"]] or [x]
        own = [weights[i] for i in node["parameters"]]
        match node["op"]:
            case "input" | "identity":
                y = args[0]
            case "linear":
                y = args[0] @ own[0].T + (own[1] if len(own) > 1 else 0.0)
            case "flatten":
                y = args[0].flatten(2)
            case "relu":
                y = tensor.maximum(args[0], np.float32(0))
            case "tanh":
                y = tensor.tanh(args[0])
            case "add":
                y = reduce(tensor.add, args)
            case _:
                raise BenchError(f"PyTensor has no {node['op']} of images")
        values[node["name"]] = y
    return [values[name] for name in graph["outputs"]]


def _cross_entropy(logits: Any, labels: Any) -> Any:
    logs = tensor.special.log_softmax(logits, axis=1)
    return -logs[tensor.arange(labels.shape[0]), labels].mean()


class PyTensor:
    """A compiled function with its weights and momenta, and the batches."""

    def __init__(self, contender: Contender, setup: Setup):
        graph = json.loads((Path(setup.folder) / "graph.json").read_text())
        images, labels = setup.batches()
        weights = [pytensor.shared(w) for w in setup.weights()]
        x, t = tensor.tensor("images", dtype="float32", shape=(None, *images.shape[2:])), tensor.ivector("labels")
        logits, *heads = outputs(graph, weights, x)
        if setup.training:
            loss = sum((HEAD_WEIGHT * _cross_entropy(head, t) for head in heads), _cross_entropy(logits, t))
            updates = []
            for w, g in zip(weights, tensor.grad(loss, weights), strict=True):
                m = pytensor.shared(np.zeros_like(w.get_value()))
                new = np.float32(MOMENTUM) * m + g
                updates += [(m, new), (w, w - np.float32(setup.rate) * new)]
            self.batches: list[tuple[Any, ...]] = list(zip(images, labels, strict=True))
            self.run = pytensor.function([x, t], loss, updates=updates, trust_input=True)
        else:
            self.batches = [(image,) for image in images]
            self.run = pytensor.function([x], logits, trust_input=True)
        self.at = 0

    def call(self) -> np.ndarray:
        return np.atleast_1d(self._call())

    def repeat(self, calls: int) -> None:
        for _ in range(calls):
            self._call()

    def _call(self) -> Any:
        batch = self.batches[self.at]
        self.at = (self.at + 1) % len(self.batches)
        return self.run(*batch)


def build(contender: Contender, setup: Setup) -> PyTensor:
    """PyTensor's contender, its function compiled in the first call."""
    return PyTensor(contender, setup)
