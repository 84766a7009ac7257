"""An image moved a little before each step, drawn anew, so that no pattern may hang on where a layer's grid lies, nor
on one angle or size (Olah, Mordvintsev, Schubert 2017, "Feature Visualization", on transformation robustness).

Shifts go around the edges; a turn and a change of size are one compiled warp. Leans on `geometry`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...compiler.graph.ops.indexing import gather
from ...compiler.graph.tensor import Tensor, input
from ..checks import NOT_NEGATIVE, Interval, number, whole
from ..images.geometry import rotation, scaling, warp

TURNS = Interval(0, 180, " from 0 to 180")


@dataclass(frozen=True)
class Shaking:
    """jitter: shifts are up to so many pixels each way; rotate: turns are up to so many degrees each way; scale: sizes
    are from 1 / (1 + scale) to 1 + scale times the image's. Raises SettingError for settings out of range."""

    who: str
    jitter: int = 0
    rotate: float = 0.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        whole(f"{self.who}: jitter", self.jitter, 0)
        number(f"{self.who}: rotate", self.rotate, TURNS)
        number(f"{self.who}: scale", self.scale, NOT_NEGATIVE)

    @property
    def warps(self) -> bool:
        """Whether there is more than shifts."""
        return self.rotate > 0 or self.scale > 0

    def shaken(self, image: Tensor, fill: float) -> tuple[list[Tensor], Tensor]:
        """(inputs that say how, the image (1, channels, height, width) moved so); outside of it is `fill`."""
        height, width = image.shape[2:]
        rows, columns = input("rows", (height,), "int64"), input("columns", (width,), "int64")
        moved = gather(gather(image, rows, 2), columns, 3)
        if not self.warps:
            return [rows, columns], moved
        matrix = input("warp", (1, 2, 3), image.dtype)
        return [rows, columns, matrix], warp(moved, matrix, fill=fill)

    def drawn(self, rng: np.random.Generator, size: tuple[int, int], steps: int, dtype: str) -> list[np.ndarray]:
        """The inputs' values, each with a first axis of steps, for images of this (height, width)."""
        places = [self._positions(rng, length, steps) for length in size]
        if not self.warps:
            return places
        angles = rng.uniform(-self.rotate, self.rotate, steps)
        factors = np.exp(rng.uniform(-1, 1, steps) * np.log1p(self.scale))
        chains = [
            rotation(float(angle), size).then(scaling(float(factor), size)).entries()
            for angle, factor in zip(angles, factors, strict=True)
        ]
        return [*places, np.array(chains, dtype).reshape(steps, 1, 2, 3)]

    def _positions(self, rng: np.random.Generator, size: int, steps: int) -> np.ndarray:
        """(steps, size): the positions along an axis, shifted around its ends."""
        shifts = rng.integers(-self.jitter, self.jitter + 1, steps)
        positions: np.ndarray = (np.arange(size) + shifts[:, None]) % size
        return positions
