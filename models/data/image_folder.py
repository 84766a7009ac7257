"""A folder of images with one folder per class, as torchvision's ImageFolder and Keras read it.

Either `train/CLASS/*.jpg` and `test/CLASS/*.jpg` (or `val`, `validation`), or `CLASS/*.jpg` alone, of which every tenth
image is held back. Leans on `images` to decode, which happens when an example is read, and on `places`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import DataError
from .images import ENDINGS, ImageDataset, ImageFiles, check_shape, is_image
from .places import locate

NAME = "image-folder"
HELD = ("test", "val", "validation")
EVERY = 10
SHAPE = (3, 224, 224)
NEEDS = "train/CLASS/*.jpg and test/CLASS/*.jpg (or val), or CLASS/*.jpg alone; .jpeg and .png too"


def image_folder(
    folder: str | os.PathLike[str] | None = None, shape: Sequence[int] = SHAPE, fit: str = "crop"
) -> ImageDataset:
    """The images under `folder`, else `$KERNELWRIGHT_DATA/image-folder`, read as `shape` (channels, height, width).

    fit: "crop" or "stretch", see `images.decode`. Classes are the names of the folders in `train`, sorted; files are
    taken in the order of their names, at any depth below their class. Where there is no `train`, every tenth image of
    each class is held back for testing. Raises DataError naming the folder where there are no classes, a class is
    empty, or the test part has a class that training lacks.
    """
    shape = check_shape(shape, fit)
    place = locate(NAME, folder, NEEDS)
    if not (place / "train").is_dir():
        classes = _classes(place)
        found = [_images(place / name) for name in classes]
        held = [files[EVERY - 1 :: EVERY] for files in found]
        kept = [[file for i, file in enumerate(files) if i % EVERY != EVERY - 1] for files in found]
        if not any(held):
            raise DataError(
                f"{place}: no class has {EVERY} images, so none can be held back for testing; "
                "put them into train/CLASS and test/CLASS"
            )
        return ImageDataset(place.name, _files(kept, shape, fit), _files(held, shape, fit), classes)
    test = next((place / name for name in HELD if (place / name).is_dir()), None)
    if test is None:
        raise DataError(f"{place} has a folder train, but none of {', '.join(HELD)}")
    classes = _classes(place / "train")
    strange = [name for name in _classes(test) if name not in classes]
    if strange:
        raise DataError(f"{test} has the class {strange[0]!r}, which {place / 'train'} lacks: both need the same names")
    found = [_images(place / "train" / name) for name in classes]
    held = [_images(test / name) if (test / name).is_dir() else [] for name in classes]
    return ImageDataset(place.name, _files(found, shape, fit), _files(held, shape, fit), classes)


def _classes(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise DataError(f"{folder} has no folders, one for each class; it should hold {NEEDS}")
    return names


def _images(folder: Path) -> list[Path]:
    """The image files below `folder`, in the order of their names."""
    found = sorted(path for path in folder.rglob("*") if is_image(path) and path.is_file())
    if not found:
        raise DataError(f"{folder} has no images ({', '.join(ENDINGS)}); remove the folder or fill it")
    return found


def _files(by_class: list[list[Path]], shape: Sequence[int], fit: str) -> ImageFiles:
    labels = np.repeat(np.arange(len(by_class), dtype="int32"), [len(files) for files in by_class])
    return ImageFiles([file for files in by_class for file in files], labels, shape, fit)
