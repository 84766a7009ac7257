"""What a network's images are less, and are divided by, on their way into it: one mean and one deviation a channel.

Images are from 0 to 1 wherever they are read, drawn or attacked; what a network was trained on besides is part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiler.graph.tensor import Tensor, as_tensor
from .checks import POSITIVE, SettingError, number


@dataclass(frozen=True)
class Scaling:
    """(images - mean) / deviation, one number of each for every channel.

    Raises SettingError for means and deviations that are not as many, not finite, or deviations not above 0.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        mean = tuple(number("Scaling: mean", each) for each in self.mean)
        deviation = tuple(number("Scaling: deviation", each, POSITIVE) for each in self.deviation)
        if len(mean) != len(deviation):
            raise SettingError(f"Scaling: {len(mean)} means and {len(deviation)} deviations, not one of each a channel")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "deviation", deviation)

    def __call__(self, images: Tensor) -> Tensor:
        """Of (batch, channels, height, width), the same shape and dtype."""
        mean, deviation = (np.array(each, images.dtype)[:, None, None] for each in (self.mean, self.deviation))
        result: Tensor = (images - as_tensor(mean)) / as_tensor(deviation)
        return result


def described(scaling: Scaling | None) -> list[list[float]] | None:
    """As plain data, of which `of` makes it again; None of None."""
    return None if scaling is None else [list(scaling.mean), list(scaling.deviation)]


def of(data: Sequence[Any] | None) -> Scaling | None:
    """What `described` was given; None of None."""
    return None if data is None else Scaling(*map(tuple, data))
