"""One change that fools a network on most images: sums of smallest changes, kept inside a ball.

Moosavi-Dezfooli, Fawzi, Fawzi and Frossard 2016 (arXiv:1610.08401, algorithm 1). Leans on `deepfool`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.graph.ops.reduce import argmax
from ...compiler.graph.tensor import input
from ...compiler.pipeline import compile
from ..checks import NOT_NEGATIVE, PROBABILITY, choice, number, whole
from ..checks import seed as checked_seed
from .attack import Attack, checked, outcome
from .bounds import NORMS, Box, ball, edges, inside
from .deepfool import Borders
from .features import Network


@dataclass(frozen=True, eq=False)
class Universal:
    """change: (channels, height, width), what is added to every image; rates: the part of the given images whose class
    it changed after each pass, the greatest of which is its own; box: what images with it are clipped to."""

    change: np.ndarray
    rates: tuple[float, ...]
    box: Box

    def on(self, network: Network, images: Any, device: str = "cpu", threads: int | None = None) -> Attack:
        """These images, (n, channels, height, width) inside the box, with the change added, as an attack on a network,
        which need not be the one that it was made for."""
        pixels, _ = checked(images, self.box)
        before = _classes(network, pixels, device, threads)(pixels)
        return outcome(network, pixels, added(pixels, self.change, self.box), before, device, threads)


def universal(
    network: Network,
    images: Any,
    epsilon: float,
    norm: str = "linf",
    rate: float = 0.8,
    passes: int = 10,
    steps: int = 10,
    overshoot: float = 0.02,
    seed: int = 0,
    box: Box = (0.0, 1.0),
    device: str = "cpu",
    threads: int | None = None,
) -> Universal:
    """One change of size `epsilon` at most, in this `norm` ("linf" or "l2"), that changes the class of most images.

    images: float array (n, channels, height, width) inside the box. Image by image, in an order drawn anew for each
    pass, whatever is not fooled yet adds its own smallest change (`deepfool`, of so many `steps`), after which the sum
    is brought back into the ball. Passes end when the part `rate` of the images is fooled, or after `passes`; the
    change is the best of those at their ends. Its size is at most `epsilon` to the last bit, and images with it stay
    in the `box`. Raises InputError for images that do not fit, SettingError for other settings.
    """
    pixels, limits = checked(images, box)
    radius, kind = number("attack: epsilon", epsilon, NOT_NEGATIVE), choice("attack: norm", norm, NORMS)
    wanted, most = number("attack: rate", rate, PROBABILITY), whole("attack: passes", passes)
    count, rng = whole("attack: steps", steps), np.random.default_rng(checked_seed("attack: seed", seed))
    classes = _classes(network, pixels, device, threads)
    borders = Borders(network, pixels[:1].shape, pixels.dtype, overshoot, limits, device, threads)
    before, change = classes(pixels), np.zeros_like(pixels[0])
    best, rates = change, list[float]()
    while len(rates) < most and max(rates, default=-1.0) < wanted:
        for i in rng.permutation(len(pixels)):
            own, moved = before[i : i + 1], added(pixels[i : i + 1], change, limits)
            if classes(moved) == own:
                further = borders.crossed(moved, own, count) - moved
                change = _into_ball(change + further[0], radius, kind)
        rates.append(float((classes(added(pixels, change, limits)) != before).mean()))
        best = change if rates[-1] == max(rates) else best
    return Universal(best, tuple(rates), limits)


def added(pixels: np.ndarray, change: np.ndarray, box: Box) -> np.ndarray:
    """The images with the change, inside the box, none of them further from its own than the change is large."""
    moved = np.clip(pixels + change, *edges(box, pixels.dtype))
    exact = change.astype("float64")
    moved = inside(pixels, moved, float(np.abs(exact).max()), "linf")
    return inside(pixels, moved, float(np.sqrt((exact * exact).sum())), "l2")


def _into_ball(change: np.ndarray, radius: float, norm: str) -> np.ndarray:
    """The nearest change whose size is `radius` at most."""
    nothing = np.zeros_like(change[None])
    if norm == "linf":
        low, high = ball(nothing, radius, (-np.inf, np.inf))
        nearest: np.ndarray = np.clip(change, low[0], high[0])
        return nearest
    shorter: np.ndarray = inside(nothing, change[None], radius, norm)[0]
    return shorter


def _classes(network: Network, pixels: np.ndarray, device: str, threads: int | None) -> Any:
    """The program from such images to classes, for many calls."""
    x = input("images", (None, *pixels.shape[1:]), pixels.dtype)
    return compile([x], argmax(network(x), -1), device=device, threads=threads)
