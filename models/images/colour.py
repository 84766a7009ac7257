"""Changes of colour and of whole patches: functions of a batch (batch, channels, height, width) and factors.

A factor is a number or a tensor (batch,), one for each image. Pixels are floats, usually in [0, 1]; nothing is clipped
here. Also the principal components of a data set's colours, by which AlexNet's training images were shifted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError, ShapeError
from ...compiler.graph.node import user_location
from ...compiler.graph.ops.elementwise import abs_, cos, maximum, sin, where
from ...compiler.graph.ops.slicing import concat
from ...compiler.graph.ops.source import iota
from ...compiler.graph.tensor import Tensor, as_tensor
from ...compiler.shapes import show
from .geometry import Scalar, image_size

LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in a grey picture (ITU-R BT.601)."""
_CHROMA = np.array([[0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
"""The I and Q rows of the NTSC colour space; the rows sum to 0, so that greys have no chroma."""


def per_image(factor: Scalar) -> Scalar:
    """A factor so shaped that it meets every pixel of its image."""
    return factor.reshape(-1, 1, 1, 1) if isinstance(factor, Tensor) else factor


def grey(images: Tensor) -> Tensor:
    """The luma of colour images, (batch, 1, height, width); one channel is grey already.

    Raises ShapeError for other than 1 or 3 channels.
    """
    image_size("grey", images)
    if images.shape[1] == 1:
        return images
    _need_colour("grey", images)
    r, g, b = LUMA
    return images[:, 0:1] * r + images[:, 1:2] * g + images[:, 2:3] * b


def brightness(images: Tensor, factor: Scalar) -> Tensor:
    """Every pixel times the factor: 0 is black, 1 leaves the images."""
    image_size("brightness", images)
    return images * per_image(factor)


def contrast(images: Tensor, factor: Scalar) -> Tensor:
    """Away from (or, below 1, towards) the mean grey of each image: 0 is a grey area, 1 leaves the images."""
    height, width = image_size("contrast", images)
    weights = LUMA if images.shape[1] == 3 else (1.0,)
    if images.shape[1] != len(weights):
        _need_colour("contrast", images)
    each = np.repeat(np.array(weights) / (height * width), height * width).astype(images.dtype)
    mean = images.reshape(-1, len(each)) @ as_tensor(each)  # as a product it is computed once, not once per row
    return _blend(images, mean.reshape(-1, 1, 1, 1), factor)


def saturation(images: Tensor, factor: Scalar) -> Tensor:
    """Away from (or, below 1, towards) the grey of each pixel: 0 is a grey picture, 1 leaves the images."""
    return _blend(images, grey(images), factor)


def hue(images: Tensor, degrees: Scalar) -> Tensor:
    """Colours turned around the axis of greys, in NTSC's YIQ space, so that the luma stays. Three channels only.

    A linear map, unlike the hue of HSV; 120 degrees take red about to green. Results may leave [0, 1].
    """
    image_size("hue", images)
    _need_colour("hue", images)
    radians = degrees * (np.pi / 180)
    c: Any = cos(radians) if isinstance(radians, Tensor) else float(np.cos(radians))
    s: Any = sin(radians) if isinstance(radians, Tensor) else float(np.sin(radians))
    c, s = per_image(c), per_image(s)
    channels = [images[:, k : k + 1] for k in range(3)]
    i, q = (sum((x * float(w) for x, w in zip(channels, row)), as_tensor(0.0, images.dtype)) for row in _CHROMA)
    di, dq = i * (c - 1.0) + q * s, q * (c - 1.0) - i * s  # from red towards green, as in HSV
    back = np.linalg.inv(np.vstack([LUMA, _CHROMA]))[:, 1:]
    return concat([x + di * float(a) + dq * float(b) for x, (a, b) in zip(channels, back)], 1)


def _blend(images: Tensor, other: Tensor, factor: Scalar) -> Tensor:
    return images + (images - other) * (per_image(factor) - 1.0)


def _need_colour(op: str, images: Tensor) -> None:
    if images.shape[1] != 3:
        raise ShapeError(
            f"{op}: colour images have 3 channels (red, green, blue), not {show(images.shape)} (at {user_location()})"
        )


# ---------------------------------------------------------------- principal components of colours


@dataclass(frozen=True, eq=False)
class ColourPCA:
    """variances: (channels,), greatest first; axes: (channels, channels), the component k in column k."""

    variances: np.ndarray
    axes: np.ndarray


def colour_pca(images: Any) -> ColourPCA:
    """The principal components of the colours of all pixels of `images`, (n, channels, height, width).

    Eigenvalues and eigenvectors of the covariance of channels, for `colour_shift` (Krizhevsky et al. 2012, section
    4.1). Each component's largest entry is positive. Raises InputError for anything else, or a single pixel.
    """
    array = np.asarray(images)
    if array.ndim != 4 or array.dtype.kind != "f" or array.size <= array.shape[1]:
        raise InputError(
            f"colour_pca: images are float arrays (n, channels, height, width) of several pixels, not {array.dtype} "
            f"{array.shape}"
        )
    count = array.size // array.shape[1]
    middle = array.mean((0, 2, 3), dtype="float64")
    product = sum(np.einsum("chw,dhw->cd", *[x.astype("float64") - middle[:, None, None]] * 2) for x in array)
    variances, axes = np.linalg.eigh(product / count)
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1]
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0))
    return ColourPCA(variances, axes * signs)


def colour_shift(images: Tensor, pca: ColourPCA, amounts: Tensor) -> Tensor:
    """Every pixel of an image moved by sum_k amounts[k] axes[:, k]; amounts: (batch, channels).

    AlexNet draws an amount from a normal distribution times the component's eigenvalue. Raises ShapeError where the
    channels differ.
    """
    image_size("colour_shift", images)
    channels = len(pca.variances)
    if images.shape[1] != channels or amounts.shape[-1:] != (channels,):
        raise ShapeError(
            f"colour_shift: {channels} components need images of {channels} channels and amounts (batch, {channels}), "
            f"not {show(images.shape)} and {show(amounts.shape)} (at {user_location()})"
        )
    axes = as_tensor(pca.axes.astype(images.dtype))
    shift = (amounts.astype(images.dtype).reshape(-1, 1, channels) * axes).sum(-1)
    return images + shift.reshape(-1, channels, 1, 1)


# ---------------------------------------------------------------- patches


def cutout(images: Tensor, column: Scalar, row: Scalar, size: float, fill: float = 0.0) -> Tensor:
    """A square of `size` pixels with its middle at (column, row) set to `fill`, the part of it that is inside
    (DeVries and Taylor 2017, section 3)."""
    height, width = image_size("cutout", images)
    x = iota(width, images.dtype).reshape(1, 1, 1, width)
    y = iota(height, images.dtype).reshape(1, 1, height, 1)
    return where(maximum(abs_(x - per_image(column)), abs_(y - per_image(row))) < size / 2, fill, images)
