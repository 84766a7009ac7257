"""The images that excite a channel most, each cut down to what the channel sees there.

As in the figures of Zeiler and Fergus 2013 (arXiv:1311.2901, figure 2). Leans on `responses` for values and on
`receptive` for what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import number, whole
from .explain import checked_images
from .features import Network, features
from .receptive import receptive_field
from .responses import channel_of, computed


@dataclass(frozen=True, eq=False)
class Exciting:
    """indices: (count,), which images, the most exciting first; positions: (count, 2), row and column in the layer of
    each one's greatest value, (count, 0) for a dense layer; values: (count,), those values; fields: what is seen from
    there, (rows, columns) as slices of the image; crops: (count, channels, height, width), these parts."""

    indices: np.ndarray
    positions: np.ndarray
    values: np.ndarray
    fields: tuple[tuple[slice, slice], ...]
    crops: np.ndarray


def exciting(
    network: Network,
    images: Any,
    layer: str,
    channel: int,
    count: int = 9,
    fill: float = 0.0,
    batch: int = 128,
    device: str = "cpu",
    threads: int | None = None,
) -> Exciting:
    """The images in which a channel of a layer reaches its greatest values, at most one place in each.

    images: float array (n, channels, height, width). layer: as in `features`; a dense layer's channel is one unit.
    All crops have the size of the largest of their fields; what lies outside of the image is `fill`. Of equal values
    the first image's counts. Raises InputError for other images, SettingError for a layer or channel that there is not.
    """
    pixels, wanted = checked_images("exciting", images), whole("exciting: count", count)
    outside = number("exciting: fill", fill)

    def one(x: Any) -> Sequence[Any]:
        return [channel_of("exciting", features(network, x, layer), layer, channel)]

    (found,) = computed(one, pixels, batch, device, threads)
    flat = found.reshape(len(found), -1)
    places, values = flat.argmax(1), flat.max(1)
    indices = np.argsort(-values, kind="stable")[:wanted]
    unit = found.shape[1:]
    positions = np.stack(np.unravel_index(places[indices], unit), 1) if unit else np.zeros((len(indices), 0), int)
    known: dict[tuple[int, ...], tuple[slice, slice]] = {}
    for position in {tuple(map(int, each)) for each in positions}:
        known[position] = receptive_field(network, pixels.shape[1:], layer, position, channel, pixels.dtype.name)
    fields = tuple(known[tuple(map(int, each))] for each in positions)
    return Exciting(indices, positions, values[indices], fields, cropped(pixels[indices], fields, outside))


def cropped(pixels: np.ndarray, fields: Sequence[tuple[slice, slice]], fill: float = 0.0) -> np.ndarray:
    """(n, channels, height, width): each image's rows and columns. All have the size of the largest; a smaller one, cut
    off by an edge of the image, has `fill` on that side."""
    tall, wide = (max(field[axis].stop - field[axis].start for field in fields) for axis in (0, 1))
    crops = np.full((*pixels.shape[:2], tall, wide), fill, pixels.dtype)
    for crop, image, (rows, columns) in zip(crops, pixels, fields, strict=True):
        crop[:, _placed(rows, tall), _placed(columns, wide)] = image[:, rows, columns]
    return crops


def _placed(part: slice, size: int) -> slice:
    """Where a part of an axis lies in a crop: at the end where it is cut off at the image's beginning."""
    have = part.stop - part.start
    return slice(size - have, size) if part.start == 0 else slice(0, have)
