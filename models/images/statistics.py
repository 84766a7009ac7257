"""What is known of natural images, measured on yours: the power spectrum, contrasts, and how filters respond.

Natural images have power that falls as about 1 / frequency^2 (Field 1987; Ruderman and Bialek 1994), contrasts whose
logarithm is skewed towards the dark, and responses of local filters with a sharp peak and heavy tails (Field 1987).
NumPy only; images are arrays (n, channels, height, width) or (n, height, width), and channels are averaged first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError


@dataclass(frozen=True, eq=False)
class Spectrum:
    """power[k]: the mean over all directions and images at frequencies[k], in cycles per pixel."""

    frequencies: np.ndarray
    power: np.ndarray

    def exponent(self, low: float = 0.0, high: float = 0.5) -> float:
        """a where power is proportional to frequency^-a: the slope of a straight line through the logarithms at
        low <= frequency <= high, fitted by least squares.

        About 2 for natural images, 0 for white noise. Raises InputError where fewer than two frequencies remain.
        """
        kept = (self.frequencies >= low) & (self.frequencies <= high) & (self.power > 0)
        if kept.sum() < 2:
            raise InputError(f"exponent: {kept.sum()} frequencies with power from {low} to {high}; two are needed")
        return float(-np.polyfit(np.log(self.frequencies[kept]), np.log(self.power[kept]), 1)[0])


@dataclass(frozen=True, eq=False)
class Histogram:
    """density[k]: between edges[k] and edges[k + 1]; the densities times the widths sum to 1."""

    edges: np.ndarray
    density: np.ndarray


@dataclass(frozen=True, eq=False)
class Marginal:
    """Responses of one filter to all images at one scale, divided by their standard deviation.

    kurtosis: the fourth moment about the mean over the squared variance; 3 for a Gaussian, more for natural images.
    """

    orientation: str
    scale: int
    histogram: Histogram
    kurtosis: float


def power_spectrum(images: Any, window: bool = True) -> Spectrum:
    """The power of the two-dimensional Fourier transform, averaged over rings of equal frequency and over images.

    Rings are as wide as one cycle over the shorter side, from one cycle to half a cycle per pixel. Each image's mean is
    taken out first. window: a Hann window, against the edges that a periodic continuation has; not needed where images
    are periodic. Raises InputError for images under 4 pixels wide or high.
    """
    pixels = _pixels("power_spectrum", images, 4)
    n, height, width = pixels.shape
    taper = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]) if window else np.ones((height, width))
    taper = taper / np.sqrt((taper**2).mean())
    power = np.zeros((height, width // 2 + 1))
    for image in pixels:
        middle = (image * taper).sum() / taper.sum()
        power += np.abs(np.fft.rfft2((image - middle) * taper)) ** 2 / (n * height * width)
    shorter = min(height, width)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    ring = np.rint(radius * shorter).astype(int)
    twice = np.where((np.arange(width // 2 + 1) == 0) | (2 * np.arange(width // 2 + 1) == width), 1.0, 2.0)
    weights = np.broadcast_to(twice, power.shape)  # the other half of the plane mirrors this one
    count = np.bincount(ring.ravel(), weights.ravel())
    kept = slice(1, shorter // 2 + 1)
    mean = np.bincount(ring.ravel(), (weights * power).ravel())[kept] / count[kept]
    frequency = np.bincount(ring.ravel(), (weights * radius).ravel())[kept] / count[kept]
    return Spectrum(frequency, mean)


def contrast_histogram(images: Any, bins: int = 64, dark: float = 1e-3) -> Histogram:
    """The density of log contrast: log(I / I0) with the I0 of each image at which its mean is 0, in units of its
    standard deviation over all images (Ruderman and Bialek 1994).

    Pixels must not be negative; those below `dark` count as `dark`, since there is no logarithm of black. Raises
    InputError for negative pixels, and where all images are even.
    """
    pixels = _pixels("contrast_histogram", images, 1)
    if pixels.min() < 0 or dark <= 0 or bins < 1:
        raise InputError(
            f"contrast_histogram: pixels are brightnesses of at least 0 (dark above 0, bins at least 1), not from "
            f"{pixels.min()} (dark {dark}, bins {bins})"
        )
    logs = np.log(np.maximum(pixels, dark))
    logs -= logs.mean((1, 2), keepdims=True)
    if not logs.std() > 1e-12:
        raise InputError("contrast_histogram: every image has one brightness only, so there is no contrast")
    return _histogram(logs / logs.std(), bins)


def filter_marginals(images: Any, scales: int = 3, bins: int = 101) -> list[Marginal]:
    """How Haar's wavelets respond, for each of three orientations ("vertical", "horizontal" and "diagonal" edges) and
    `scales` scales; at each the picture is halved by averaging four pixels (Mallat 1989, with Haar's filters).

    Raises InputError where the images are too small to be halved so often, or have no detail.
    """
    low = _pixels("filter_marginals", images, 2**scales)
    found = []
    for scale in range(1, scales + 1):
        low = low[:, : low.shape[1] // 2 * 2, : low.shape[2] // 2 * 2]
        a, b, c, d = low[:, ::2, ::2], low[:, ::2, 1::2], low[:, 1::2, ::2], low[:, 1::2, 1::2]
        for name, response in (
            ("vertical", (a - b + c - d) / 2),
            ("horizontal", (a + b - c - d) / 2),
            ("diagonal", (a - b - c + d) / 2),
        ):
            if not response.std() > 1e-12:
                raise InputError(f"filter_marginals: the images have no {name} detail at scale {scale}")
            found.append(Marginal(name, scale, _histogram(response / response.std(), bins), kurtosis(response)))
        low = (a + b + c + d) / 4
    return found


def kurtosis(values: Any) -> float:
    """The fourth moment about the mean over the squared variance of all values: 3 for a Gaussian."""
    centred = np.asarray(values, "float64") - np.mean(values)
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def plot(images: Any, path: Any = None) -> Any:
    """Spectrum, contrasts and marginals in one figure, written to `path` where given. Returns matplotlib's figure.

    Needs the extra `plot` (matplotlib); raises ImportError saying so where it is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'kernelwright[plot]'") from None
    spectrum, contrast, marginals = power_spectrum(images), contrast_histogram(images), filter_marginals(images, 1)
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.loglog(spectrum.frequencies, spectrum.power)
    left.set(title=f"power, exponent {spectrum.exponent():.2f}", xlabel="cycles per pixel")
    middle.stairs(contrast.density, contrast.edges)
    middle.set(title="log contrast", xlabel="standard deviations")
    for m in marginals:
        right.stairs(m.histogram.density, m.histogram.edges, label=f"{m.orientation}, kurtosis {m.kurtosis:.1f}")
    right.set(title="Haar's wavelets", xlabel="standard deviations", yscale="log")
    right.legend()
    if path is not None:
        figure.savefig(path)
    return figure


def _histogram(values: np.ndarray, bins: int) -> Histogram:
    density, edges = np.histogram(values, bins, density=True)
    return Histogram(edges, density)


def _pixels(op: str, images: Any, least: int) -> np.ndarray:
    """(n, height, width) float64. Raises InputError, naming `op`, for anything but finite images of enough pixels."""
    array = np.asarray(images)
    if array.ndim not in (3, 4) or array.dtype.kind not in "fiu" or 0 in array.shape:
        raise InputError(
            f"{op}: images are (n, channels, height, width) or (n, height, width) numbers, not {array.dtype} "
            f"{array.shape}"
        )
    pixels = array.astype("float64") if array.ndim == 3 else array.mean(1, dtype="float64")
    if min(pixels.shape[1:]) < least:
        raise InputError(f"{op}: images of at least {least} x {least} pixels are needed, not {pixels.shape[1:]}")
    if not np.isfinite(pixels).all():
        raise InputError(f"{op}: image {int(np.argwhere(~np.isfinite(pixels))[0][0])} holds nan or inf")
    return pixels
