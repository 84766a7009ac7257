"""What a layer keeps of an image: another image, from noise, whose values at the layer are the same.

Mahendran and Vedaldi, "Understanding deep image representations by inverting them" (2014, arXiv:1412.0035). Leans on
`descent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.ops.elementwise import abs_
from ...compiler.graph.tensor import Tensor, input
from ...compiler.pipeline import compile
from ..checks import NOT_NEGATIVE, Interval, number
from ..checks import seed as checked_seed
from .ascent import total_variation
from .bounds import Box, checked_box, edges
from .descent import Descent, Imitation, Shown, checked_picture, descend
from .features import Network, several

NOISE = 0.02
"""The deviation of the start from grey, as a part of the box."""


def invert(
    network: Network,
    image: Any,
    layer: str,
    steps: int = 200,
    method: str = "lbfgs",
    variation: float = 0.1,
    norm: float = 0.001,
    alpha: float = 6.0,
    rate: float = 0.02,
    box: Box = (0.0, 1.0),
    seed: int = 0,
    threads: int | None = None,
    shown: Shown | None = None,
    every: int = 10,
) -> Imitation:
    """An image that the layer can't tell from `image`, float (channels, height, width), of that shape.

    It minimises |f(x) - f(image)|^2 / |f(image)|^2 + variation V(x) + norm A(x), where f is the layer called `layer`
    (as in `features`), V the mean squared difference of neighbouring pixels (`total_variation`), A the mean of
    |x|^alpha over all numbers, and pixels are measured from the middle of the `box`, half of which is 1. That is the
    paper's equation 2 with means in place of its sums. The start is grey with a little noise.

    method: "lbfgs", or "adam" with steps of `rate`. shown: called with (steps done, picture, loss) after every `every`
    steps. The same seed gives the same image. Raises InputError for what is no image, or one for which the layer is 0
    throughout, SettingError for other settings.
    """
    pixels, (low, high) = checked_picture("invert", image), checked_box("invert", box)
    smooth, limit = number("invert: variation", variation, NOT_NEGATIVE), number("invert: norm", norm, NOT_NEGATIVE)
    power = number("invert: alpha", alpha, Interval(1, float("inf"), " of at least 1"))
    how = Descent("invert", steps, method, rate, shown, every, threads)
    x = input("image", (1, *pixels.shape), pixels.dtype)
    target = compile([x], several(network, x, [layer]), threads=threads)(pixels[None])
    size = np.square(target, dtype="float64").sum()
    if not size > 0:
        raise InputError(f"invert: {layer} is 0 throughout for this image: take another layer")
    half, middle = 0.5 * (high - low), 0.5 * (high + low)

    def objective(found: Tensor, given: Sequence[Tensor]) -> Tensor:
        wanted, share = given
        (value,) = several(network, found, [layer])
        apart, scaled = value - wanted, (found - middle) * (1 / half)
        cost = smooth * total_variation(scaled) if smooth else 0.0
        if limit:
            cost = cost + limit * (abs_(scaled) ** power).mean()
        return (apart * apart).sum() * share + cost

    rng = np.random.default_rng(checked_seed("invert: seed", seed))
    start = (middle + NOISE * (high - low) * rng.normal(size=(1, *pixels.shape))).astype(pixels.dtype)
    share = np.array(1 / size, pixels.dtype)
    return descend(how, objective, [target, share], start, *edges((low, high), pixels.dtype), lambda found: found[0])
