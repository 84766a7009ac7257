"""Which pixels a score depends on: maps made of gradients, each a graph of a few lines over `kw.grad`.

All take (network, x, classes): the network, images (batch, channels, height, width) as a tensor, and the class of each
whose score is explained, integers (batch,). The network is called as in inference, where an image's scores are its own
affair, so that one gradient of the sum of scores serves a whole batch. Leans on `features` for layers by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...compiler.errors import ShapeError
from ...compiler.graph.autodiff import Rules, grad
from ...compiler.graph.node import user_location
from ...compiler.graph.ops.elementwise import abs_, relu, where
from ...compiler.graph.ops.indexing import one_hot
from ...compiler.graph.ops.random import Generator
from ...compiler.graph.tensor import Tensor, as_tensor, broadcast_to
from ..checks import NOT_NEGATIVE, number, whole
from ..checks import seed as checked_seed
from .features import Network, features, layers

GUIDED: Rules = {"relu": lambda node, g: [where(node <= 0, 0, relu(g))]}
"""Back through a relu only where its value and the gradient are above 0 (Springenberg et al. 2014)."""
DECONVOLVED: Rules = {"relu": lambda node, g: [relu(g)]}
"""Back through a relu only where the gradient is above 0, whatever its value (Zeiler and Fergus 2013)."""


def score(network: Network, x: Tensor, classes: Tensor) -> Tensor:
    """(batch,): the network's output for the class of each image."""
    outputs = network(x)
    if outputs.rank != 2 or not isinstance(outputs.shape[1], int):
        raise ShapeError(f"the network gives {outputs.brief()}, not scores (batch, classes) (at {user_location()})")
    return (outputs * one_hot(classes, outputs.shape[1], outputs.dtype)).sum(1)


def gradient(network: Network, x: Tensor, classes: Tensor, rules: Rules | None = None) -> Tensor:
    """The gradient of the score by the image, of the shape of `x`. rules: as in `kw.grad`."""
    result: Tensor = grad(score(network, x, classes).sum(), x, rules)
    return result


def saliency(network: Network, x: Tensor, classes: Tensor) -> Tensor:
    """The gradient's magnitude, the greatest of the channels at each pixel: (batch, 1, height, width) (Simonyan,
    Vedaldi, Zisserman 2013, arXiv:1312.6034, section 3.1)."""
    return abs_(gradient(network, x, classes)).max(1, keepdims=True)


def gradient_times_input(network: Network, x: Tensor, classes: Tensor) -> Tensor:
    """The gradient times the image, of its shape (Shrikumar et al. 2016, arXiv:1605.01713): what each pixel adds to
    the score of a network that is linear and has no bias."""
    return gradient(network, x, classes) * x


def guided_backpropagation(network: Network, x: Tensor, classes: Tensor) -> Tensor:
    """The gradient in which every `kw.relu` lets through what is above 0 going forward and back, of the shape of `x`
    (Springenberg et al. 2014, arXiv:1412.6806). Where a relu's value is read several times, the sum of what comes back
    is what has to be above 0."""
    return gradient(network, x, classes, GUIDED)


def deconvolution(network: Network, x: Tensor, classes: Tensor) -> Tensor:
    """The gradient in which every `kw.relu` lets through what is above 0 coming back, of the shape of `x`: the
    deconvolutional network of Zeiler and Fergus 2013 (arXiv:1311.2901), poolings reversed by their switches."""
    return gradient(network, x, classes, DECONVOLVED)


def smooth_grad(
    network: Network, x: Tensor, classes: Tensor, samples: int = 32, noise: float = 0.15, seed: int = 0
) -> Tensor:
    """The mean gradient over `samples` noisy copies of each image, of the shape of `x` (Smilkov et al. 2017,
    arXiv:1706.03825). noise: the deviation of the normal noise, as a part of the image's range of values.

    The same noise in every run; all copies are one batch, so that memory grows with `samples`.
    """
    count, part = whole("smooth_grad: samples", samples), number("smooth_grad: noise", noise, NOT_NEGATIVE)
    drawn = Generator(checked_seed("smooth_grad: seed", seed)).normal((count, *x.shape)).astype(x.dtype)
    inside = tuple(range(1, x.rank))
    spread = x.max(inside, keepdims=True) - x.min(inside, keepdims=True)
    return _mean_gradient(network, x + drawn * (spread * part), classes)


def integrated_gradients(network: Network, x: Tensor, classes: Tensor, steps: int = 64, baseline: Any = 0.0) -> Tensor:
    """The image's difference from `baseline` times the mean gradient on the straight way from there, of the shape of
    `x` (Sundararajan, Taly, Yan 2017, arXiv:1703.01365). They add up to the difference in scores.

    baseline: a number, or an array that broadcasts to the images. steps: points of the midpoint rule, whose error
    falls with their square on smooth networks; all points are one batch, so that memory grows with them.
    """
    count, start = whole("integrated_gradients: steps", steps), as_tensor(baseline, x.dtype)
    way = np.reshape((np.arange(count) + 0.5) / count, (count, *(1,) * x.rank))
    change = x - start
    return change * _mean_gradient(network, start + change * as_tensor(way.astype(x.dtype)), classes)


def grad_cam(network: Network, x: Tensor, classes: Tensor, layer: str | None = None) -> Tensor:
    """relu of the sum of a layer's channels, each weighted by its mean gradient, enlarged to the image's size:
    (batch, 1, height, width) (Selvaraju et al. 2016, arXiv:1610.02391, equations 1 and 2).

    layer: as in `features`, by default the last whose value has height and width. Raises ShapeError for one that has
    none, SettingError where there is no such layer.
    """
    if layer is None:
        maps = [value for value in layers(network, x).values() if value.rank == 4]
        value = maps[-1] if maps else x
    else:
        value = features(network, x, layer)
    if value.rank != 4 or value is x:
        what = "no layer has" if layer is None else f"{layer} is {value.brief()}, not"
        raise ShapeError(f"grad_cam: {what} (batch, channels, height, width), which is needed (at {user_location()})")
    weights = grad(score(network, x, classes).sum(), value).mean((2, 3), keepdims=True)
    return enlarged(relu((weights * value).sum(1, keepdims=True)), x.shape[2:])


def enlarged(maps: Tensor, size: Sequence[Any]) -> Tensor:
    """Maps (batch, channels, height, width) at another size (height, width), interpolated linearly between the middles
    of pixels; the outermost go on to the edge."""
    rows, columns = (
        as_tensor(_between(old, new).astype(maps.dtype)) for old, new in zip(maps.shape[2:], size, strict=True)
    )
    return rows @ maps @ columns.T


def _between(old: Any, new: Any) -> np.ndarray:
    """(new, old): what each of `old` places in a row adds to each of `new` in the same length."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)[:, None]
    shares: np.ndarray = np.maximum(0, 1 - np.abs(places - np.arange(old)))
    return shares


def _mean_gradient(network: Network, copies: Tensor, classes: Tensor) -> Tensor:
    """The mean over the first axis of the gradients at `copies` (count, batch, ...), all of them one batch."""
    count, batch, *image = copies.shape
    points = copies.reshape(count * batch, *image)
    repeated = broadcast_to(classes, (count, batch)).reshape(count * batch)
    return gradient(network, points, repeated).reshape(count, batch, *image).mean(0)
