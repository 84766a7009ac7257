"""The classical filters of image editors: each channel convolved with the same small matrix, dilated or eroded.

Images are (batch, channels, height, width) floats. A matrix is laid over each pixel as it is written, without being
turned (cross-correlation, as everywhere here). What lies beyond the edge is chosen by `edge`, with NumPy's names for
padding. Leans on the DSL's grouped convolution and `gather`; differentiable in the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...compiler import dtypes
from ...compiler.errors import DTypeError, ShapeError
from ...compiler.graph.node import user_location
from ...compiler.graph.ops.contract import conv
from ...compiler.graph.ops.elementwise import sqrt
from ...compiler.graph.ops.indexing import gather
from ...compiler.graph.ops.slicing import pad
from ...compiler.graph.ops.window import max_pool
from ...compiler.graph.tensor import Tensor, as_tensor
from ..checks import SettingError, whole
from .geometry import image_size

Edge = Literal["edge", "reflect", "symmetric", "wrap", "zero", "crop"]
EDGES = ("edge", "reflect", "symmetric", "wrap", "zero", "crop")

SHARPEN = ((0, -1, 0), (-1, 5, -1), (0, -1, 0))
LAPLACIAN = ((0, 1, 0), (1, -4, 1), (0, 1, 0))
EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))
SOBEL = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
"""Grows with brightness to the right (Sobel and Feldman 1968); its transpose with brightness downwards."""


def convolve(
    images: Tensor, matrix: Any, divisor: float | None = None, offset: float = 0.0, edge: Edge = "edge"
) -> Tensor:
    """Each pixel the sum of its neighbours times the entries of `matrix`, / divisor + offset.

    matrix: rows of numbers; its middle (for even sizes the entry after it) lies on the pixel. divisor: by default 1;
    the sum of the entries keeps the brightness. edge: "edge" repeats the last pixel, "reflect" and "symmetric" mirror
    without and with it, "wrap" goes on at the other side, "zero" is black, and "crop" keeps only pixels whose
    neighbours all exist. Raises ShapeError, DTypeError or ValueError for what does not fit.
    """
    image_size("convolve", images)
    entries = np.asarray(matrix, "float64")
    if entries.ndim != 2 or not entries.size or not np.isfinite(entries).all():
        raise SettingError(f"convolve: the matrix is rows of finite numbers, not of shape {entries.shape}")
    if divisor == 0 or (divisor is not None and not np.isfinite(divisor)):
        raise SettingError(f"convolve: the divisor is a finite number other than 0, not {divisor}")
    return _filtered(images, entries / (1.0 if divisor is None else divisor), edge) + offset


def box_blur(images: Tensor, radius: int = 1, edge: Edge = "edge") -> Tensor:
    """The mean of the square of 2 radius + 1 pixels around each pixel."""
    if radius != int(radius) or radius < 0:
        raise SettingError(f"box_blur: the radius is a whole number of at least 0, not {radius}")
    line = np.full(2 * int(radius) + 1, 1 / (2 * int(radius) + 1))
    return _separable(images, line, line, edge)


def gaussian_blur(images: Tensor, sigma: float, radius: int | None = None, edge: Edge = "edge") -> Tensor:
    """Weighted by a Gaussian of standard deviation `sigma` pixels, cut off at `radius` (by default 4 sigma, rounded)
    and made to sum to 1."""
    if not 0 < sigma < np.inf or (radius is not None and (radius != int(radius) or radius < 0)):
        raise SettingError(f"gaussian_blur: sigma is above 0 and the radius at least 0, not {sigma} and {radius}")
    reach = max(round(4 * sigma), 1) if radius is None else int(radius)
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return _separable(images, line / line.sum(), line / line.sum(), edge)


def sharpen(images: Tensor, amount: float = 1.0, edge: Edge = "edge") -> Tensor:
    """Each pixel away from its four neighbours; amount 1 is the matrix `SHARPEN`, 0 leaves the images."""
    identity = np.zeros((3, 3))
    identity[1, 1] = 1.0
    return _filtered(images, identity + amount * (np.array(SHARPEN) - identity), edge)


def laplacian(images: Tensor, edge: Edge = "edge") -> Tensor:
    """The sum of second differences along rows and columns: 0 where brightness is even or rises evenly."""
    return _filtered(images, np.array(LAPLACIAN, "float64"), edge)


def emboss(images: Tensor, edge: Edge = "edge") -> Tensor:
    """As if the picture were a relief lit from the upper left; the entries sum to 1, so that areas stay as they are."""
    return _filtered(images, np.array(EMBOSS, "float64"), edge)


def sobel(images: Tensor, edge: Edge = "edge") -> tuple[Tensor, Tensor]:
    """(the slope to the right, the slope downwards), 8 times the change of brightness per pixel."""
    across = np.array(SOBEL, "float64")
    return _filtered(images, across, edge), _filtered(images, across.T, edge)


def edges(images: Tensor, edge: Edge = "edge") -> Tensor:
    """The length of Sobel's gradient, in the change of brightness per pixel.

    Its own gradient is finite everywhere: the length is that of a vector with a third component of 1e-6.
    """
    across, down = sobel(images, edge)
    return sqrt((across * across + down * down) * (1 / 64) + 1e-12)


# ---------------------------------------------------------------- morphology


def dilate(images: Tensor, radius: int = 1) -> Tensor:
    """The brightest pixel of the square of 2 radius + 1 pixels around each: bright strokes grow (grey-scale dilation by
    a flat square; Haralick, Sternberg, Zhuang 1987). What lies beyond the edge does not count.

    Raises ShapeError for no images, SettingError for a radius that is no whole number of at least 0.
    """
    image_size("dilate", images)
    reach = whole("dilate: radius", radius, 0)
    return max_pool(images, 2 * reach + 1, 1, reach) if reach else images


def erode(images: Tensor, radius: int = 1) -> Tensor:
    """The darkest pixel of the same square: bright strokes shrink. Otherwise as `dilate`."""
    image_size("erode", images)
    reach = whole("erode: radius", radius, 0)
    return -max_pool(-images, 2 * reach + 1, 1, reach) if reach else images


# ---------------------------------------------------------------- convolution of each channel by itself


def _separable(images: Tensor, down: np.ndarray, across: np.ndarray, edge: Edge) -> Tensor:
    return _filtered(_filtered(images, down[:, None], edge), across[None, :], edge)


def _filtered(images: Tensor, matrix: np.ndarray, edge: Edge) -> Tensor:
    height, width = image_size("convolve", images)
    if not dtypes.is_float(images.dtype):
        raise DTypeError(f"convolve: images are floats, not {images.dtype} (at {user_location()})")
    if edge not in EDGES:
        raise SettingError(f"convolve: edge is one of {', '.join(EDGES)}, not {edge!r}")
    if edge == "crop" and (matrix.shape[0] > height or matrix.shape[1] > width):
        raise ShapeError(f"convolve: a matrix {matrix.shape} does not fit into images of {(height, width)}")
    for axis, length in ((2, matrix.shape[0]), (3, matrix.shape[1])):
        images = _padded(images, axis, (length // 2, length - 1 - length // 2), edge)
    channels = images.shape[1]
    weight = np.broadcast_to(matrix, (channels, 1, *matrix.shape)).astype(images.dtype)  # type: ignore[arg-type]
    return conv(images, as_tensor(weight), groups=channels)  # type: ignore[arg-type]


def _padded(images: Tensor, axis: int, widths: Sequence[int], edge: Edge) -> Tensor:
    """The images made longer along one axis, as np.pad makes them."""
    if edge == "crop" or not any(widths):
        return images
    if edge == "zero":
        return pad(images, [tuple(widths) if a == axis else 0 for a in range(4)])
    size: int = images.shape[axis]  # type: ignore[assignment]
    positions = np.pad(np.arange(size, dtype="int32"), widths, edge)
    return gather(images, as_tensor(positions), axis)
