"""Occlusion maps: how much a score falls when a part of the image is covered (Zeiler and Fergus 2013).

All positions of the square are steps of one native call: the program takes the corner of its square as an input that
changes with the step. Leans on `attribution` for scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.graph.ops.elementwise import where
from ...compiler.graph.ops.source import iota
from ...compiler.graph.tensor import Tensor, input
from ...compiler.pipeline import compile
from ..checks import SettingError, number, sizes, whole
from .attribution import score
from .explain import Attribution, checked_images, chosen
from .features import Network


def occlusion(
    network: Network,
    images: Any,
    classes: Any = None,
    window: int | tuple[int, int] = 8,
    stride: int = 4,
    fill: float = 0.0,
    device: str = "cpu",
    threads: int | None = None,
) -> Attribution:
    """The fall of each image's score when a square of `fill` covers a part of it (arXiv:1311.2901, section 4.2).

    images: float array (n, channels, height, width). classes: (n,), by default those that the network gives. window:
    the square's side, or (height, width); stride: the distance between its positions, the last of which ends at the
    image's edge. The maps (n, 1, height, width) hold at each pixel the mean fall over the squares that cover it.

    Raises InputError for other images or classes, SettingError for a window that is larger than they are.
    """
    pixels = checked_images("occlusion", images)
    height, width = pixels.shape[2:]
    size, step = sizes("occlusion: window", window), whole("occlusion: stride", stride)
    tall, wide = (size, size) if isinstance(size, int) else size
    if tall > height or wide > width:
        raise SettingError(f"occlusion: a window of {tall}x{wide} does not fit images of {height}x{width}")
    x, corner = input("images", (None, *pixels.shape[1:]), pixels.dtype), input("corner", (2,), "int32")
    given, wanted = chosen("occlusion", network, x, classes, len(pixels))
    covered = _covered(x, corner, (tall, wide), number("occlusion: fill", fill))
    whole_score = score(network, x, wanted)
    outputs = [whole_score - score(network, covered, wanted), wanted, whole_score]
    program = compile([x, *given, corner], outputs, device=device, threads=threads, typical={"batch": len(pixels)})
    corners = np.array([(i, j) for i in _starts(height, tall, step) for j in _starts(width, wide, step)], "int32")
    arrays = [pixels, *([] if classes is None else [np.asarray(classes)]), corners]
    falls, labels, scores = program.run(arrays, steps=len(corners), per_step=[len(arrays) - 1])
    return Attribution(_spread(falls, corners, (tall, wide), (height, width)), labels[0], scores[0])


def _covered(x: Tensor, corner: Tensor, window: tuple[int, int], fill: float) -> Tensor:
    """The images with `fill` in the square whose upper left pixel is `corner`."""
    places = [iota(n, "int32") - corner[axis] for axis, n in enumerate(x.shape[2:])]
    rows, columns = ((at >= 0) & (at < n) for at, n in zip(places, window, strict=True))
    return where(rows.reshape(-1, 1) & columns, fill, x)


def _starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin, so that they cover all of a length."""
    last = length - window
    return sorted({*range(0, last + 1, stride), last})


def _spread(falls: np.ndarray, corners: np.ndarray, window: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """(n, 1, *size): at each pixel the mean of the falls (positions, n) whose squares cover it."""
    total, count = np.zeros((falls.shape[1], *size), falls.dtype), np.zeros(size, falls.dtype)
    for fall, (i, j) in zip(falls, corners, strict=True):
        total[:, i : i + window[0], j : j + window[1]] += fall[:, None, None]
        count[i : i + window[0], j : j + window[1]] += 1
    return (total / np.maximum(count, 1))[:, None]
