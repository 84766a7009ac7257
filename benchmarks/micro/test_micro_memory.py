"""Kernels whose time is that of memory: elementwise work, reductions, softmax, losses, pooling.

Bytes are counted once per element that has to be read or written, whatever the kernels do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from layer_shapes import LARGE, SMALL

import kernelwright as kw

pytestmark = pytest.mark.benchmark(max_time=0.5, min_rounds=3)
SIZES = {"cached": (64, 1024), "memory": (4096, 4096)}
ELEMENTWISE: dict[str, tuple[Callable[..., kw.Tensor], int]] = {
    "relu": (kw.relu, 1),
    "tanh": (kw.tanh, 1),
    "exp": (kw.exp, 1),
    "add": (lambda a, b: a + b, 2),
    "gelu": (kw.gelu, 1),
    "bias and relu": (lambda a: kw.relu(a + a[0]), 1),
    "transpose": (lambda a: a.T * 2.0, 1),
}
REDUCTIONS: dict[str, Callable[[kw.Tensor], kw.Tensor]] = {
    "sum of rows": lambda x: x.sum(1),
    "sum of columns": lambda x: x.sum(0),
    "sum of all": lambda x: x.sum(),
    "max of rows": lambda x: x.max(1),
    "argmax of rows": lambda x: kw.argmax(x, 1),
}
POOLS = {
    "lenet5": (SMALL, 6, 28, 2, 2, 0),
    "alexnet": (LARGE, 96, 55, 3, 2, 0),
    "resnet18": (LARGE, 64, 112, 3, 2, 1),
    "vgg16": (LARGE, 64, 224, 2, 2, 0),
}


def count(*tensors: kw.Tensor) -> int:
    """Bytes of float32."""
    return sum(4 * int(np.prod(t.shape)) for t in tensors)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name: str, size: str, operand: Any, measure: Any) -> None:
    f, arity = ELEMENTWISE[name]
    xs = [operand(*SIZES[size]) for _ in range(arity)]
    y = f(*xs)
    measure([y], nbytes=count(*xs, y))


@pytest.mark.parametrize("size", SIZES)
def test_momentum_update(size: str, operand: Any, measure: Any) -> None:
    w, v, g = (operand(*SIZES[size]) for _ in range(3))
    step = v * 0.9 + g
    measure({v: step, w: w - step * 0.01}, nbytes=count(w, v, g, w, v))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction(name: str, size: str, operand: Any, measure: Any) -> None:
    x = operand(*SIZES[size])
    y = REDUCTIONS[name](x)
    measure([y], nbytes=count(x, y))


@pytest.mark.parametrize("shape", [(SMALL, 10), (SMALL, 1000), (1024, 4096)], ids=str)
@pytest.mark.parametrize("name", ["softmax", "layer norm"])
def test_rows(name: str, shape: tuple[int, int], operand: Any, measure: Any) -> None:
    x = operand(*shape)
    y = kw.softmax(x) if name == "softmax" else kw.layer_norm(x, operand(shape[1]), operand(shape[1]))
    measure([y], nbytes=count(x, y))


@pytest.mark.parametrize("shape", [(SMALL, 10), (SMALL, 1000), (1024, 4096)], ids=str)
def test_softmax_cross_entropy_and_gradient(shape: tuple[int, int], operand: Any, measure: Any) -> None:
    x = operand(*shape)
    labels = kw.variable("labels", (np.arange(shape[0]) % shape[1]).astype("int32"))
    loss = kw.cross_entropy(x, labels)
    g = kw.grad(loss, x)
    measure([loss, g], nbytes=count(x, g))


@pytest.mark.parametrize("what", ["forward", "gradient"])
@pytest.mark.parametrize("kind", [kw.max_pool, kw.avg_pool], ids=["max", "avg"])
@pytest.mark.parametrize("network", POOLS)
def test_pooling(network: str, kind: Any, what: str, operand: Any, measure: Any) -> None:
    batch, channels, size, window, stride, pad = POOLS[network]
    x = operand(batch, channels, size, size)
    y = kind(x, window, stride, pad)
    if what == "forward":
        measure([y], nbytes=count(x, y))
    else:
        g = kw.vjp(y, x, operand(*y.shape))
        measure([g], nbytes=count(y, g) + (count(x) if kind is kw.max_pool else 0))
