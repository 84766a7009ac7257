"""What the later Inception networks are made of: convolutions with a batch norm, and poolings that shrink the image.

The names follow the papers' figures: where these mark a convolution with "V", its window stays inside the image
(`pad=0`), elsewhere the size is kept at stride 1. Leans on `layers`.
"""

from __future__ import annotations

from ...compiler.graph.ops.elementwise import relu
from ...compiler.graph.tensor import Tensor
from .. import initializers as init
from ..layer import Layer
from ..layers import AvgPool, BatchNorm, Conv, Function, MaxPool, Parallel, Residual, Sequential, as_layer

Window = int | tuple[int, int]
EPS = 1e-3
"""Of the batch norms, as in the authors' code; the papers do not say."""


def conv(filters: int, window: Window, stride: int = 1, pad: int | None = None) -> tuple[Layer | Function, ...]:
    """Convolution without bias, batch norm, relu; `pad` None keeps the size at stride 1. Weights start as He's."""
    margins: Window = pad if pad is not None else _half(window)
    convolution = Conv(filters, window, stride=stride, pad=margins, bias=False, weight_init=init.he_normal)
    return convolution, BatchNorm(eps=EPS), relu


def branch(*steps: tuple[Layer | Function, ...]) -> Sequential:
    """Convolutions of `conv` (or layers in a tuple) one after another."""
    return Sequential(*(layer for step in steps for layer in step))


def pooled(filters: int) -> Sequential:
    """3x3 average pooling at stride 1 and a 1x1 convolution; the border counts zeros, as in torchvision."""
    return branch((AvgPool(3, stride=1, pad=1),), conv(filters, 1))


def fork(filters: int, first: Window, second: Window) -> tuple[Layer]:
    """Two convolutions side by side, the ends of a branch that widens."""
    return (Parallel(branch(conv(filters, first)), branch(conv(filters, second))),)


def shrinking() -> MaxPool:
    """3x3 max pooling of stride 2 inside the image: 35, 17, 8."""
    return MaxPool(3, stride=2)


class Scale(Layer):
    """A constant times its input: the scaling of residuals, before they are added (arXiv:1602.07261, section 3.3)."""

    kind = "scale"

    def __init__(self, factor: float, name: str | None = None):
        super().__init__(name)
        self.factor = factor

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return x * self.factor


def residual(channels: int, scale: float, *branches: Layer, last: bool = False, name: str) -> tuple[Layer, ...]:
    """relu(x + scale * linear 1x1 convolution of the branches), with a bias and no norm; `last` leaves the relu out."""
    widen = Conv(channels, 1, weight_init=init.he_normal)
    block = Residual(Sequential(Parallel(*branches), widen, Scale(scale)), name=name)
    return (block,) if last else (block, as_layer(relu))


def _half(window: Window) -> Window:
    return window // 2 if isinstance(window, int) else (window[0] // 2, window[1] // 2)
