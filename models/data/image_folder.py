"""A folder of images with one folder per class, as torchvision's ImageFolder and Keras read it.

Either `train/CLASS/*.jpg` and `test/CLASS/*.jpg` (or `val`, `validation`), or `CLASS/*.jpg` alone, of which every tenth
image is held back. Leans on `image_trees` for what lies where, on `images` to decode, which happens when an example is
read, and on `places`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import DataError
from .image_trees import PARTS, ArchiveTree, FolderTree, Images, Tree
from .images import ENDINGS, ImageDataset, ImageFiles, check_shape
from .places import locate

NAME = "image-folder"
HELD = PARTS[1:]
EVERY = 10
SHAPE = (3, 224, 224)
NEEDS = "train/CLASS/*.jpg and test/CLASS/*.jpg (or val), or CLASS/*.jpg alone; .jpeg and .png too"


def image_folder(
    folder: str | os.PathLike[str] | None = None, shape: Sequence[int] = SHAPE, fit: str = "crop"
) -> ImageDataset:
    """The images under `folder`, else `$KERNELWRIGHT_DATA/image-folder`, read as `shape` (channels, height, width).

    folder: also a tar archive of such a folder, plain or compressed, which is read into memory and not unpacked.
    fit: "crop" or "stretch", see `images.decode`. Classes are the names of the folders in `train`, sorted; files are
    taken in the order of their names, at any depth below their class. Where there is no `train`, every tenth image of
    each class is held back for testing. Raises DataError naming the folder where there are no classes, a class is
    empty, or the test part has a class that training lacks.
    """
    shape = check_shape(shape, fit)
    tree = _tree(folder)
    if not tree.has("train"):
        classes = _classes(tree)
        found = [_images(tree, name) for name in classes]
        held = [files[EVERY - 1 :: EVERY] for files in found]
        kept = [[file for i, file in enumerate(files) if i % EVERY != EVERY - 1] for files in found]
        if not any(held):
            raise DataError(
                f"{tree.where()}: no class has {EVERY} images, so none can be held back for testing; "
                "put them into train/CLASS and test/CLASS"
            )
        return ImageDataset(tree.name, _files(kept, shape, fit), _files(held, shape, fit), classes)
    test = next((name for name in HELD if tree.has(name)), None)
    if test is None:
        raise DataError(f"{tree.where()} has a folder train, but none of {', '.join(HELD)}")
    classes = _classes(tree, "train")
    strange = [name for name in _classes(tree, test) if name not in classes]
    if strange:
        raise DataError(
            f"{tree.where(test)} has the class {strange[0]!r}, which {tree.where('train')} lacks: "
            "both need the same names"
        )
    found = [_images(tree, "train", name) for name in classes]
    held = [_images(tree, test, name) if tree.has(test, name) else [] for name in classes]
    return ImageDataset(tree.name, _files(found, shape, fit), _files(held, shape, fit), classes)


def _tree(folder: str | os.PathLike[str] | None) -> Tree:
    if folder is not None and Path(folder).is_file():
        return ArchiveTree(Path(folder))
    return FolderTree(locate(NAME, folder, NEEDS))


def _classes(tree: Tree, *parts: str) -> list[str]:
    names = tree.folders(*parts)
    if not names:
        raise DataError(f"{tree.where(*parts)} has no folders, one for each class; it should hold {NEEDS}")
    return names


def _images(tree: Tree, *parts: str) -> Images:
    """The image files below a folder, in the order of their names."""
    found = tree.images(*parts)
    if not found:
        raise DataError(f"{tree.where(*parts)} has no images ({', '.join(ENDINGS)}); remove the folder or fill it")
    return found


def _files(by_class: Sequence[Images], shape: Sequence[int], fit: str) -> ImageFiles:
    labels = np.repeat(np.arange(len(by_class), dtype="int32"), [len(files) for files in by_class])
    return ImageFiles([file for files in by_class for file in files], labels, shape, fit)
