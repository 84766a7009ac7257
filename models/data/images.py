"""Image files decoded when they are asked for: one file becomes one array of the wanted shape.

Leans on Pillow, the extra `images`, imported when the first file is decoded.
"""

from __future__ import annotations

import io
import os
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from . import archives
from .errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png")
FITS = ("crop", "stretch")
MODES = {1: "L", 3: "RGB"}
LARGEST = 1 << 27
"""Pixels of a file that is decoded: more than any camera's, and half a gigabyte while it is decoded in colour."""
FAULTS = (*archives.FAULTS, SyntaxError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What Pillow raises for damaged files, depending on the format and on the place of the damage."""
ORIENTATION = 0x0112
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF's tag of the camera's orientation (CIPA DC-008, 4.6.4 A), and what turns an image upright, by its values."""
MISSING = "reading JPEG and PNG files needs Pillow: pip install 'kernelwright[images]' (or pip install pillow)"


@dataclass(frozen=True, eq=False)
class PackedImage:
    """The bytes of an image file that lies in an archive."""

    archive: Path
    name: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.archive}, {self.name}"


ImageFile = str | os.PathLike[str] | PackedImage


def is_image(path: PurePath) -> bool:
    """Whether `path` is called like an image file that can be read."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def check_shape(shape: Sequence[int], fit: str) -> tuple[int, int, int]:
    """`shape` as (channels, height, width). Raises DataError for one that no image can be given, or an unknown fit."""
    if len(shape) != 3 or shape[0] not in MODES or min(shape) < 1:
        raise DataError(f"images are read as (channels, height, width) with 1 or 3 channels, not {tuple(shape)}")
    if fit not in FITS:
        raise DataError(f"fit is one of {', '.join(FITS)}, not {fit!r}")
    channels, height, width = shape
    return channels, height, width


def decode(path: ImageFile, shape: tuple[int, int, int], fit: str = "crop") -> np.ndarray:
    """`decode_bytes` as float32 in [0, 1]."""
    result: np.ndarray = np.divide(decode_bytes(path, shape, fit), np.float32(255), dtype=np.float32)
    return result


def decode_bytes(path: ImageFile, shape: tuple[int, int, int], fit: str = "crop") -> np.ndarray:
    """The image in a JPEG or PNG file as uint8 (channels, height, width); 3 channels are red, green, blue.

    fit: "crop" scales, with antialiasing, until the image covers the size, and cuts off what is over on both sides;
    "stretch" scales each side by itself; "within" scales until the image is as large as fits and keeps its proportions,
    so that one side may be less than asked for. An image that EXIF says was taken turned is turned upright first.
    Transparency is dropped. Raises DataError naming a file that is missing, damaged, cut off or no image, and where
    Pillow is missing.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise DataError(MISSING) from None
    channels, height, width = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `LARGEST` is the limit here
            file = Image.open(io.BytesIO(path.content) if isinstance(path, PackedImage) else path)
        with file:
            if file.width * file.height > LARGEST:
                raise ValueError(f"{file.width} x {file.height} pixels, at most {LARGEST:,} are read")
            file.load()  # here, so that reading EXIF data meets no faults of the pixels
            image = _upright(file, _in_mode(file, MODES[channels]))
            if image.size != (width, height):
                bilinear = Image.Resampling.BILINEAR
                size = (width, height)
                fits: dict[str, Any] = {
                    "crop": ImageOps.fit,
                    "stretch": Image.Image.resize,
                    "within": ImageOps.contain,
                }
                image = fits[fit](image, size, bilinear)
            pixels = np.asarray(image, np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; it was there when the data set was opened") from None
    except (*FAULTS, Image.DecompressionBombError) as error:
        what = "not an image" if type(error).__name__ == "UnidentifiedImageError" else f"cannot be decoded ({error})"
        raise DataError(f"{path}: {what}; remove the file or replace it by a whole one") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _in_mode(image: Any, mode: str) -> Any:
    """The image in 8 bits a channel; of 16-bit grey, which Pillow would cut off at 255, the upper 8."""
    if image.mode.startswith("I"):
        from PIL import Image

        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _upright(file: Any, image: Any) -> Any:
    """The image as it was seen, turned as the file's EXIF data says; damaged EXIF data says nothing."""
    from PIL.Image import Transpose

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of damaged data
            turn = TURNS.get(file.getexif().get(ORIENTATION))
    except (*FAULTS, UserWarning):
        turn = None
    return image if turn is None else image.transpose(Transpose[turn])


class ImageFiles:
    """Image files with their labels, as a source of examples: nothing is read before an example is asked for.

    paths: n files, or `PackedImage` of an archive. labels: integers (n,), or (n, classes) zeros and ones where an image
    has several. shape: what each image becomes, (channels, height, width); fit: how, see `decode`. Raises DataError
    where these do not fit.
    """

    def __init__(self, paths: Sequence[ImageFile], labels: Any, shape: Sequence[int], fit: str = "crop"):
        if len(paths) != len(labels):
            raise DataError(f"{len(paths)} image files but {len(labels)} labels")
        self.paths = [path if isinstance(path, PackedImage) else Path(path) for path in paths]
        self.labels = np.asarray(labels)
        self.shape, self.fit = check_shape(shape, fit), fit

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, position: int) -> np.ndarray:
        """The image at `position`, float32 of `shape` in [0, 1]. Raises as `decode`."""
        return decode(self.paths[position], self.shape, self.fit)

    def decoded(self, workers: int | None = None) -> np.ndarray:
        """All images, uint8 (n, *shape), for a set of small images that memory holds; an epoch then decodes nothing.

        workers: threads that decode, by default one per core, at most 8. Raises as `decode`.
        """
        out = np.empty((len(self), *self.shape), np.uint8)

        def fill(position: int) -> None:
            out[position] = decode_bytes(self.paths[position], self.shape, self.fit)

        with ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 8)) as pool:
            deque(pool.map(fill, range(len(self)), chunksize=64), maxlen=0)
        return out

    def where(self, position: int) -> str:
        """The file, for messages."""
        return str(self.paths[position])

    def subset(self, count: int) -> ImageFiles:
        """The first `count` examples. Raises DataError where there are fewer."""
        self._check_count(count)
        return self.take(np.arange(count))

    def split(self, count: int) -> tuple[ImageFiles, ImageFiles]:
        """(all but the last `count` examples, the last `count`). Raises DataError where there are fewer."""
        self._check_count(count)
        cut = len(self) - count
        return self.take(np.arange(cut)), self.take(np.arange(cut, len(self)))

    def take(self, positions: np.ndarray) -> ImageFiles:
        """The examples at these positions, in this order."""
        return ImageFiles([self.paths[i] for i in positions], self.labels[positions], self.shape, self.fit)

    def _check_count(self, count: int) -> None:
        if not 0 <= count <= len(self):
            raise DataError(f"cannot take {count} examples of {len(self)}")

    def __repr__(self) -> str:
        return f"<ImageFiles: {len(self)} files as {self.shape}>"


class ImageDataset:
    """`train` and `test`, image files over the same classes, and `validation` where a part was held out
    (`kw.data.hold_out`). Raises DataError for a part without examples."""

    def __init__(
        self,
        name: str,
        train: ImageFiles,
        test: ImageFiles,
        classes: Sequence[str],
        validation: ImageFiles | None = None,
    ):
        self.name, self.train, self.test, self.classes = name, train, test, tuple(classes)
        self.validation = validation
        for part, files in self._parts().items():
            if not len(files):
                raise DataError(f"{name}, {part}: there are no images")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width)"""
        return self.train.shape

    def _parts(self) -> dict[str, ImageFiles]:
        held = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, **held, "test": self.test}

    def __repr__(self) -> str:
        sizes = " + ".join(str(len(files)) for files in self._parts().values())
        return f"<ImageDataset {self.name}: {sizes} files as {self.input_shape}>"
