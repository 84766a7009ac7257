"""One activation projected down to pixels by a deconvolutional network (Zeiler and Fergus 2013, arXiv:1311.2901,
section 2.1): all others are set to 0, and the layers below are gone through backwards.

Going backwards, a max pooling puts its value where the maximum came from (its switch), which is its gradient; a relu
takes the positive part of what comes back, whatever went forward; a convolution applies its filters transposed, which
is its gradient. So that the projection is `kw.grad` under one rule. Leans on `attribution` for the rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.graph.autodiff import vjp
from ...compiler.graph.ops.elementwise import where
from ...compiler.graph.ops.reduce import argmax
from ...compiler.graph.ops.source import iota
from ...compiler.graph.tensor import Tensor, full, input
from ..checks import SettingError, whole
from .attribution import DECONVOLVED
from .explain import checked_images
from .features import Network, features
from .responses import channel_of, computed


@dataclass(frozen=True, eq=False)
class Projection:
    """maps: (n, channels, height, width), what of each image's pixels the activation is made of; positions: (n, 2), row
    and column of the activation in its layer, (n, 0) for a dense layer; values: (n,), the activations."""

    maps: np.ndarray
    positions: np.ndarray
    values: np.ndarray


def project(
    network: Network,
    images: Any,
    layer: str,
    channel: int,
    position: Sequence[int] | None = None,
    batch: int = 128,
    device: str = "cpu",
    threads: int | None = None,
) -> Projection:
    """What in each image excites one channel of a layer at one place, as the deconvolutional network shows it.

    images: float array (n, channels, height, width). layer: as in `features`; a dense layer's channel is one unit.
    position: (row, column) in the layer, by default where the channel is greatest in each image. `kw.relu` is gone
    through as in the paper; other ops, such as normalisations, by their gradients. A projection has the sign that
    leads up: pixels that are above 0 in it raise the activation, those below lower it. Raises InputError for other
    images, SettingError for a layer, channel or position that there is not.
    """
    pixels = checked_images("project", images)
    given = input("images", (1, *pixels.shape[1:]), pixels.dtype)
    one = channel_of("project", features(network, given, layer), layer, channel)
    shape = tuple(n for n in one.shape[1:] if isinstance(n, int))  # all of them: the image's sizes are numbers
    size, place = math.prod(shape), _place(layer, shape, position)

    def projected(x: Tensor) -> Sequence[Tensor]:
        flat = channel_of("project", features(network, x, layer), layer, channel).reshape(x.shape[0], size)
        chosen = argmax(flat, 1) if place is None else full((x.shape[0],), place, "int64")
        alone = where(iota(size, chosen.dtype) == chosen.reshape(-1, 1), flat, 0.0)
        return [vjp(flat, x, alone, DECONVOLVED), chosen, alone.sum(1)]

    maps, places, values = computed(projected, pixels, batch, device, threads)
    positions = np.stack(np.unravel_index(places, shape), 1) if shape else np.zeros((len(maps), 0), int)
    return Projection(maps, positions, values)


def _place(layer: str, shape: tuple[int, ...], position: Sequence[int] | None) -> int | None:
    """The place in the flattened layer, None where each image has its own."""
    if position is None or not shape:
        return 0 if not shape else None
    if len(position) != len(shape):
        raise SettingError(f"project: position in {layer} is (row, column), not {position!r}")
    row, column = (whole(f"project: position in {layer}", at, 0, n - 1) for at, n in zip(position, shape, strict=True))
    return row * shape[1] + column
