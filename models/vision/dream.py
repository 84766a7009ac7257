"""Dreams: pictures in which layers see more of what they see, or of what they see in a guide, at growing sizes.

Mordvintsev, Olah, Tyka, "Inceptionism" (2015). Leans on `ascent` and, for pictures of any size, on `tiles`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.tensor import Tensor, as_tensor, input
from ...compiler.pipeline import compile
from ..checks import POSITIVE, SettingError, number, whole
from ..checks import seed as checked_seed
from .ascent import Ascent, Climb, Pixels
from .bounds import Box, checked_box, edges
from .descent import Shown, checked_picture
from .features import Network, several, trunk, weighted
from .pictures import resized
from .receptive import receptive_field
from .shaken import Shaking
from .tiles import TiledAscent

Layers = str | Sequence[str] | Mapping[str, float]


def dream(
    network: Network,
    image: Any,
    layer: Layers,
    octaves: int = 3,
    scale: float = 1.4,
    steps: int = 10,
    rate: float = 0.02,
    jitter: int = 8,
    guide: Any = None,
    tile: int | None = None,
    overlap: int | None = None,
    box: Box = (0.0, 1.0),
    seed: int = 0,
    threads: int | None = None,
    shown: Shown | None = None,
    every: int = 10,
) -> np.ndarray:
    """The image, float (channels, height, width), in which a layer sees more of what it sees: ascent on the mean square
    of the layer's values, at growing sizes (Mordvintsev, Olah, Tyka 2015, "Inceptionism").

    layer: as in `features`, or several: a list, which count alike, or {name: weight}. octaves: sizes, each `scale`
    times the one before, the last the image's own; what was added at one is kept at the next. Of a Sequential the
    layers after the last one named need not take such images.

    guide: another image (channels, any height, any width), towards what is seen in which the image is changed: the
    objective is, for each place of a layer, the greatest dot product with the values at any place of the guide, divided
    by the channels, and the mean over places.

    tile: gradients are those of tiles of so many pixels a side, which bounds the memory; each step cuts them elsewhere.
    overlap: how far from a tile's edges its gradient begins to count, by default as far as a value of the layers sees,
    but a quarter of the tile at most.

    shown: called with (steps done at all sizes, the picture at its present size, the objective) after every `every`
    steps. The same seed gives the same image. Raises InputError for what is no image, and SettingError for layers that
    there are not and settings out of range.
    """
    dreamer = Dreamer("dream", network, layer, octaves, scale, steps, rate, jitter, guide, tile, overlap, box, threads)
    return dreamer.dream(image, np.random.default_rng(checked_seed("dream: seed", seed)), shown, every)


class Dreamer:
    """Dreams of one network, with the settings of `dream`; programs are kept for the sizes that they were made for."""

    def __init__(
        self,
        who: str,
        network: Network,
        layer: Layers,
        octaves: int,
        scale: float,
        steps: int,
        rate: float,
        jitter: int,
        guide: Any,
        tile: int | None,
        overlap: int | None,
        box: Box,
        threads: int | None,
    ):
        self.who, self.network, self.threads = who, network, threads
        self.weights = weighted(f"{who}: layer", layer)
        if not self.weights:
            raise SettingError(f"{who}: layer has to name a layer")
        self.octaves, self.factor = whole(f"{who}: octaves", octaves), number(f"{who}: scale", scale)
        if self.factor <= 1:
            raise SettingError(f"{who}: scale is above 1, not {scale!r}")
        self.steps, self.rate = whole(f"{who}: steps", steps), number(f"{who}: rate", rate, POSITIVE)
        self.jitter, self.box = whole(f"{who}: jitter", jitter, 0), checked_box(who, box)
        self.tile = None if tile is None else whole(f"{who}: tile", tile, 8)
        self.overlap = None if overlap is None else whole(f"{who}: overlap", overlap, 0)
        self.guides = [None] * len(self.weights) if guide is None else self._seen_in(checked_picture(who, guide))
        self._climbers: dict[tuple[int, ...], Ascent | TiledAscent] = {}

    def dream(
        self, image: Any, rng: np.random.Generator, shown: Shown | None = None, every: int = 10, done: int = 0
    ) -> np.ndarray:
        """The image (channels, height, width), dreamt, float32. done: steps that `shown` is told were before."""
        picture = checked_picture(self.who, image).astype("float32")
        height, width = picture.shape[1:]
        added = np.zeros_like(picture)
        for octave in reversed(range(self.octaves)):
            size = max(1, round(height / self.factor**octave)), max(1, round(width / self.factor**octave))
            base = resized(picture, size)
            climber = self._climber((len(picture), *size))
            climber.held.restart(base + resized(added, size))  # type: ignore[attr-defined]
            climber.climb(self.steps, rng, shown, every, done)
            added, done = climber.held.picture() - base, done + self.steps
        dreamt: np.ndarray = np.clip(picture + added, *edges(self.box, "float32"))
        return dreamt

    def objective(self, x: Tensor) -> Tensor:
        """A scalar: the layers' strengths by their weights."""
        values = several(self.network, x, list(self.weights))
        terms = zip(self.weights.values(), values, self.guides, strict=True)
        return functools.reduce(operator.add, [weight * strength(value, guide) for weight, value, guide in terms])

    def _climber(self, shape: tuple[int, ...]) -> Ascent | TiledAscent:
        """The program for pictures of a shape, made when it is asked for first."""
        if shape not in self._climbers:
            jitter = min(self.jitter, min(shape[1:]) // 4)
            how = Climb(self.who, self.rate, Shaking(self.who, jitter), threads=self.threads)
            held = Pixels(np.zeros((1, *shape), "float32"), self.box)
            if self.tile is None or max(shape[1:]) <= self.tile:
                self._climbers[shape] = Ascent(self.objective, held, how)
            else:
                overlap = self._overlap(shape[0], self.tile) if self.overlap is None else self.overlap
                self._climbers[shape] = TiledAscent(self.objective, held, how, self.tile, overlap)
        return self._climbers[shape]

    def _overlap(self, channels: int, tile: int) -> int:
        """As far as a value in the middle of a tile sees, less 1; at most a quarter of the tile."""
        shape, far = (channels, tile, tile), 0
        x = input("tile", (1, *shape))
        for name, value in zip(self.weights, several(self.network, x, list(self.weights)), strict=True):
            if value.rank != 4:
                raise SettingError(f"{self.who}: {name} gives {value.shape}; with tile a layer has height and width")
            middle = [int(length) // 2 for length in value.shape[2:]]  # type: ignore[arg-type]
            field = receptive_field(trunk(self.network, [name]), shape, name, middle)
            far = max(far, *(each.stop - each.start - 1 for each in field))
        return min(far, tile // 4)

    def _seen_in(self, guide: np.ndarray) -> list[np.ndarray | None]:
        """(places, channels) of each layer: the guide's values."""
        pixels = guide.astype("float32")
        x = input("guide", (1, *pixels.shape))
        values = compile([x], several(self.network, x, list(self.weights)), threads=self.threads).run([pixels[None]])
        if not any(value.any() for value in values):
            raise InputError(f"{self.who}: {', '.join(self.weights)} are 0 throughout for the guide: take other layers")
        return [np.ascontiguousarray(value.reshape(value.shape[1], -1).T) for value in values]


def strength(value: Tensor, guide: np.ndarray | None) -> Tensor:
    """The mean square of a layer's values; with a guide (places, channels) the mean over the layer's places of the
    greatest dot product with a place of the guide, divided by the channels."""
    if guide is None:
        return (value * value).mean()
    channels = int(guide.shape[1])
    nearest: Tensor = (as_tensor(guide) @ value.reshape(channels, -1)).max(0).mean()
    return nearest / channels
