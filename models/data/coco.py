"""COCO (Lin et al. 2014, arXiv:1405.0312): which objects an image shows, as classification; captions as metadata.

The instances file gives boxes with categories; here an image's classes are the categories that it has boxes of, or the
one that covers most of it. Format: https://cocodataset.org/#format-data. Leans on `images` to decode, on `places`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from .archives import AGAIN
from .errors import DataError
from .image_folder import SHAPE
from .images import ImageDataset, ImageFiles, check_shape
from .places import locate

NAME = "coco"
PARTS = ("train", "val")
FAULTS = (LookupError, TypeError, ValueError, ArithmeticError)
NEEDS = "annotations/instances_train2017.json and annotations/instances_val2017.json, with train2017/ and val2017/"


def coco(
    folder: str | os.PathLike[str] | None = None,
    shape: Sequence[int] = SHAPE,
    fit: str = "crop",
    year: int = 2017,
    several: bool = False,
) -> ImageDataset:
    """COCO from `folder`, else `$KERNELWRIGHT_DATA/coco`, its validation part as `test`; never downloaded.

    Labels as `instances` gives them; images read as `shape`, see `images.decode` for `fit`. Raises DataError naming
    what is missing, and what `instances` raises.
    """
    shape = check_shape(shape, fit)
    place = locate(NAME, folder, NEEDS)
    (train, classes), (test, others) = (
        instances(place / "annotations" / f"instances_{part}{year}.json", place / f"{part}{year}", shape, fit, several)
        for part in PARTS
    )
    if classes != others:
        raise DataError(f"{place}: the categories of {PARTS[0]}{year} and {PARTS[1]}{year} differ; {AGAIN}")
    return ImageDataset(NAME, train, test, classes)


def instances(
    annotations: str | os.PathLike[str],
    images: str | os.PathLike[str],
    shape: Sequence[int] = SHAPE,
    fit: str = "crop",
    several: bool = False,
) -> tuple[ImageFiles, tuple[str, ...]]:
    """(image files with labels, names of the categories) from an instances file and the folder of its images.

    Categories are numbered from 0 in the order of their ids. several=False: labels int32 (n,), the category whose boxes
    have the greatest area in sum, the lower id where two have the same; images without boxes are left out.
    several=True: labels uint8 (n, classes), 1 for each category with a box; no image is left out. Images are in the
    order of their ids. Raises DataError naming the annotations' file where it is missing or damaged, or an image that
    is not in the folder.
    """
    path, place = Path(annotations), Path(images)
    content = _load(path, ("images", "annotations", "categories"))
    try:
        categories = sorted((int(c["id"]), str(c["name"])) for c in content["categories"])
        files = sorted((int(i["id"]), _inside(i["file_name"])) for i in content["images"])
        areas = _areas(content["annotations"], [k for k, _ in files], [k for k, _ in categories])
    except FAULTS as error:
        raise DataError(f"{path}: not COCO's instances: {_fault(error)}; {AGAIN}") from None
    kept = np.arange(len(files)) if several else np.flatnonzero((areas > -1).any(1))
    labels = (areas > -1).astype("uint8") if several else areas[kept].argmax(1).astype("int32")
    paths = [place / files[i][1] for i in kept]
    _check_present(paths, place, path)
    return ImageFiles(paths, labels, shape, fit), tuple(name for _, name in categories)


def captions(annotations: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """The captions of a captions file by the name of the image's file, in the order in which the file has them.

    Raises DataError naming the file where it is missing or damaged.
    """
    path = Path(annotations)
    content = _load(path, ("images", "annotations"))
    try:
        names = {int(i["id"]): str(i["file_name"]) for i in content["images"]}
        found: dict[str, list[str]] = {name: [] for name in names.values()}
        for a in content["annotations"]:
            found[names[int(a["image_id"])]].append(str(a["caption"]))
    except FAULTS as error:
        raise DataError(f"{path}: not COCO's captions: {_fault(error)}; {AGAIN}") from None
    return {name: tuple(texts) for name, texts in found.items()}


def _areas(annotations: Any, images: list[int], categories: list[int]) -> np.ndarray:
    """(images, categories): the area of all boxes of a category in an image, -1 where it has none."""
    row, column = {k: i for i, k in enumerate(images)}, {k: i for i, k in enumerate(categories)}
    areas = np.full((len(images), len(categories)), -1.0)
    for a in annotations:
        at = row[int(a["image_id"])], column[int(a["category_id"])]
        width, height = float(a["bbox"][2]), float(a["bbox"][3])
        if not math.isfinite(width * height):
            raise ValueError(f"a box of {width} x {height}")
        areas[at] = max(areas[at], 0.0) + width * height
    return areas


def _inside(name: Any) -> str:
    """The name of an image's file. Raises ValueError for one that leads out of the folder of the images."""
    place = PurePath(str(name))
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(f"the file {name!r} is not in the folder of the images")
    return str(name)


def _load(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; COCO needs {NEEDS}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: truncated or damaged JSON: {error}; {AGAIN}") from None
    lacking = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if lacking:
        raise DataError(f"{path}: it has no list of {lacking[0]}, so it is not a file of COCO's annotations")
    result: dict[str, Any] = content
    return result


def _check_present(paths: list[Path], folder: Path, annotations: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} with the images of {annotations}")
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{missing[0]}: no such file; {len(missing)} of the {len(paths)} images of {annotations} are not there"
        )


def _fault(error: Exception) -> str:
    return f"no {error} in it, or none with this id" if isinstance(error, KeyError) else str(error)
