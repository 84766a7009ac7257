"""A picture changed until a loss of it is small: what `style` and `inversion` have in common.

With "lbfgs" each evaluation is one native call, with "adam" all steps between two progress pictures are. Leans on
`optimizers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.autodiff import grad
from ...compiler.graph.ops.elementwise import clip
from ...compiler.graph.tensor import Tensor, input
from ...compiler.graph.variable import get_value, variable
from ...compiler.pipeline import compile
from ..checks import POSITIVE, choice, function, number, whole
from ..optimizers import LBFGS, Adam

METHODS = ("lbfgs", "adam")
Shown = Callable[[int, np.ndarray, float], Any]
"""Called with the number of steps done, the picture (channels, height, width) there, and the last loss."""


@dataclass(frozen=True, eq=False)
class Imitation:
    """image: (channels, height, width), inside the box; losses: float64, at the start and after each step, fewer than
    asked for where L-BFGS finds nothing lower."""

    image: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Descent:
    """How to descend: `steps` of "lbfgs" or "adam", the latter of `rate`; `shown` is called after every `every`."""

    who: str
    steps: int
    method: str = "lbfgs"
    rate: float = 0.02
    shown: Shown | None = None
    every: int = 10
    threads: int | None = None

    def __post_init__(self) -> None:
        whole(f"{self.who}: steps", self.steps)
        choice(f"{self.who}: method", self.method, METHODS)
        number(f"{self.who}: rate", self.rate, POSITIVE)
        whole(f"{self.who}: every", self.every)
        if self.shown is not None:
            function(f"{self.who}: shown", self.shown)


def descend(
    how: Descent,
    objective: Callable[[Tensor, Sequence[Tensor]], Tensor],
    arrays: Sequence[np.ndarray],
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    picture: Callable[[np.ndarray], np.ndarray],
) -> Imitation:
    """From pixels `start` down the objective, a scalar of the pixels and of inputs that hold `arrays`.

    low, high: limits of the pixels. Adam's steps end inside of them; L-BFGS goes anywhere, and is clipped in the end.
    picture: what is shown and returned for pixels inside the limits.
    """
    pixels = variable("pixels", np.clip(start, low, high))
    given = [input(f"target{place}", each.shape, each.dtype) for place, each in enumerate(arrays)]
    loss = objective(pixels, given)
    measured = compile(given, [loss], threads=how.threads)

    def show(step: int, value: float) -> None:
        if how.shown is not None and step % how.every == 0:
            how.shown(step, picture(np.clip(get_value(pixels), low, high)), value)

    if how.method == "lbfgs":
        first = float(measured(*arrays))
        optimizer = LBFGS(loss, [pixels], given, threads=how.threads)
        losses = [first, *optimizer.minimize(*arrays, iterations=how.steps, watch=show)]
    else:
        losses = _adam(how, loss, pixels, given, arrays, (low, high), show)
        losses.append(float(measured(*arrays)))
    return Imitation(picture(np.clip(get_value(pixels), low, high)), np.array(losses))


def _adam(
    how: Descent,
    loss: Tensor,
    pixels: Tensor,
    given: Sequence[Tensor],
    arrays: Sequence[np.ndarray],
    limits: tuple[np.ndarray, np.ndarray],
    show: Callable[[int, float], None],
) -> list[float]:
    """The loss before each step. The steps up to the next picture that is shown are one native call."""
    names = ("least", "most")
    low, high = (input(name, each.shape, each.dtype) for name, each in zip(names, limits, strict=True))
    updates = Adam(how.rate).updates([pixels], [grad(loss, pixels)])
    updates[pixels] = clip(updates[pixels], low, high)
    program = compile([*given, low, high], [loss], updates, threads=how.threads)
    losses: list[float] = []
    while len(losses) < how.steps:
        count = how.steps - len(losses) if how.shown is None else min(how.every, how.steps - len(losses))
        (values,) = program.run([*arrays, *limits], steps=count)
        losses += values.reshape(-1).tolist()
        show(len(losses), losses[-1])
    return losses


def checked_picture(who: str, picture: Any) -> np.ndarray:
    """The picture as an array. Raises InputError unless it is (channels, height, width) of finite floats."""
    pixels = np.asarray(picture)
    if pixels.ndim != 3 or pixels.dtype.name not in ("float32", "float64") or not pixels.size:
        raise InputError(
            f"{who}: a picture is float32 (channels, height, width), not {pixels.dtype} {pixels.shape}; of a batch "
            "images[0] is one, bytes are image.astype('float32') / 255"
        )
    if not np.isfinite(pixels).all():
        raise InputError(f"{who}: a picture's values are finite, and these are not all")
    return pixels
