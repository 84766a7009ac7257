"""Images changed until a network responds: gradient ascent, all steps between two progress pictures in one native call.

What holds the image, `Pixels` or a `Spectrum`, says how it takes a step; before each the image is shaken. Leans on
`shaken`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...compiler.graph.autodiff import grad
from ...compiler.graph.ops.elementwise import abs_, clip
from ...compiler.graph.tensor import Tensor
from ...compiler.graph.variable import get_value, set_value, variable
from ...compiler.pipeline import compile
from ..checks import NOT_NEGATIVE, function, number, whole
from .bounds import Box, edges
from .descent import Shown
from .shaken import Shaking

TINY = 1e-12
"""Added to the gradient's mean magnitude, which it is divided by."""


class Held(Protocol):
    """An image (1, channels, height, width) computed from a variable; middle: grey, the middle of its box."""

    variable: Tensor
    image: Tensor
    middle: float

    def updates(self, direction: Tensor, rate: float) -> dict[Tensor, Tensor]:
        """What a step does. direction: the objective's gradient by the variable, of mean magnitude 1."""

    def picture(self) -> np.ndarray:
        """(channels, height, width) as it is now."""


class Pixels:
    """An image held as its pixels, from `start` (1, channels, height, width) on, inside the `box`."""

    def __init__(self, start: np.ndarray, box: Box):
        self.limits, self.middle = edges(box, start.dtype), 0.5 * (box[0] + box[1])
        self.variable = self.image = variable("image", np.clip(start, *self.limits))

    def updates(self, direction: Tensor, rate: float) -> dict[Tensor, Tensor]:
        """Along the gradient: pixels change by the rate in the mean."""
        return {self.variable: clip(self.variable + direction * rate, *self.limits)}

    def picture(self) -> np.ndarray:
        """(channels, height, width) as it is now."""
        result: np.ndarray = get_value(self.variable)[0]
        return result

    def restart(self, picture: np.ndarray) -> None:
        """From this picture (channels, height, width) on."""
        set_value(self.variable, np.clip(picture[None], *self.limits))


@dataclass(frozen=True)
class Climb:
    """What an ascent does. rate: of a step; variation: what the squared differences of neighbouring pixels cost;
    decay: what the mean squared difference from grey costs (Simonyan et al. 2013, arXiv:1312.6034, section 2)."""

    who: str
    rate: float
    shaking: Shaking
    variation: float = 0.0
    decay: float = 0.0
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("rate", "variation", "decay"):
            number(f"{self.who}: {name}", getattr(self, name), NOT_NEGATIVE)

    def costs(self, held: Held) -> Tensor | float:
        """What is taken from the objective."""
        apart = held.image - held.middle
        rough = self.variation * total_variation(held.image) if self.variation else 0.0
        return rough + self.decay * (apart * apart).mean() if self.decay else rough


class Ascent:
    """The program of a step up the objective, a scalar of images (1, channels, height, width), for one held image."""

    def __init__(self, objective: Callable[[Tensor], Tensor], held: Held, how: Climb):
        self.held, self.how = held, how
        inputs, seen = how.shaking.shaken(held.image, held.middle)
        value = objective(seen)
        slope = grad(value - how.costs(held), held.variable)
        direction = slope * (1.0 / (abs_(slope).mean() + TINY))
        self.program = compile(inputs, [value], held.updates(direction, how.rate), threads=how.threads)
        self.size: tuple[int, int] = held.image.shape[2:]  # type: ignore[assignment]

    def climb(
        self, steps: int, rng: np.random.Generator, shown: Shown | None = None, every: int = 10, done: int = 0
    ) -> np.ndarray:
        """(steps,): the objective before each step. shown: called with (done and the steps since, the picture, the last
        objective) after every `every` steps and the last. Raises SettingError for settings out of range."""
        who = self.how.who
        count, pace = whole(f"{who}: steps", steps), whole(f"{who}: every", every)
        if shown is not None:
            function(f"{who}: shown", shown)
        places = self.how.shaking.drawn(rng, self.size, count, self.held.image.dtype)
        values = []
        for first in range(0, count, count if shown is None else pace):
            last = count if shown is None else min(first + pace, count)
            parts = [each[first:last] for each in places]
            (part,) = self.program.run(parts, steps=last - first, per_step=range(len(parts)))
            values.append(part.reshape(-1))
            if shown is not None:
                shown(done + last, self.held.picture(), float(values[-1][-1]))
        return np.concatenate(values)


def total_variation(image: Tensor) -> Tensor:
    """The mean squared difference of neighbouring pixels, down and across, of (n, channels, height, width); a scalar.
    (Mahendran and Vedaldi 2014, arXiv:1412.0035, equation 4, with beta = 2.)"""
    down, across = image[:, :, 1:] - image[:, :, :-1], image[:, :, :, 1:] - image[:, :, :, :-1]
    return (down * down).mean() + (across * across).mean()
