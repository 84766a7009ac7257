"""Data sets, by name: `digits` ships with the package, some are made, others are read or downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from . import idx_sets
from .cifar import cifar10, cifar100
from .coco import captions as coco_captions
from .coco import coco
from .coco import instances as coco_instances
from .dataset import Dataset, Split
from .digits import digits
from .errors import DataError
from .holdout import hold_out
from .idx_sets import emnist, fashion_mnist, mnist, usps
from .image_folder import SHAPE, image_folder
from .images import ImageDataset, ImageFiles
from .loader import Loader
from .made import OTHER_NAMES, POINTS, SURFACES, points, shapes, surface
from .sources import InMemory, Source

IN_MEMORY: dict[str, Callable[[Any], Dataset]] = {
    **{name: partial(idx_sets.read, row) for name, row in idx_sets.TABLE.items()},
    "usps": usps,
    "cifar10": cifar10,
    "cifar100": cifar100,
}
"""Readers of a folder, or of the usual place where it is None."""
MADE = (*POINTS, *SURFACES, "shapes")
"""Sets that are made when they are asked for."""
FROM_FILES: dict[str, Callable[..., ImageDataset]] = {"image-folder": image_folder, "coco": coco}
"""Readers of a folder (or None) and the shape that images are to have."""


def names() -> list[str]:
    """The data sets that `load` knows."""
    return ["digits", *MADE, *IN_MEMORY, *FROM_FILES]


def load(
    name: str, folder: str | os.PathLike[str] | None = None, shape: Sequence[int] = SHAPE
) -> Dataset | ImageDataset:
    """The data set called `name`, from `folder` where it is not in the usual place.

    shape: (channels, height, width) that the images of `image-folder` and `coco` are scaled to and `shapes` are made
    in; the others have their own. Raises DataError for a name that is not known, a folder given for a set that has
    none, and what the reader raises.
    """
    name = OTHER_NAMES.get(name, name)
    if name == "digits":
        if folder is not None:
            raise DataError(f"digits ships with the package and is not read from a folder ({folder}); mnist is")
        return digits()
    if name in MADE:
        if folder is not None:
            raise DataError(f"{name} is made and not read from a folder ({folder})")
        if name in SURFACES:
            return surface(name)
        return shapes(shape) if name == "shapes" else points(name)
    if name in FROM_FILES:
        return FROM_FILES[name](folder, shape)
    if name in IN_MEMORY:
        return IN_MEMORY[name](folder)
    raise DataError(f"there is no data set {name!r}; there are {', '.join(names())}")


__all__ = [
    "DataError",
    "Dataset",
    "ImageDataset",
    "ImageFiles",
    "InMemory",
    "Loader",
    "Source",
    "Split",
    "cifar10",
    "cifar100",
    "coco",
    "coco_captions",
    "coco_instances",
    "digits",
    "emnist",
    "fashion_mnist",
    "hold_out",
    "image_folder",
    "load",
    "mnist",
    "names",
    "points",
    "shapes",
    "surface",
    "usps",
]
