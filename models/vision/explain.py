"""Maps of arrays: one compiled program gives the map, the class explained and its score for a batch of images.

Leans on `attribution` for what a map is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.ops.reduce import argmax
from ...compiler.graph.tensor import Tensor, input
from ...compiler.pipeline import compile
from ..checks import SettingError, choice
from . import attribution
from .features import Network

METHODS: dict[str, Callable[..., Tensor]] = {
    each.__name__: each
    for each in (
        attribution.saliency,
        attribution.gradient,
        attribution.gradient_times_input,
        attribution.smooth_grad,
        attribution.integrated_gradients,
        attribution.guided_backpropagation,
        attribution.deconvolution,
        attribution.grad_cam,
    )
}
"""The maps that `attribute` makes, by name."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """maps: (n, channels or 1, height, width), of the images' dtype; classes: (n,), those explained; scores: (n,), the
    network's output for them."""

    maps: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def attribute(
    network: Network,
    images: Any,
    classes: Any = None,
    method: str = "saliency",
    device: str = "cpu",
    threads: int | None = None,
    **options: Any,
) -> Attribution:
    """Which pixels of each image its score depends on, by the function of this package that `method` names.

    images: float array (n, channels, height, width). classes: integers (n,), by default the class that the network
    gives each image. options: those of the method, such as samples=64 or layer="conv2". The whole is one program.
    Raises InputError for other images or classes, SettingError for other methods and options.
    """
    pixels = checked_images("attribute", images)
    make = METHODS[choice("attribute: method", method, list(METHODS))]
    known = list(inspect.signature(make).parameters)[3:]
    for name in options:
        if name not in known:
            there = f"it takes {', '.join(known)}" if known else "it takes none"
            raise SettingError(f"attribute: {method} has no option {name!r}; {there}")
    x = input("images", (None, *pixels.shape[1:]), pixels.dtype)
    given, wanted = chosen("attribute", network, x, classes, len(pixels))
    outputs = [make(network, x, wanted, **options), wanted, attribution.score(network, x, wanted)]
    program = compile([x, *given], outputs, device=device, threads=threads, typical={"batch": len(pixels)})
    return Attribution(*program(pixels, *([] if classes is None else [np.asarray(classes)])))


def checked_images(who: str, images: Any) -> np.ndarray:
    """The images as an array. Raises InputError unless it is (n, channels, height, width) of floats."""
    pixels = np.asarray(images)
    if pixels.ndim != 4 or pixels.dtype.name not in ("float32", "float64") or not len(pixels):
        raise InputError(
            f"{who}: images are float32 (n, channels, height, width), not {pixels.dtype} {pixels.shape}: one image is "
            "images[None], bytes are images.astype('float32') / 255"
        )
    return pixels


def chosen(who: str, network: Network, x: Tensor, classes: Any, count: int) -> tuple[list[Tensor], Tensor]:
    """(inputs beside the images, the class of each image): what is given, else what the network says."""
    if classes is None:
        return [], argmax(network(x), -1)
    given = input("classes", (None,), checked_classes(who, classes, count).dtype)
    return [given], given


def checked_classes(who: str, classes: Any, count: int) -> np.ndarray:
    """The class of each image as an array (count,) of integers. Raises InputError for anything else."""
    labels = np.asarray(classes)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{who}: classes are integers ({count},), one for each image, not {labels.dtype} {labels.shape}"
        )
    return labels
