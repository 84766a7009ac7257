"""The smallest change towards a class: c |r|^2 + loss(x + r, class) minimised inside the box, for the best c.

The penalty method of Szegedy et al. 2013 (arXiv:1312.6199, section 4.1). All images go through it at once, each with
its own c and its own L-BFGS (`boxed_lbfgs`); the network's losses and gradients are one program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.autodiff import grad
from ...compiler.graph.functions import log_softmax
from ...compiler.graph.ops.elementwise import abs_, where
from ...compiler.graph.ops.indexing import one_hot
from ...compiler.graph.tensor import Tensor, input
from ...compiler.pipeline import compile
from ..checks import POSITIVE, number, whole
from .attack import Attack, checked, classified, outcome
from .bounds import Box, edges
from .boxed_lbfgs import Objective, minimised
from .explain import checked_classes
from .features import Network

MARGIN = 1e-4
"""By what part of the greatest output the target's has to be above all others, so that rounding decides nothing."""
FACTOR = 10.0
"""Between one c and the next, as long as they all succeed or all fail."""

Losses = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""From points (n, d): each one's cross-entropy for its target (n,), the gradients (n, d), and by what part of the
greatest output the target's is above all others (n,)."""


def lbfgs_attack(
    network: Network,
    images: Any,
    targets: Any = None,
    start: float = 0.1,
    searches: int = 10,
    evaluations: int = 50,
    box: Box = (0.0, 1.0),
    device: str = "cpu",
    threads: int | None = None,
) -> Attack:
    """The smallest change in the Euclidean sense that makes the network say `targets` (Szegedy et al. 2013).

    images: float array (n, channels, height, width) inside the box. targets: integers (n,), by default each image's
    second most probable class. start: the first c, the weight of the change's squared length against the
    cross-entropy; each image looks for the greatest c that succeeds in `searches` minimisations from the image, of
    `evaluations` evaluations each. The box is kept by projection, to the last bit.

    An image's result is the nearest of all points evaluated that the network takes for the target; where none was, it
    is the image itself. So `(attack.after == targets).mean()` is the success rate, and `attack.distortion` the paper's
    measure of the change. Raises InputError for images or targets that do not fit, SettingError for other settings.
    """
    pixels, limits = checked(images, box)
    rounds, each = whole("attack: searches", searches), whole("attack: evaluations", evaluations)
    weight = np.full(len(pixels), number("attack: start", start, POSITIVE))
    low, high = edges(limits, pixels.dtype)
    before = classified(network, pixels, device, threads)
    aims = runners_up(network, pixels, device, threads) if targets is None else targets
    aims = checked_classes("attack", aims, len(pixels))
    search = _Search(pixels.reshape(len(pixels), -1), _losses(network, pixels, aims, device, threads))
    least, most = np.zeros(len(pixels)), np.full(len(pixels), np.inf)
    for _ in range(rounds):
        there = search.reached(minimised(search.objective(weight), search.origin, low, high, each))
        least, most = np.where(there, weight, least), np.where(there, most, weight)
        weight = np.where(least == 0, most / FACTOR, np.where(most == np.inf, least * FACTOR, np.sqrt(least * most)))
    return outcome(network, pixels, search.nearest.reshape(pixels.shape), before, device, threads)


def runners_up(network: Network, pixels: np.ndarray, device: str = "cpu", threads: int | None = None) -> np.ndarray:
    """(n,): the class with the second greatest output for each image. Raises InputError for a network of one class."""
    x = input("images", (None, *pixels.shape[1:]), pixels.dtype)
    outputs = compile([x], network(x), device=device, threads=threads)(pixels)
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise InputError(f"attack: the network gives {outputs.shape}, not scores (n, classes) of two classes or more")
    second: np.ndarray = np.argsort(-outputs, 1, kind="stable")[:, 1]
    return second


class _Search:
    """The points that the minimisations evaluate. origin, nearest: (n, d), the images and the nearest that succeed."""

    def __init__(self, origin: np.ndarray, losses: Losses):
        self.origin, self.losses = origin, losses
        self.nearest, self.length = origin.copy(), np.full(len(origin), np.inf)

    def objective(self, weight: np.ndarray) -> Objective:
        """c |r|^2 + loss for each image's c, which also notes what it sees."""

        def evaluated(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            loss, slope, lead = self.losses(points)
            change = points.astype("float64") - self.origin
            length = (change * change).sum(1)
            nearer = (lead > MARGIN) & (length < self.length)
            self.nearest = np.where(nearer[:, None], points, self.nearest)
            self.length = np.where(nearer, length, self.length)
            return loss + weight * length, slope + 2 * weight[:, None] * change

        return evaluated

    def reached(self, points: np.ndarray) -> np.ndarray:
        """(n,) of bool: whether the network takes these points for the targets."""
        found: np.ndarray = self.losses(points)[2] > MARGIN
        return found


def _losses(network: Network, pixels: np.ndarray, aims: np.ndarray, device: str, threads: int | None) -> Losses:
    """For the images' targets, as one program."""
    x, wanted = input("images", pixels.shape, pixels.dtype), input("targets", aims.shape, aims.dtype)
    loss, lead = _told(network(x), wanted)
    program = compile([x, wanted], [loss, grad(loss.sum(), x), lead], device=device, threads=threads)

    def evaluated(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values, slopes, leads = program(points.reshape(pixels.shape), aims)
        return values.astype("float64"), slopes.reshape(points.shape).astype("float64"), leads

    return evaluated


def _told(outputs: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """(n,) each: the cross-entropy, and how far the target's output is above the others, relative to the greatest."""
    mine = one_hot(wanted, outputs.shape[1], outputs.dtype)  # type: ignore[arg-type]
    loss = -(log_softmax(outputs) * mine).sum(1)
    others = where(mine > 0, float("-inf"), outputs).max(1)
    return loss, ((outputs * mine).sum(1) - others) / (abs_(outputs).max(1) + 1e-30)
