"""Data sets that are made, not read: points of the plane in two classes or under a surface, and pictures of shapes.

The points are the four classifications and the two regressions of TensorFlow Playground (Smilkov et al. 2017), after
its src/dataset.ts; the pictures stand in for photographs, so that a network for ImageNet has something to train on
where no images are. Leans on `dataset`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..checks import seed as checked_seed
from ..checks import whole
from .dataset import Dataset, Split
from .errors import DataError

POINTS = ("circle", "xor", "gauss", "spiral")
SIDES = ("negative", "positive")
SURFACES = ("plane", "bumps")
OTHER_NAMES = {"reg-plane": "plane", "reg-gauss": "bumps"}
"""What TensorFlow Playground calls them."""
SHAPES = ("disc", "square", "triangle", "cross")
HALF = 5.0
"""Points lie in a square from -5 to 5."""
REACH = 6.0
"""Points under a surface lie in a square from -6 to 6."""
BUMPS = np.array(
    [(-4, 2.5, 1), (0, 2.5, -1), (4, 2.5, 1), (-4, -2.5, -1), (0, -2.5, 1), (4, -2.5, -1)],
)
"""(x, y, height) of the tops of six cones of radius 2, up and down taking turns."""


def points(name: str, count: int = 500, noise: float = 0.1, seed: int = 0) -> Dataset:
    """`count` points (n, 2) for training and as many for testing, labels 0 and 1 taking turns.

    name: "circle" (1 inside of radius 2.5, 0 in a ring from 3.5 to 5), "xor" (1 where both coordinates have one sign),
    "gauss" (around (2, 2) and (-2, -2)) or "spiral" (two arms of 1.75 turns). noise: the deviation of what is added to
    both coordinates. Raises DataError for another name, SettingError for a count that is no whole number above 1.
    """
    if name not in _PLACES:
        raise DataError(f"there are no points called {name!r}; there are {', '.join(POINTS)}")
    rng = np.random.default_rng(checked_seed("points: seed", seed))
    labels = np.arange(whole("points: count", count, 2), dtype="int32") % 2
    parts = []
    for _ in range(2):
        places = _PLACES[name](rng, labels) + rng.normal(0.0, noise, (count, 2))
        parts.append(Split(places.astype("float32"), labels))
    return Dataset(name, parts[0], parts[1], SIDES)


def surface(name: str, count: int = 500, noise: float = 0.0, seed: int = 0) -> Dataset:
    """`count` points (n, 2) for training and as many for testing, uniform in the square from -6 to 6, whose labels are
    numbers, float32 (n, 1): the height of a surface.

    name: "plane", (x + y) / 10, or "bumps", six cones of height 1 and radius 2, three of them down. noise: the
    deviation of what is added to both coordinates where the height is read. The data set's one class is the height; a
    network learns it with one output and `kw.losses.mean_squared_error`. Raises DataError for another name,
    SettingError for a count that is no whole number above 1.
    """
    if name not in _HEIGHTS:
        raise DataError(f"there is no surface called {name!r}; there are {', '.join(SURFACES)}")
    rng = np.random.default_rng(checked_seed("surface: seed", seed))
    parts = []
    for _ in range(2):
        places = rng.uniform(-REACH, REACH, (whole("surface: count", count, 2), 2))
        heights = _HEIGHTS[name](places + rng.normal(0.0, noise, places.shape))
        parts.append(Split(places.astype("float32"), heights[:, None].astype("float32")))
    return Dataset(name, parts[0], parts[1], ("height",))


def shapes(shape: Sequence[int] = (3, 64, 64), count: int = 160, seed: int = 0) -> Dataset:
    """`count` pictures for training and a quarter as many for testing: a disc, square, triangle or cross (the classes)
    of a random size, place and brightness on an uneven ground with noise.

    shape: (channels, height, width), at least 8x8. Raises DataError for another shape.
    """
    if len(shape) != 3 or min(shape[1:]) < 8:
        raise DataError(f"shapes: pictures are (channels, height, width) of at least 8x8, not {tuple(shape)}")
    rng = np.random.default_rng(checked_seed("shapes: seed", seed))
    parts = []
    for n in (whole("shapes: count", count, 4 * len(SHAPES)), count // 4):
        labels = np.arange(n, dtype="int32") % len(SHAPES)
        parts.append(Split(np.stack([_picture(rng, shape, SHAPES[label]) for label in labels]), labels))
    return Dataset("shapes", parts[0], parts[1], SHAPES)


def _circle(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    inside = labels == 1
    radius = np.where(inside, rng.uniform(0.0, 2.5, len(labels)), rng.uniform(3.5, HALF, len(labels)))
    angle = rng.uniform(0.0, 2 * np.pi, len(labels))
    return _pairs(radius * np.cos(angle), radius * np.sin(angle))


def _xor(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    away = rng.uniform(0.3, HALF, (len(labels), 2))  # a gap along both axes
    first = rng.choice([-1.0, 1.0], len(labels))
    return _pairs(away[:, 0] * first, away[:, 1] * np.where(labels == 1, first, -first))


def _gauss(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    middle, spread = np.where(labels == 1, 2.0, -2.0), rng.normal(0.0, np.sqrt(0.5), (2, len(labels)))
    return _pairs(middle + spread[0], middle + spread[1])


def _spiral(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    along = rng.uniform(0.0, 1.0, len(labels))
    angle = 1.75 * 2 * np.pi * along + np.where(labels == 1, 0.0, np.pi)
    return _pairs(HALF * along * np.sin(angle), HALF * along * np.cos(angle))


def _pairs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, 2)"""
    result: np.ndarray = np.stack([x, y], 1)
    return result


_PLACES: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "circle": _circle,
    "xor": _xor,
    "gauss": _gauss,
    "spiral": _spiral,
}


def _plane(places: np.ndarray) -> np.ndarray:
    result: np.ndarray = places.sum(1) / 10
    return result


def _bumps(places: np.ndarray) -> np.ndarray:
    away = np.hypot(*(places[:, None] - BUMPS[:, :2]).transpose(2, 0, 1))
    result: np.ndarray = (np.maximum(1 - away / 2, 0) * BUMPS[:, 2]).sum(1)  # no two cones overlap
    return result


_HEIGHTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"plane": _plane, "bumps": _bumps}


def _picture(rng: np.random.Generator, shape: Sequence[int], kind: str) -> np.ndarray:
    """float32 `shape` in [0, 1]"""
    channels, height, width = shape
    size = rng.uniform(0.2, 0.35) * min(height, width)
    y, x = np.mgrid[:height, :width].astype("float32")
    middle_y, middle_x = rng.uniform(size, height - size), rng.uniform(size, width - size)
    right, down = np.abs(x - middle_x) / size, (y - middle_y) / size
    inside = {
        "disc": right**2 + down**2 <= 1,
        "square": np.maximum(right, np.abs(down)) <= 0.9,
        "triangle": (right <= (down + 1) / 2) & (down <= 1),
        "cross": (np.minimum(right, np.abs(down)) <= 0.3) & (np.maximum(right, np.abs(down)) <= 1),
    }[kind]
    slope = rng.uniform(-0.1, 0.1, (channels, 2, 1, 1))
    ground = rng.uniform(0.1, 0.3, (channels, 1, 1)) + slope[:, 0] * y / height + slope[:, 1] * x / width
    drawn = np.where(inside, rng.uniform(0.75, 1.0, (channels, 1, 1)), ground)
    result: np.ndarray = np.clip(drawn + rng.normal(0, 0.05, drawn.shape), 0, 1).astype("float32")
    return result
