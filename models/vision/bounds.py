"""What an attack may change: balls around images inside a box of pixel values, kept to the last bit. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ..checks import SettingError, number

Box = tuple[float, float]
NORMS = ("linf", "l2")


def checked_box(who: str, box: Any) -> Box:
    """(least, greatest) pixel value. Raises SettingError, in the name of `who`, for anything else."""
    if not isinstance(box, (tuple, list)) or len(box) != 2:
        raise SettingError(f"{who}: box is (least, greatest), not {box!r}")
    low, high = number(f"{who}: box, least,", box[0]), number(f"{who}: box, greatest,", box[1])
    if low >= high:
        raise SettingError(f"{who}: box is (least, greatest), not {box!r}")
    return low, high


def edges(box: Box, dtype: Any) -> tuple[Any, Any]:
    """The least and the greatest number of a dtype that lie in the box."""
    kind, middle = np.dtype(dtype).type, 0.5 * (box[0] + box[1])
    low, high = kind(box[0]), kind(box[1])
    low = np.nextafter(low, kind(middle)) if float(low) < box[0] else low
    high = np.nextafter(high, kind(middle)) if float(high) > box[1] else high
    return low, high


def check_in_box(pixels: np.ndarray, box: Box, who: str = "attack") -> None:
    """Raises InputError for images that are not finite or leave the box."""
    if not ((pixels >= box[0]) & (pixels <= box[1])).all():
        raise InputError(
            f"{who}: images have values from {pixels.min():g} to {pixels.max():g}, outside of box={box}, the values "
            "that a pixel may have; give theirs"
        )


def distance(pixels: np.ndarray, changed: np.ndarray, norm: str) -> np.ndarray:
    """(n,) float64: how far each changed image is from its own, by the greatest number or the Euclidean length."""
    change = (changed.astype("float64") - pixels).reshape(len(pixels), -1)
    far: np.ndarray = np.abs(change).max(1) if norm == "linf" else np.sqrt((change * change).sum(1))
    return far


def ball(pixels: np.ndarray, radius: float, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """(least, greatest) that each number may become, of the images' dtype: no further than `radius` from where it is,
    and inside the box. Between them may lie what is outside of an L2 ball: `inside` sees to that."""
    ends = []
    for direction in (-1.0, 1.0):
        end = (pixels.astype("float64") + direction * radius).astype(pixels.dtype)
        over = np.abs(end.astype("float64") - pixels) > radius  # rounded away from the image
        ends.append(np.where(over, np.nextafter(end, pixels), end))
    low, high = edges(box, pixels.dtype)
    return np.maximum(ends[0], low), np.minimum(ends[1], high)


def inside(pixels: np.ndarray, changed: np.ndarray, radius: float, norm: str) -> np.ndarray:
    """The changed images, those that rounding left outside the ball drawn nearer to their own until none is."""
    factor, margin = np.ones(len(pixels)), 2.0**-24
    result = changed
    while (over := distance(pixels, result, norm) > radius).any():
        length = np.where(over, distance(pixels, changed, norm), 1.0)
        factor = np.where(over, np.minimum(1.0, radius / length) * max(0.0, 1 - margin), factor)
        shares = factor.reshape(-1, *(1,) * (pixels.ndim - 1))
        nearer = (pixels + (changed.astype("float64") - pixels) * shares).astype(pixels.dtype)
        result = np.where(over.reshape(shares.shape), nearer, result)
        margin *= 2
    return result


def drawn(pixels: np.ndarray, radius: float, norm: str, seed: int, fill: bool) -> np.ndarray:
    """The images moved at random, evenly within the ball (`fill`), or else onto its surface: its corners for "linf"."""
    rng = np.random.default_rng(seed)
    if norm == "linf":
        move = rng.uniform(-1, 1, pixels.shape)
        move = move if fill else np.where(move < 0, -1.0, 1.0)
    else:
        move = rng.normal(size=(len(pixels), pixels[0].size))
        move /= np.sqrt((move * move).sum(1, keepdims=True))
        move *= rng.random((len(pixels), 1)) ** (1 / pixels[0].size) if fill else 1.0
    return (pixels + move.reshape(pixels.shape) * radius).astype(pixels.dtype)
