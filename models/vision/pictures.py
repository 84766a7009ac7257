"""Images in and out: photographs from files, heat maps over images, sheets of pictures as PNG files, animations.

NumPy, and pillow (`pip install "kernelwright[images]"`) where files are read or written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import PROBABILITY, SettingError, number, whole
from ..data.errors import DataError
from ..data.images import decode

MISSING = "writing pictures needs Pillow: pip install 'kernelwright[images]' (or pip install pillow)"
SIGNED = np.array([[0.13, 0.30, 0.75], [0.62, 0.75, 0.93], [1.0, 1.0, 1.0], [0.96, 0.66, 0.55], [0.75, 0.08, 0.15]])
"""Colours for -1 to 1, from blue through white to red."""
HEAT = np.array([[0.0, 0.0, 0.02], [0.34, 0.06, 0.43], [0.73, 0.21, 0.33], [0.98, 0.55, 0.04], [0.99, 1.0, 0.64]])
"""Colours for 0 to 1, from black through violet, red and orange to yellow, each lighter than the one before."""


def load_image(path: str | os.PathLike[str], shape: Sequence[int], whole: bool = False) -> np.ndarray:
    """An image file as float32 of `shape` (channels, height, width) in [0, 1], upright, scaled and cropped in the
    middle; one channel makes it grey. whole: not cropped but scaled to fit, so that a side may be smaller. Raises
    DataError for a file that is no image, and without pillow."""
    channels, height, width = shape
    return decode(path, (channels, height, width), "within" if whole else "crop")


def save_image(path: str | os.PathLike[str], picture: Any) -> None:
    """Write a picture, (1 or 3, height, width) in [0, 1], as a PNG file of its size. Raises what `save_sheet` does."""
    _write(path, _rgb(picture))


def heat_map(values: Any, image: Any = None, opacity: float = 0.6, percentile: float = 99.5) -> np.ndarray:
    """A map (channels, height, width) or (height, width) as colours (3, height, width) in [0, 1].

    Channels are added. Maps with values below 0 go from blue through white (0) to red, others from black to yellow;
    the scale ends at this percentile of the magnitudes. image: (1 or 3, height, width) in [0, 1], laid below in grey,
    with the map of this `opacity` above it.
    """
    flat = np.asarray(values, "float64")
    flat = flat.sum(0) if flat.ndim == 3 else flat
    if flat.ndim != 2:
        raise SettingError(f"heat_map: a map is (channels, height, width) or (height, width), not {flat.shape}")
    end = np.percentile(np.abs(flat), number("heat_map: percentile", percentile)) or np.abs(flat).max() or 1.0
    if flat.min() < 0:
        colours = coloured(np.clip(flat / end, -1, 1) / 2 + 0.5, SIGNED)
    else:
        colours = coloured(np.clip(flat / end, 0, 1), HEAT)
    if image is None:
        return colours
    share = number("heat_map: opacity", opacity, PROBABILITY)
    grey = np.clip(np.asarray(image, "float64").mean(0), 0, 1)
    blended: np.ndarray = colours * share + grey * (1 - share)
    return blended


def save_sheet(
    path: str | os.PathLike[str], rows: Sequence[Sequence[Any]], scale: int | None = None, above: Sequence[str] = ()
) -> None:
    """Write rows of pictures, each (1 or 3, height, width) in [0, 1], as one PNG file.

    scale: how many pixels of the file a pixel is wide, by default as many as make a picture about 112 wide. above: a
    text over each column, of at most as many as there are columns. Raises SettingError for pictures of several sizes
    and for more texts, DataError without pillow, OSError for a file that cannot be written.
    """
    pictures = [[_rgb(picture) for picture in row] for row in rows]
    height, width = pictures[0][0].shape[:2]
    times = max(1, round(112 / width)) if scale is None else whole("save_sheet: scale", scale)
    tall, wide, gap = height * times, width * times, 4
    most = max(map(len, pictures))
    sheet = np.full((len(rows) * (tall + gap) + gap, most * (wide + gap) + gap, 3), 255, "uint8")
    for i, row in enumerate(pictures):
        for j, picture in enumerate(row):
            if picture.shape[:2] != (height, width):
                raise SettingError(f"save_sheet: pictures of {height}x{width} and of {picture.shape[:2]} on one sheet")
            top, left = gap + i * (tall + gap), gap + j * (wide + gap)
            sheet[top : top + tall, left : left + wide] = picture.repeat(times, 0).repeat(times, 1)
    if len(above) > most:
        raise SettingError(f"save_sheet: {len(above)} texts above {most} columns")
    if above:
        sheet = np.concatenate([_texts(above, [gap + j * (wide + gap) for j in range(most)], sheet.shape[1]), sheet])
    _write(path, sheet)


def _texts(texts: Sequence[str], places: Sequence[int], width: int) -> np.ndarray:
    """A white strip (height, width, 3) with black texts that begin at these places."""
    strip = _pillow().new("RGB", (width, 16), "white")
    from PIL import ImageDraw  # there, as pillow is

    draw = ImageDraw.Draw(strip)
    for text, left in zip(texts, places, strict=False):
        draw.text((left, 3), text, fill="black")
    return np.asarray(strip)


def _write(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Bytes (height, width, 3) as a PNG file."""
    _pillow().fromarray(pixels).save(Path(path), "PNG")


def _pillow() -> Any:
    """PIL.Image; DataError where it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(MISSING) from None
    return Image


def _rgb(picture: Any) -> np.ndarray:
    """(height, width, 3) bytes."""
    pixels = np.asarray(picture, "float64")
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise SettingError(f"a picture that is written is (1 or 3, height, width), not {pixels.shape}")
    bytes_ = np.rint(np.clip(pixels, 0, 1) * 255).astype("uint8")
    return np.broadcast_to(bytes_, (3, *pixels.shape[1:])).transpose(1, 2, 0)


def coloured(places: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """(3, height, width): `places` in [0, 1] between evenly spaced colours."""
    marks = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(places, marks, channel) for channel in colours.T])


def save_animation(path: str | os.PathLike[str], frames: Iterable[Any], milliseconds: int = 80, scale: int = 1) -> None:
    """Write pictures, each (1 or 3, height, width) in [0, 1], as a GIF that goes on for ever, each shown for so long.

    scale: how many pixels of the file a pixel is wide. Raises DataError without pillow, OSError for a file that cannot
    be written, SettingError for settings out of range and for no pictures.
    """
    wait, times = whole("save_animation: milliseconds", milliseconds, 20), whole("save_animation: scale", scale)
    pictures = [_rgb(frame).repeat(times, 0).repeat(times, 1) for frame in frames]
    if not pictures:
        raise SettingError("save_animation: frames has no picture")
    first, *others = [_pillow().fromarray(picture) for picture in pictures]
    first.save(Path(path), "GIF", save_all=True, append_images=others, duration=wait, loop=0)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 (channels, *size) from (channels, height, width), bilinear between the centres of pixels."""
    have = image.shape[1:]
    return _sampled(image, [(np.arange(n) + 0.5) * (old / n) - 0.5 for old, n in zip(have, size, strict=True)])


def enlarged(image: np.ndarray, factor: float) -> np.ndarray:
    """float32, of the image's size (channels, height, width): its middle, `factor` times as large, bilinear."""
    middles = [(length - 1) / 2 for length in image.shape[1:]]
    return _sampled(image, [middle + (np.arange(2 * middle + 1) - middle) / factor for middle in middles])


def _sampled(image: np.ndarray, places: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (channels, rows, columns): bilinear at these places along the two axes, the nearest pixel beyond ends."""
    result = image.astype("float32")
    for axis, wanted in zip((1, 2), places, strict=True):
        last = result.shape[axis] - 1
        inside = np.clip(wanted, 0, last)
        low = np.floor(inside).astype(int)
        share = (inside - low).astype("float32").reshape(-1, *(1,) * (2 - axis))
        high = np.minimum(low + 1, last)
        result = result.take(low, axis) * (1 - share) + result.take(high, axis) * share
    return result
