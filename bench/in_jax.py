"""JAX as a contender: the whole step jitted, its state donated; or many steps in one call by `lax.scan`.

Leans on jax, and on the network's graph as `graph.py` wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from .contenders import HEAD_WEIGHT, MOMENTUM, Contender, Setup

Statistics = list[tuple[Any, Any]]


class Network:
    """The graph as a function. Images are (N, C, H, W), or (N, H, W, C) with `last`; weights are given as PyTorch's."""

    def __init__(self, graph: dict[str, Any], training: bool, last: bool):
        self.nodes, self.outputs, self.training, self.last = graph["nodes"], graph["outputs"], training, last
        self.layout = ("NHWC", "HWIO", "NHWC") if last else ("NCHW", "OIHW", "NCHW")
        self.channel = 3 if last else 1
        self.space = (1, 2) if last else (2, 3)

    def weights(self, given: list[np.ndarray]) -> list[Any]:
        """The weights on the device, in this layout."""
        return [jnp.asarray(w.transpose(2, 3, 1, 0) if self.last and w.ndim == 4 else w) for w in given]

    def statistics(self, weights: list[Any]) -> Statistics:
        """Every BatchNorm's running mean and variance at the start."""
        norms = [weights[n["parameters"][0]] for n in self.nodes if n["op"] == "batchnorm"]
        return [(jnp.zeros_like(scale), jnp.ones_like(scale)) for scale in norms]

    def __call__(self, weights: list[Any], statistics: Statistics, x: Any) -> tuple[list[Any], Statistics]:
        """(the outputs, the statistics after this batch)."""
        values: dict[str, Any] = {}
        after = list(statistics)
        for node in self.nodes:
            args = [values[name] for name in node["inputs"]] or [x]
            own = [weights[i] for i in node["parameters"]]
            if node["op"] == "batchnorm":
                i = node["statistics"]
                values[node["name"]], after[i] = self._batchnorm(node, args[0], own, statistics[i])
            else:
                values[node["name"]] = getattr(self, "_" + node["op"])(node, args, own)
        return [values[name] for name in self.outputs], after

    def _input(self, node: Any, args: Any, own: Any) -> Any:
        return args[0]

    _identity = _input

    def _relu(self, node: Any, args: Any, own: Any) -> Any:
        return jax.nn.relu(args[0])

    def _tanh(self, node: Any, args: Any, own: Any) -> Any:
        return jnp.tanh(args[0])

    def _add(self, node: Any, args: Any, own: Any) -> Any:
        return reduce(jnp.add, args)

    def _concat(self, node: Any, args: Any, own: Any) -> Any:
        return jnp.concatenate(args, self.channel)

    def _flatten(self, node: Any, args: Any, own: Any) -> Any:
        x = args[0].transpose(0, 3, 1, 2) if self.last and args[0].ndim == 4 else args[0]
        return x.reshape(x.shape[0], -1)

    def _linear(self, node: Any, args: Any, own: Any) -> Any:
        return args[0] @ own[0].T + (own[1] if len(own) > 1 else 0.0)

    def _conv(self, node: Any, args: Any, own: Any) -> Any:
        pads = [(p, p) for p in node["pad"]]
        y = lax.conv_general_dilated(
            args[0], own[0], node["stride"], pads, dimension_numbers=self.layout, feature_group_count=node["groups"]
        )
        return y + self._channels(own[1]) if len(own) > 1 else y

    def _maxpool(self, node: Any, args: Any, own: Any) -> Any:
        return self._window(node, args[0], -jnp.inf, lax.max)

    def _avgpool(self, node: Any, args: Any, own: Any) -> Any:
        return self._window(node, args[0], 0.0, lax.add) / (node["window"][0] * node["window"][1])

    def _globalavgpool(self, node: Any, args: Any, own: Any) -> Any:
        return args[0].mean(self.space, keepdims=True)

    def _lrn(self, node: Any, args: Any, own: Any) -> Any:
        window, pads = [1, 1, 1, 1], [(0, 0)] * 4
        window[self.channel] = node["size"]
        pads[self.channel] = (node["size"] // 2, (node["size"] - 1) // 2)
        squares = lax.reduce_window(args[0] ** 2, 0.0, lax.add, window, (1, 1, 1, 1), pads) / node["size"]
        return args[0] * (node["k"] + node["alpha"] * squares) ** -node["beta"]

    def _slice(self, node: Any, args: Any, own: Any) -> Any:
        cuts = self._axes([slice(*steps) for steps in node["steps"]], slice(None))
        return args[0][tuple(cuts)]

    def _pad(self, node: Any, args: Any, own: Any) -> Any:
        zeros = node["zeros"]  # of the last axis first
        pairs = [(zeros[i], zeros[i + 1]) for i in range(0, len(zeros), 2)]
        return jnp.pad(args[0], self._axes([(0, 0)] * (4 - len(pairs)) + pairs[::-1], (0, 0)))

    def _batchnorm(self, node: Any, x: Any, own: Any, before: tuple[Any, Any]) -> tuple[Any, tuple[Any, Any]]:
        mean, var = before
        if self.training:
            axes = (0, *self.space)
            mean, var = x.mean(axes), x.var(axes)
            count = x.size // mean.size
            keep, new = 1 - node["momentum"], node["momentum"]
            unbiased = var * (count / (count - 1))
            before = (before[0] * keep + mean * new, before[1] * keep + unbiased * new)
        scale = own[0] * lax.rsqrt(var + node["eps"])
        return x * self._channels(scale) + self._channels(own[1] - mean * scale), before

    def _window(self, node: Any, x: Any, start: float, function: Any) -> Any:
        pads = []
        for n, w, s, p in zip(
            (x.shape[i] for i in self.space), node["window"], node["stride"], node["pad"], strict=True
        ):
            short = (w - n - 2 * p) % s if node["ceil"] else 0  # elements missing in the last window
            pads.append((p, p + short))
        window, stride = self._axes([1, 1, *node["window"]], 1), self._axes([1, 1, *node["stride"]], 1)
        return lax.reduce_window(x, start, function, window, stride, self._axes([(0, 0), (0, 0), *pads], (0, 0)))

    def _axes(self, each: list[Any], rest: Any) -> list[Any]:
        """One thing per axis, given in the order N, C, H, W, in this layout's order."""
        n, c, h, w = [*each, *[rest] * (4 - len(each))]
        return [n, h, w, c] if self.last else [n, c, h, w]

    def _channels(self, v: Any) -> Any:
        return v if self.last else v.reshape(-1, 1, 1)


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def _step(net: Network, rate: float) -> Callable[[Any, Any], Any]:
    """(state, batch) -> (state, loss): forward, backward, SGD with momentum."""

    def loss_of(weights: Any, statistics: Any, x: Any, t: Any) -> Any:
        (logits, *heads), after = net(weights, statistics, x)
        losses = [HEAD_WEIGHT * _cross_entropy(head, t) for head in heads]
        return sum(losses, _cross_entropy(logits, t)), after

    def step(state: Any, batch: Any) -> Any:
        weights, momenta, statistics = state
        (loss, after), grads = jax.value_and_grad(loss_of, has_aux=True)(weights, statistics, *batch)
        momenta = [MOMENTUM * m + g for m, g in zip(momenta, grads, strict=True)]
        weights = [w - rate * m for w, m in zip(weights, momenta, strict=True)]
        return (weights, momenta, after), loss

    return step


class Jax:
    """A jitted program with its state; one step a call, or one over all batches."""

    def __init__(self, contender: Contender, setup: Setup):
        net = Network(
            json.loads((Path(setup.folder) / "graph.json").read_text()), setup.training, contender.channels_last
        )
        weights = net.weights(setup.weights())
        self.state: Any = (weights, [jnp.zeros_like(w) for w in weights], net.statistics(weights))
        if not setup.training:
            self.state = (weights, None, self.state[2])
        images, labels = setup.batches()
        if contender.channels_last and images.ndim == 5:
            images = images.transpose(0, 1, 3, 4, 2)
        stack = (jnp.asarray(images), jnp.asarray(labels))
        self.batches = [stack] if contender.many_steps else [(x, t) for x, t in zip(*stack, strict=True)]
        self.at, self.training, self.many = 0, setup.training, contender.many_steps

        if setup.training:
            one = _step(net, setup.rate)
            self.run = jax.jit(partial(lax.scan, one) if self.many else one, donate_argnums=0)
        else:

            def logits(state: Any, batch: Any) -> Any:
                return net(state[0], state[2], batch[0])[0][0]

            def several(state: Any, batches: Any) -> Any:
                return lax.map(partial(logits, state), batches)

            self.run = jax.jit(several if self.many else logits)

    def call(self) -> np.ndarray:
        result = np.asarray(self._call())
        if self.training:
            return np.atleast_1d(result)
        return result[0] if self.many else result

    def repeat(self, calls: int) -> None:
        result = None
        for _ in range(calls):
            result = self._call()
        jax.block_until_ready((result, self.state))

    def _call(self) -> Any:
        batch = self.batches[self.at]
        self.at = (self.at + 1) % len(self.batches)
        if not self.training:
            return self.run(self.state, batch)
        self.state, result = self.run(self.state, batch)
        return result


def build(contender: Contender, setup: Setup) -> Jax:
    """JAX's contender, its network built."""
    return Jax(contender, setup)
