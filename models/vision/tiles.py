"""Gradient ascent on a picture cut into tiles that overlap: memory is bounded by the tile, and one program serves all.

A pixel's gradient is that of the tile in which it lies farthest from the edges. It is the whole picture's wherever the
tile's edges, those of the picture apart, are out of reach of each value that the pixel takes part in. Leans on
`ascent`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from ...compiler.graph.autodiff import grad
from ...compiler.graph.tensor import Tensor, input
from ...compiler.pipeline import compile
from ..checks import SettingError, function, whole
from .ascent import TINY, Climb, Pixels
from .descent import Shown


class TiledAscent:
    """As `Ascent`, with the objective's mean over tiles of `side` pixels, or the picture's length where that is less.

    overlap: pixels along the inner edges of a tile whose gradient there does not count; with the largest part of the
    layers that one pixel reaches, less 1, nothing is left of the edges. Raises SettingError unless it is less than half
    the tile.
    """

    def __init__(self, objective: Callable[[Tensor], Tensor], held: Pixels, how: Climb, side: int, overlap: int):
        self.held, self.how = held, how
        channels, *size = held.picture().shape
        self.spans = [spans(length, side, overlap) for length in size]
        self.tile = tuple(min(side, length) for length in size)
        tile = input("tile", (1, channels, *self.tile), held.picture().dtype.name)
        value = objective(tile)
        self.program = compile([tile], [value, grad(value, tile)], threads=how.threads)
        self.reach = [max(how.shaking.jitter, length // 2) for length in self.tile]

    def climb(
        self, steps: int, rng: np.random.Generator, shown: Shown | None = None, every: int = 10, done: int = 0
    ) -> np.ndarray:
        """As `Ascent.climb`. Each step sees the picture shifted around its edges by up to half a tile, so that the
        tiles' edges lie elsewhere each time."""
        who = self.how.who
        count, pace = whole(f"{who}: steps", steps), whole(f"{who}: every", every)
        if shown is not None:
            function(f"{who}: shown", shown)
        values = np.zeros(count, "float32")
        for step in range(count):
            shift = [int(rng.integers(-reach, reach + 1)) for reach in self.reach]
            picture = self.held.picture()
            values[step], slope = self.gradient(np.roll(picture, shift, (1, 2)))
            slope = np.roll(slope, [-shift[0], -shift[1]], (1, 2))
            self.held.restart(picture + slope * (self.how.rate / (np.abs(slope).mean() + TINY)))
            if shown is not None and ((step + 1) % pace == 0 or step + 1 == count):
                shown(done + step + 1, self.held.picture(), float(values[step]))
        return values

    def gradient(self, picture: np.ndarray) -> tuple[float, np.ndarray]:
        """(the objective, the mean over tiles; its gradient by the pixels of (channels, height, width), as each tile's
        objective has it)."""
        slope, values = np.empty_like(picture), []
        height, width = self.tile
        for top, first, last in self.spans[0]:
            for left, begin, end in self.spans[1]:
                part = picture[None, :, top : top + height, left : left + width]
                value, each = self.program.run([np.ascontiguousarray(part)])
                slope[:, first:last, begin:end] = each[0, :, first - top : last - top, begin - left : end - left]
                values.append(float(value))
        return float(np.mean(values)), slope


def spans(length: int, side: int, overlap: int) -> list[tuple[int, int, int]]:
    """(start, first, last) of the tiles along an axis: where a tile begins, and the pixels [first, last) that count in
    it. They cover the axis once, at least `overlap` away from the tile's inner edges."""
    if 2 * overlap >= side:
        raise SettingError(f"dream: overlap is less than half the tile, {side}, not {overlap}: take a larger tile")
    starts = [*range(0, max(length - side, 0), side - 2 * overlap), max(length - side, 0)]
    cuts = [(a + side + b) // 2 for a, b in itertools.pairwise(starts)]
    return list(zip(starts, [0, *cuts], [*cuts, length], strict=True))
