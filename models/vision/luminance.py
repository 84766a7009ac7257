"""Luminance apart from colour: a picture whose brightness changes while its hue and saturation, as YIQ has them, stay.

A change of Y alone is the same change of red, green and blue, since their column for Y in the inverse of YIQ is 1.
NumPy only.
"""

from __future__ import annotations

import numpy as np

from ...compiler.errors import InputError
from ..images.colour import LUMA
from .bounds import Box, check_in_box, edges


class Colours:
    """The pixels that `style` changes: all numbers of a picture (channels, height, width).

    own: those of the picture, with an axis of 1 before. limits: (least, greatest) that each may have. Called with
    pixels between them, it gives the picture (channels, height, width).
    """

    def __init__(self, picture: np.ndarray, box: Box):
        self.picture, self.own = picture, picture[None]
        self.limits: tuple[np.ndarray, np.ndarray] = edges(box, picture.dtype)

    def seen(self) -> np.ndarray:
        """(channels, height, width): what the network is to see of the picture."""
        return self.picture

    def styled(self, style: np.ndarray) -> np.ndarray:
        """(channels, height, width): what the network is to see of a style."""
        return style

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        result: np.ndarray = pixels[0]
        return result


class Luminance(Colours):
    """The same for the luminance alone, (1, 1, height, width); its limits keep every colour in the box.

    Raises InputError for other than 3 channels, and for a picture outside of the box.
    """

    def __init__(self, picture: np.ndarray, box: Box):
        check_in_box(picture, box, "style: keep_colour")
        self.picture, self.own = picture, luminance(picture)[None]
        self.edges = edges(box, picture.dtype)
        low, high = (edge + self.own for edge in self.edges)
        self.limits = low - picture.min(0), high - picture.max(0)

    def seen(self) -> np.ndarray:
        return np.repeat(self.own[0], 3, 0)

    def styled(self, style: np.ndarray) -> np.ndarray:
        """With the mean and the deviation of the picture's luminance."""
        y = luminance(style)
        factor = self.own.std() / max(y.std(), np.finfo(y.dtype).tiny)
        return np.repeat((y - y.mean()) * factor + self.own.mean(), 3, 0)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        changed: np.ndarray = np.clip(self.picture + (pixels - self.own)[0], *self.edges)
        return changed


def luminance(picture: np.ndarray) -> np.ndarray:
    """(1, height, width): Y of YIQ. Raises InputError for other than 3 channels."""
    if len(picture) != 3:
        raise InputError(f"style: keep_colour needs pictures of 3 channels, red, green and blue, not {len(picture)}")
    y: np.ndarray = np.tensordot(np.array(LUMA), picture, 1)[None].astype(picture.dtype)
    return y
