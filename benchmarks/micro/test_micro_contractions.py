"""Convolutions and dense layers of well-known networks: the forward pass and both gradients."""

from __future__ import annotations

from typing import Any

import pytest
from layer_shapes import CONVOLUTIONS, DENSE, Convolution, Dense

import kernelwright as kw

PASSES = ("forward", "by input", "by weight")


def label(layer: Convolution | Dense) -> str:
    return f"{layer.network}-{layer.layer}"


def result(y: kw.Tensor, x: kw.Tensor, w: kw.Tensor, what: str, operand: Any) -> kw.Tensor:
    """y, or what comes back from it to x or w."""
    return y if what == "forward" else kw.vjp(y, x if what == "by input" else w, operand(*y.shape))


@pytest.mark.benchmark(group="convolution", max_time=0.5, min_rounds=3)
@pytest.mark.parametrize("what", PASSES)
@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=label)
def test_convolution(layer: Convolution, what: str, operand: Any, measure: Any) -> None:
    x = operand(layer.batch, layer.channels, layer.size, layer.size)
    w = operand(layer.filters, layer.channels, layer.window, layer.window)
    y = kw.conv(x, w, stride=layer.stride, pad=layer.pad)
    assert y.shape[2] == layer.out
    measure([result(y, x, w, what, operand)], flops=layer.flops)


@pytest.mark.benchmark(group="dense", max_time=0.5, min_rounds=3)
@pytest.mark.parametrize("what", PASSES)
@pytest.mark.parametrize("layer", DENSE, ids=label)
def test_dense(layer: Dense, what: str, operand: Any, measure: Any) -> None:
    x, w = operand(layer.batch, layer.inputs), operand(layer.inputs, layer.outputs)
    measure([result(x @ w, x, w, what, operand)], flops=layer.flops)


@pytest.mark.benchmark(group="square product", max_time=0.5, min_rounds=3)
@pytest.mark.parametrize("n", [64, 256, 1024])
def test_square_product(n: int, operand: Any, measure: Any) -> None:
    measure([operand(n, n) @ operand(n, n)], flops=2 * n**3)
