"""An image held as its spectrum: ascent in it makes large shapes before small ones, and few of the high frequencies
that pixels are full of.

Each frequency's coefficient is divided by the frequency, as photographs have them, and colours are mixed from
decorrelated ones (Olah, Mordvintsev, Schubert 2017, "Feature Visualization", on preconditioning). The inverse Fourier
transform is that of real images, as matrix products along the two axes. Leans on `optimizers` for Adam.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.ops.elementwise import sigmoid
from ...compiler.graph.tensor import Tensor, as_tensor
from ...compiler.graph.variable import variable
from ...compiler.pipeline import compile
from ..images.colour import ColourPCA
from ..optimizers import Adam
from .bounds import Box

PHOTOGRAPHS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
"""Red, green and blue (rows) from three uncorrelated colours: a square root of the covariance of ImageNet's colours, as
published with Lucid, the software of Olah et al. 2017."""
SMALL = 0.1
"""As a part of the gradient's mean magnitude: coefficients with less move less, and rounding errors not at all."""
START = 0.01
"""The deviation of the coefficients that an image begins with."""


def inverse_transform(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(down (2 height, 2 height), cosines and sines, each (width // 2 + 1, width)), all float64, such that
    numpy.fft.irfft2(a + 1j * b, (height, width)) is d[:height] @ cosines - d[height:] @ sines, where
    d = down @ concatenate([a, b])."""
    turn = 2 * np.pi / height * (np.outer(np.arange(height), np.arange(height)) % height)
    down = np.block([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / height
    turn = 2 * np.pi / width * (np.outer(np.arange(width // 2 + 1), np.arange(width)) % width)
    counts = _counts(width)[:, None] / width
    return down, counts * np.cos(turn), counts * np.sin(turn)


def amplitudes(height: int, width: int) -> np.ndarray:
    """(height, width // 2 + 1): 1 / frequency, and for the mean that of one turn along the longer side; in the scale in
    which coefficients of deviation 1, real and imaginary, make pixels of variance 1 (the mean over all pixels)."""
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    scale = 1 / np.maximum(frequencies, 1 / max(height, width))
    # a coefficient's real and imaginary part add (its count / pixels)^2 to the variance of the pixels, together
    scaled: np.ndarray = scale * (height * width / np.linalg.norm(scale * _counts(width)))
    return scaled


class Spectrum:
    """An image (1, channels, height, width) inside the `box`, held as its spectrum, whose coefficients begin at random.

    image: the tensor; variable: (1, channels, 2 height, width // 2 + 1), real above imaginary parts. colours: what
    pixels' colours are decorrelated by; by default `PHOTOGRAPHS` for three channels, and nothing for others. A
    sigmoid keeps pixels inside. Raises InputError for colours of other channels.
    """

    def __init__(
        self,
        shape: Sequence[int],
        box: Box,
        rng: np.random.Generator,
        colours: ColourPCA | None = None,
        threads: int | None = None,
    ):
        channels, height, width = shape
        scale = amplitudes(height, width)
        begin = START * rng.normal(size=(1, channels, 2 * height, scale.shape[1]))
        self.variable = variable("spectrum", begin.astype("float32"))
        down, cosines, sines = (as_tensor(each.astype("float32")) for each in inverse_transform(height, width))
        halves = down @ (self.variable * np.tile(scale, (2, 1)).astype("float32"))
        planes = halves[:, :, :height] @ cosines - halves[:, :, height:] @ sines
        mixed = as_tensor(mixing(channels, colours).astype("float32")) @ planes.reshape(channels, height * width)
        low, span = box[0], box[1] - box[0]
        self.image = low + span * sigmoid(mixed.reshape(1, channels, height, width) * (4 / span))  # of slope 1 at grey
        self.middle = low + 0.5 * span
        self._picture = compile([], [self.image], threads=threads)

    def updates(self, direction: Tensor, rate: float) -> dict[Tensor, Tensor]:
        """A step of Adam: a coefficient moves by about the rate, whatever its frequency."""
        return Adam(rate, eps=SMALL).updates([self.variable], [-direction])

    def picture(self) -> np.ndarray:
        """(channels, height, width) as it is now."""
        result: np.ndarray = self._picture()[0]
        return result


def mixing(channels: int, colours: ColourPCA | None) -> np.ndarray:
    """(channels, channels): pixels from uncorrelated colours of variance 1; pixels' variance is 1 in the mean."""
    if colours is None:
        matrix = PHOTOGRAPHS if channels == 3 else np.eye(channels)
    else:
        matrix = colours.axes * np.sqrt(colours.variances)
    if matrix.shape != (channels, channels):
        raise InputError(f"unit: colours have {len(matrix)} channels, the image has {channels}")
    scaled: np.ndarray = matrix * (np.sqrt(channels) / np.linalg.norm(matrix))
    return scaled


def _counts(width: int) -> np.ndarray:
    """(width // 2 + 1,): how often each frequency along a row stands in the whole spectrum, 1 or 2 times."""
    counts = np.full(width // 2 + 1, 2.0)
    counts[0] = 1
    if width % 2 == 0:
        counts[-1] = 1
    return counts
