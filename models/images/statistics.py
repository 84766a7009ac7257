"""What is known of natural images, measured on yours: the power spectrum, contrasts, and how filters respond.

Natural images have power that falls as about 1 / frequency^2 (Field 1987; Ruderman and Bialek 1994), contrasts whose
logarithm is skewed towards the dark, and responses of local filters with a sharp peak and heavy tails (Field 1987).
NumPy only; images are arrays (n, channels, height, width) or (n, height, width), and channels are averaged first.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError

FLAT = 1e-12
"""The standard deviation up to which values count as all the same."""


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
    if not logs.std() > FLAT:
        raise InputError("contrast_histogram: every image has one brightness only, so there is no contrast")
    return _histogram(logs / logs.std(), bins)


def filter_marginals(images: Any, scales: int = 3, bins: int = 101) -> list[Marginal]:
    """How Haar's wavelets respond, for each of three orientations ("vertical", "horizontal" and "diagonal" edges) and
    `scales` scales; at each the picture is halved by averaging four pixels (Mallat 1989, with Haar's filters).

    Raises InputError where the images are too small to be halved so often, or have no detail.
    """
    found = []
    for name, scale, response in _responses("filter_marginals", images, scales):
        if not response.std() > FLAT:
            raise InputError(f"filter_marginals: the images have no {name} detail at scale {scale}")
        found.append(_marginal(name, scale, response, bins))
    return found


def kurtosis(values: Any) -> float:
    """The fourth moment about the mean over the squared variance of all values: 3 for a Gaussian."""
    centred = np.asarray(values, "float64") - np.mean(values)
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def plot(images: Any, path: Any = None) -> Any:
    """Spectrum, contrasts and marginals in one figure, written to `path` where given. Returns matplotlib's figure.

    What these images do not have is left out, and its panel says why: contrasts where pixels are negative, edges of a
    direction in which nothing changes. Needs the extra `plot` (matplotlib); raises ImportError saying so where it is
    missing, InputError for anything but finite images.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'kernelwright[plot]'") from None
    pixels = _pixels("plot", images, 1)
    figure = Figure(figsize=(13, 4), layout="constrained")
    for axes, (title, draw) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        axes.set(title=title)
        try:
            draw(axes, pixels)
        except InputError as error:
            reason = "\n".join(textwrap.wrap(str(error), 40))
            axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center")
            axes.set_axis_off()
    if path is not None:
        figure.savefig(path)
    return figure


def _draw_spectrum(axes: Any, pixels: np.ndarray) -> None:
    spectrum = power_spectrum(pixels)
    exponent = spectrum.exponent()
    axes.loglog(spectrum.frequencies, spectrum.power)
    axes.set(title=f"power, exponent {exponent:.2f}", xlabel="cycles per pixel")


def _draw_contrast(axes: Any, pixels: np.ndarray) -> None:
    contrast = contrast_histogram(pixels)
    axes.stairs(contrast.density, contrast.edges)
    axes.set(xlabel="standard deviations")


def _draw_marginals(axes: Any, pixels: np.ndarray) -> None:
    responses = list(_responses("filter_marginals", pixels, 1))
    if not any(response.std() > FLAT for _, _, response in responses):
        raise InputError("filter_marginals: the images have no detail at scale 1")
    for name, scale, response in responses:
        if response.std() > FLAT:
            m = _marginal(name, scale, response, 101)
            axes.stairs(m.histogram.density, m.histogram.edges, label=f"{name}, kurtosis {m.kurtosis:.1f}")
        else:
            axes.plot([], [], " ", label=f"{name}: no detail")
    axes.set(xlabel="standard deviations", yscale="log")
    axes.legend()


PANELS: dict[str, Callable[[Any, np.ndarray], None]] = {
    "power": _draw_spectrum,
    "log contrast": _draw_contrast,
    "Haar's wavelets": _draw_marginals,
}
"""What `plot` draws, by title: functions of matplotlib's axes and pixels that raise InputError where there is nothing
to draw."""


def _responses(op: str, images: Any, scales: int) -> Iterator[tuple[str, int, np.ndarray]]:
    """(orientation, scale, responses) of Haar's wavelets."""
    low = _pixels(op, images, 2**scales)
    for scale in range(1, scales + 1):
        low = low[:, : low.shape[1] // 2 * 2, : low.shape[2] // 2 * 2]
        a, b, c, d = low[:, ::2, ::2], low[:, ::2, 1::2], low[:, 1::2, ::2], low[:, 1::2, 1::2]
        yield "vertical", scale, (a - b + c - d) / 2
        yield "horizontal", scale, (a + b - c - d) / 2
        yield "diagonal", scale, (a - b - c + d) / 2
        low = (a + b + c + d) / 4


def _marginal(name: str, scale: int, response: np.ndarray, bins: int) -> Marginal:
    return Marginal(name, scale, _histogram(response / response.std(), bins), kurtosis(response))


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
