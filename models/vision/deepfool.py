"""Changes to the nearest border between classes, with the network linearised anew in every step.

Moosavi-Dezfooli, Fawzi and Frossard 2015 (arXiv:1511.04599, algorithm 2). The steps are one native call, whose variable
is the way that each image has come. Leans on `attribution` for gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.graph.ops.elementwise import abs_, clip, maximum, sqrt, where
from ...compiler.graph.ops.indexing import one_hot
from ...compiler.graph.ops.reduce import argmax, argmin
from ...compiler.graph.ops.source import iota
from ...compiler.graph.tensor import Tensor, broadcast_to, input
from ...compiler.graph.variable import get_value, set_value, variable
from ...compiler.pipeline import compile
from ..checks import NOT_NEGATIVE, number, whole
from .attack import Attack, checked, classified, outcome
from .attribution import gradient
from .bounds import Box, edges
from .features import Network

TINY = 1e-30
"""In place of a length of 0, which float32 can divide by."""


def deepfool(
    network: Network,
    images: Any,
    steps: int = 50,
    overshoot: float = 0.02,
    box: Box = (0.0, 1.0),
    device: str = "cpu",
    threads: int | None = None,
) -> Attack:
    """The nearest border between classes, in the Euclidean sense, found by linearising the network anew in every step
    (Moosavi-Dezfooli, Fawzi, Frossard 2015, arXiv:1511.04599, algorithm 2). An image rests once its class changes.

    images: as in `pgd`. overshoot: by what part the sum of steps is lengthened, to come to lie behind the border.
    All classes' gradients are one batch, so that memory grows with their number. Pixels stay in the `box`, which the
    paper does not ask for. Raises what `pgd` raises.
    """
    pixels, limits = checked(images, box)
    count = whole("attack: steps", steps)
    before = classified(network, pixels, device, threads)
    borders = Borders(network, pixels.shape, pixels.dtype, overshoot, limits, device, threads)
    return outcome(network, pixels, borders.crossed(pixels, before, count), before, device, threads)


class Borders:
    """The steps for images of one shape (n, channels, height, width) and dtype, compiled once."""

    def __init__(
        self,
        network: Network,
        shape: tuple[int, ...],
        dtype: Any,
        overshoot: float,
        box: Box,
        device: str,
        threads: int | None,
    ):
        self.reach = 1 + number("attack: overshoot", overshoot, NOT_NEGATIVE)
        self.low, self.high = edges(box, dtype)
        self._rest, ends = np.zeros(shape, dtype), (float(self.low), float(self.high))
        self._way = variable("way", self._rest)
        x, own = input("images", shape, str(np.dtype(dtype))), input("own", (shape[0],), "int64")
        at = clip(x + self._way * self.reach, *ends)
        outputs = network(at)
        still = (argmax(outputs, -1) == own).reshape(-1, 1, 1, 1)
        new = where(still, self._way + _to_the_border(network, at, outputs, own, ends), self._way)
        self._program = compile([x, own], [outputs], {self._way: new}, device=device, threads=threads)

    def crossed(self, pixels: np.ndarray, own: np.ndarray, steps: int) -> np.ndarray:
        """The images after so many steps away from their `own` classes (n,)."""
        set_value(self._way, self._rest)
        self._program.run([pixels, own.astype("int64")], steps=steps)
        changed: np.ndarray = np.clip(
            pixels + get_value(self._way) * pixels.dtype.type(self.reach), self.low, self.high
        )
        return changed


def _to_the_border(network: Network, at: Tensor, outputs: Tensor, own: Tensor, box: Box) -> Tensor:
    """The shortest way from each image to a border of its class, as its tangent says, on which no pixel that has come
    to an edge of the box moves outward: the others have to go the whole way."""
    n, classes = outputs.shape
    points = broadcast_to(at, (classes, *at.shape)).reshape(classes * n, *at.shape[1:])
    each = broadcast_to(iota(classes, "int32").reshape(-1, 1), (classes, n))
    slopes = gradient(network, points, each.reshape(classes * n)).reshape(classes, *at.shape)
    mine = one_hot(own, classes, outputs.dtype)  # type: ignore[arg-type]
    apart = slopes - (slopes * mine.T.reshape(classes, n, 1, 1, 1)).sum(0)
    apart = where(((at <= box[0]) & (apart < 0)) | ((at >= box[1]) & (apart > 0)), 0.0, apart)
    gaps = abs_(outputs - (outputs * mine).sum(1, keepdims=True)).T
    lengths = maximum(sqrt((apart * apart).sum((2, 3, 4))), TINY)
    far = where(mine.T > 0, float("inf"), gaps / lengths)
    nearest = one_hot(argmin(far, 0), classes, outputs.dtype).T  # type: ignore[arg-type]
    share = where(nearest > 0, gaps / lengths / lengths, 0.0)
    return (apart * share.reshape(classes, n, 1, 1, 1)).sum(0)
