"""What all attacks share: what they give back, what they take, and the classes that a network says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.graph.ops.reduce import argmax
from ...compiler.graph.tensor import input
from ...compiler.pipeline import compile
from .bounds import Box, check_in_box, checked_box, distance
from .explain import checked_images
from .features import Network


@dataclass(frozen=True, eq=False)
class Attack:
    """images: (n, channels, height, width), the changed ones; before, after: (n,), the network's classes of the given
    images and of these; linf, l2: (n,) float64, the greatest change of a number and the Euclidean length of all."""

    images: np.ndarray
    before: np.ndarray
    after: np.ndarray
    linf: np.ndarray
    l2: np.ndarray

    @property
    def distortion(self) -> np.ndarray:
        """(n,) float64: the root of the mean square of an image's change, sqrt(sum((x' - x)^2) / numbers), by which
        Szegedy et al. 2013 (arXiv:1312.6199, section 4) measure it."""
        size: np.ndarray = self.l2 / np.sqrt(self.images[0].size)
        return size


def classified(network: Network, pixels: np.ndarray, device: str = "cpu", threads: int | None = None) -> np.ndarray:
    """(n,): the class with the greatest output for each image."""
    x = input("images", (None, *pixels.shape[1:]), pixels.dtype)
    found: np.ndarray = compile([x], argmax(network(x), -1), device=device, threads=threads)(pixels)
    return found


def checked(images: Any, box: Any) -> tuple[np.ndarray, Box]:
    """The images as an array, and the box. Raises InputError and SettingError for others."""
    pixels, limits = checked_images("attack", images), checked_box("attack", box)
    check_in_box(pixels, limits)
    return pixels, limits


def outcome(
    network: Network,
    pixels: np.ndarray,
    changed: np.ndarray,
    before: np.ndarray,
    device: str,
    threads: int | None,
) -> Attack:
    """What came of it: the network's classes of the changed images, and how far they are from the given ones."""
    after = classified(network, changed, device, threads)
    return Attack(changed, before, after, distance(pixels, changed, "linf"), distance(pixels, changed, "l2"))
