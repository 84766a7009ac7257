"""What becomes of a network's answer while its image is moved, scaled, turned, changed in contrast or covered.

The curves of Zeiler and Fergus 2013 (arXiv:1311.2901, figure 5): the probability of a class, and how far layers' values
go from those of the image itself. Leans on `kw.images.geometry` for warps and on `responses` for what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.functions import softmax
from ...compiler.graph.tensor import Tensor, broadcast_to, input
from ...compiler.pipeline import compile
from ..checks import SettingError, choice, number, whole
from ..images import geometry
from .explain import checked_images
from .features import Network, features
from .responses import computed

WARPS: dict[str, Callable[[Tensor, tuple[int, int]], geometry.Affine]] = {
    "translate_x": lambda amount, size: geometry.translation(right=amount),
    "translate_y": lambda amount, size: geometry.translation(down=amount),
    "scale": lambda amount, size: geometry.scaling(amount, size),
    "rotate": lambda amount, size: geometry.rotation(amount, size),
}
KINDS = (*WARPS, "contrast", "occlude")


@dataclass(frozen=True, eq=False)
class Distortion:
    """kind; amounts: (k,); images: (k, channels, height, width), the distorted ones; probabilities: (k, classes);
    answers: (k,), the classes of the greatest; label: the class that is followed; distances: by layer's name (k,), how
    far its values are from those of the undistorted image, in the Euclidean sense."""

    kind: str
    amounts: np.ndarray
    images: np.ndarray
    probabilities: np.ndarray
    answers: np.ndarray
    label: int
    distances: dict[str, np.ndarray]

    @property
    def confidence(self) -> np.ndarray:
        """(k,): the probability of the label."""
        followed: np.ndarray = self.probabilities[:, self.label]
        return followed


def distort(
    network: Network,
    image: Any,
    kind: str,
    amounts: Any,
    label: int | None = None,
    layers: Sequence[str] = (),
    fill: float = 0.0,
    device: str = "cpu",
    threads: int | None = None,
) -> Distortion:
    """What the network says of an image under each of the amounts of one kind of distortion.

    image: float array (channels, height, width). kind: "translate_x" and "translate_y" by pixels to the right and down,
    "scale" by a factor and "rotate" by degrees counter-clockwise, both about the middle, "contrast" by a factor about
    the image's mean, "occlude" with a square in the middle of so many pixels' side. Warps are bilinear, what comes into
    the image from outside and what covers it is `fill`; values are not clipped. label: the class that is followed, by
    default what the network says of the image. layers: whose distances are wanted. The network gives logits.

    Raises InputError for other images and amounts, SettingError for other settings.
    """
    pixels = checked_images("distort", np.asarray(image)[None])
    how = choice("distort: kind", kind, KINDS)
    steps = _amounts(how, amounts, pixels.shape[2:])
    changed = distorted(pixels[0], how, steps, number("distort: fill", fill), device, threads)

    def outputs(x: Tensor) -> Sequence[Tensor]:
        return [softmax(network(x)), *(features(network, x, layer) for layer in layers)]

    every = np.concatenate([pixels, changed])
    probabilities, *values = computed(outputs, every, device=device, threads=threads)
    answers = probabilities.argmax(1)
    classes = probabilities.shape[1]
    followed = int(answers[0]) if label is None else whole("distort: label", label, 0, classes - 1)
    distances = {layer: _from_first(each) for layer, each in zip(layers, values, strict=True)}
    return Distortion(how, steps, changed, probabilities[1:], answers[1:], followed, distances)


def distorted(
    image: np.ndarray, kind: str, amounts: np.ndarray, fill: float, device: str = "cpu", threads: int | None = None
) -> np.ndarray:
    """(k, channels, height, width): an image under each of the amounts, as `distort` describes them."""
    if kind == "contrast":
        mean, factors = image.mean(), amounts.reshape(-1, 1, 1, 1).astype(image.dtype)
        stretched: np.ndarray = mean + factors * (image - mean)
        return stretched
    if kind == "occlude":
        return np.stack([_covered(image, int(side), fill) for side in amounts])
    x, amount = input("image", (1, *image.shape), image.dtype), input("amount", (None,), image.dtype)
    affine = WARPS[kind](amount, image.shape[1:])
    copies = broadcast_to(x, (amount.shape[0], *image.shape))
    program = compile([x, amount], geometry.warp(copies, affine, fill=fill), device=device, threads=threads)
    warped: np.ndarray = program(image[None], amounts.astype(image.dtype))
    return warped


def _covered(image: np.ndarray, side: int, fill: float) -> np.ndarray:
    """The image with `fill` in a square in its middle."""
    top, left = ((n - side) // 2 for n in image.shape[1:])
    result = image.copy()
    result[:, top : top + side, left : left + side] = fill
    return result


def _amounts(kind: str, amounts: Any, size: Sequence[int]) -> np.ndarray:
    """(k,) finite numbers that this kind of distortion takes."""
    given = np.asarray(amounts)
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iuf" or not np.isfinite(given).all():
        raise InputError(f"distort: amounts are some finite numbers in a row, not {given.dtype} {given.shape}")
    if kind == "scale" and not (given > 0).all():
        raise SettingError(f"distort: to scale takes factors above 0, not {given.min():g}")
    if kind == "occlude" and not ((given == given.round()) & (given >= 0) & (given <= min(size))).all():
        raise SettingError(f"distort: to occlude takes whole numbers from 0 to {min(size)}, the image's side")
    return given.astype("float64")


def _from_first(values: np.ndarray) -> np.ndarray:
    """(k,): how far all values but the first are from the first."""
    flat = values.reshape(len(values), -1).astype("float64")
    far: np.ndarray = np.sqrt(((flat[1:] - flat[0]) ** 2).sum(1))
    return far
