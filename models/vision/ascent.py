"""Images changed until a network responds: gradient ascent on the pixels, all steps in one native call.

Before each step the image is shifted around its edges by a few pixels, drawn anew (jitter), so that no pattern may hang
on where a layer's grid lies. Leans on `features` for layers by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...compiler.graph.autodiff import grad
from ...compiler.graph.ops.elementwise import abs_, clip
from ...compiler.graph.ops.indexing import gather
from ...compiler.graph.tensor import Tensor, input
from ...compiler.graph.variable import get_value, variable
from ...compiler.pipeline import compile
from ..checks import NOT_NEGATIVE, SettingError, number, whole
from ..checks import seed as checked_seed
from .bounds import Box, checked_box, edges
from .features import Network, features
from .pictures import resized

TINY = 1e-12
"""Added to the gradient's mean magnitude, which a step is divided by."""


def ascend(
    objective: Callable[[Tensor], Tensor],
    start: np.ndarray,
    steps: int,
    rate: float,
    jitter: int = 0,
    variation: float = 0.0,
    box: Box = (0.0, 1.0),
    seed: int = 0,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(image, the objective before each step) after `steps` steps up the objective, a scalar of images (1, channels,
    height, width).

    rate: the mean change of a pixel in a step. jitter: shifts are up to so many pixels each way. variation: what the
    squared differences of neighbouring pixels, per pixel, cost. The same seed gives the same image. Raises SettingError
    for settings out of range.
    """
    count, reach = whole("ascend: steps", steps), whole("ascend: jitter", jitter, 0)
    length, cost = number("ascend: rate", rate, NOT_NEGATIVE), number("ascend: variation", variation, NOT_NEGATIVE)
    low, high = edges(checked_box(box), start.dtype)
    image = variable("image", np.clip(start, low, high))
    height, width = start.shape[2:]
    rows, columns = input("rows", (height,), "int64"), input("columns", (width,), "int64")
    value = objective(gather(gather(image, rows, 2), columns, 3))
    slope = grad(value - cost * total_variation(image), image)
    moved = image + slope * (length / (abs_(slope).mean() + TINY))
    program = compile([rows, columns], [value], {image: clip(moved, low, high)}, threads=threads)
    rng = np.random.default_rng(checked_seed("ascend: seed", seed))
    places = [_shifted(rng, size, reach, count) for size in (height, width)]
    (values,) = program.run(places, steps=count, per_step=[0, 1])
    return get_value(image), values


def total_variation(image: Tensor) -> Tensor:
    """The mean squared difference of neighbouring pixels, down and across, of (n, channels, height, width); a scalar.
    (Mahendran and Vedaldi 2014, arXiv:1412.0035, equation 4, with beta = 2.)"""
    down, across = image[:, :, 1:] - image[:, :, :-1], image[:, :, :, 1:] - image[:, :, :, :-1]
    return (down * down).mean() + (across * across).mean()


def unit(
    network: Network,
    shape: Sequence[int],
    layer: str,
    channel: int,
    steps: int = 128,
    rate: float = 0.02,
    jitter: int = 2,
    variation: float = 0.1,
    box: Box = (0.0, 1.0),
    seed: int = 0,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(image, responses): an image (channels, height, width) that excites one channel of a layer, and the channel's
    mean value before each step (Erhan et al. 2009; Simonyan et al. 2013, arXiv:1312.6034, section 2).

    shape: the image's. layer: as in `features`; a dense layer's channel is one unit. The start is grey with a little
    noise. Raises SettingError for a layer or channel that there is not.
    """

    def objective(x: Tensor) -> Tensor:
        value = features(network, x, layer)
        channels = value.shape[1] if value.rank > 1 else 0
        if not isinstance(channels, int) or not 0 <= channel < channels:
            raise SettingError(f"unit: {layer} has channels 0 to {channels - 1}, not {channel}")
        return value[:, channel].mean()

    middle, rng = 0.5 * sum(checked_box(box)), np.random.default_rng(checked_seed("unit: seed", seed))
    start = (middle + 0.02 * (box[1] - box[0]) * rng.normal(size=(1, *shape))).astype("float32")
    found, responses = ascend(objective, start, steps, rate, jitter, variation, box, seed, threads)
    return found[0], responses


def dream(
    network: Network,
    image: np.ndarray,
    layer: str,
    octaves: int = 3,
    scale: float = 1.4,
    steps: int = 10,
    rate: float = 0.02,
    jitter: int = 8,
    box: Box = (0.0, 1.0),
    seed: int = 0,
    threads: int | None = None,
) -> np.ndarray:
    """The image (channels, height, width) in which a layer sees more of what it sees: ascent on the mean square of the
    layer's values, at growing sizes (Mordvintsev, Olah, Tyka 2015, "Inceptionism").

    octaves: sizes, each `scale` times the one before, the last the image's own; what was added at one is kept at the
    next. The network has to take images of any size. Raises SettingError for settings out of range.
    """
    count, factor = whole("dream: octaves", octaves), number("dream: scale", scale)
    if factor <= 1:
        raise SettingError(f"dream: scale is above 1, not {scale!r}")

    def objective(x: Tensor) -> Tensor:
        value = features(network, x, layer)
        return (value * value).mean()

    height, width = image.shape[1:]
    added = np.zeros_like(image, dtype="float32")
    for octave in reversed(range(count)):
        size = max(1, round(height / factor**octave)), max(1, round(width / factor**octave))
        base = resized(np.asarray(image, "float32"), size)
        start = (base + resized(added, size))[None]
        made, _ = ascend(objective, start, steps, rate, min(jitter, min(size) // 4), 0.0, box, seed, threads)
        added = made[0] - base
    dreamt: np.ndarray = np.clip(np.asarray(image, "float32") + added, *edges(checked_box(box), "float32"))
    return dreamt


def _shifted(rng: np.random.Generator, size: int, reach: int, steps: int) -> np.ndarray:
    """(steps, size): the positions along an axis, shifted around its ends by a number for each step."""
    shifts = rng.integers(-reach, reach + 1, steps)
    positions: np.ndarray = (np.arange(size) + shifts[:, None]) % size
    return positions
