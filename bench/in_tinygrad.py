"""tinygrad as a contender: the whole step in its JIT, optimizer included. It compiles with clang, which must be there.

Leans on tinygrad, and on the network's graph as `graph.py` wrote it.
"""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from tinygrad import Context, Device, Tensor, TinyJit, nn

from .contenders import HEAD_WEIGHT, MOMENTUM, Contender, Setup


class Network:
    """The graph as a function of images (N, C, H, W). Running statistics are assigned as it is called in training."""

    def __init__(self, graph: dict[str, Any], weights: list[Any], training: bool):
        self.nodes, self.outputs, self.weights, self.training = graph["nodes"], graph["outputs"], weights, training
        scales = [weights[n["parameters"][0]] for n in self.nodes if n["op"] == "batchnorm"]
        self.statistics = [(Tensor(np.zeros(s.shape, "float32")), Tensor(np.ones(s.shape, "float32"))) for s in scales]

    def __call__(self, x: Any) -> list[Any]:
        values: dict[str, Any] = {}
        for node in self.nodes:
            args = [values[name] for name in node["inputs"]] or [x]
            own = [self.weights[i] for i in node["parameters"]]
            values[node["name"]] = getattr(self, "_" + node["op"])(node, args, own)
        return [values[name] for name in self.outputs]

    def _input(self, node: Any, args: Any, own: Any) -> Any:
        return args[0]

    _identity = _input

    def _relu(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].relu()

    def _tanh(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].tanh()

    def _add(self, node: Any, args: Any, own: Any) -> Any:
        return reduce(lambda a, b: a + b, args)

    def _concat(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].cat(*args[1:], dim=1)

    def _flatten(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].flatten(1)

    def _linear(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].linear(own[0].transpose(), *own[1:])

    def _conv(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].conv2d(*own, groups=node["groups"], stride=tuple(node["stride"]), padding=tuple(node["pad"]))

    def _maxpool(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].max_pool2d(*self._window(node), ceil_mode=node["ceil"])

    def _avgpool(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].avg_pool2d(*self._window(node), ceil_mode=node["ceil"])

    def _window(self, node: Any) -> tuple[Any, ...]:
        """Window, stride, dilation and padding."""
        return tuple(node["window"]), tuple(node["stride"]), 1, tuple(node["pad"])

    def _globalavgpool(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].mean((2, 3), keepdim=True)

    def _lrn(self, node: Any, args: Any, own: Any) -> Any:
        size, x = node["size"], args[0]
        padded = (x * x).pad(((0, 0), (size // 2, (size - 1) // 2), (0, 0), (0, 0)))
        squares = reduce(lambda a, b: a + b, (padded[:, i : i + x.shape[1]] for i in range(size))) / size
        return x * (node["k"] + node["alpha"] * squares) ** -node["beta"]

    def _slice(self, node: Any, args: Any, own: Any) -> Any:
        return args[0][tuple(slice(*steps) for steps in node["steps"])]

    def _pad(self, node: Any, args: Any, own: Any) -> Any:
        zeros = node["zeros"]  # of the last axis first
        pairs = [(zeros[i], zeros[i + 1]) for i in range(0, len(zeros), 2)][::-1]
        return args[0].pad(((0, 0),) * (args[0].ndim - len(pairs)) + tuple(pairs))

    def _batchnorm(self, node: Any, args: Any, own: Any) -> Any:
        x = args[0]
        mean, var = kept = self.statistics[node["statistics"]]
        if self.training:
            axes = (0, 2, 3)
            mean, var = x.mean(axes), x.var(axes, correction=0)
            count = x.numel() // mean.numel()
            new = (mean.detach(), var.detach() * (count / (count - 1)))
            for old, now in zip(kept, new, strict=True):
                old.assign((1 - node["momentum"]) * old + node["momentum"] * now)
        return x.batchnorm(*own, mean, (var + node["eps"]).rsqrt())


class Tinygrad:
    """A jitted step, or jitted logits, and the batches."""

    def __init__(self, contender: Contender, setup: Setup):
        graph = json.loads((Path(setup.folder) / "graph.json").read_text())
        weights = [Tensor(w).realize() for w in setup.weights()]
        net = Network(graph, weights, setup.training)
        images, labels = setup.batches()
        self.batches = [(Tensor(x).realize(), Tensor(t).realize()) for x, t in zip(images, labels, strict=True)]
        self.at, self.training = 0, setup.training
        optimizer = nn.optim.SGD(weights, setup.rate, momentum=MOMENTUM)

        def step(x: Any, t: Any) -> Any:
            optimizer.zero_grad()
            logits, *heads = net(x)
            loss = sum((HEAD_WEIGHT * head.cross_entropy(t) for head in heads), logits.cross_entropy(t))
            loss.backward()
            moving = [value for pair in net.statistics for value in pair]
            return loss.realize(*optimizer.schedule_step(), *moving)

        def logits(x: Any, t: Any) -> Any:
            return net(x)[0].realize()

        self.run = TinyJit(step if setup.training else logits)

    def call(self) -> np.ndarray:
        return np.atleast_1d(self._call().numpy())

    def repeat(self, calls: int) -> None:
        for _ in range(calls):
            self._call()
        Device[Device.DEFAULT].synchronize()

    def _call(self) -> Any:
        batch = self.batches[self.at]
        self.at = (self.at + 1) % len(self.batches)
        with Context(TRAINING=int(self.training)):
            return self.run(*batch)


def build(contender: Contender, setup: Setup) -> Tinygrad:
    """tinygrad's contender, its network built."""
    return Tinygrad(contender, setup)
