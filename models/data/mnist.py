"""MNIST (LeCun, Cortes, Burges 1998): the four official IDX files from a folder, or downloaded once by `download`.

60,000 training and 10,000 test images of 28x28. Leans on `idx` to read and on platformdirs for the user's folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from .dataset import Dataset, Split, as_images
from .download import fetch
from .errors import DataError
from .idx import read_pair

CLASSES = tuple("0123456789")
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FILES = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""Each file and the MD5 of its gzip form."""


def mnist(folder: str | os.PathLike[str] | None = None, download: bool = True) -> Dataset:
    """The full MNIST from `folder`, else `$KERNELWRIGHT_DATA/mnist`, else the user's data folder, else the network.

    A folder that was named, by the argument or by the variable, is never written to. Raises DataError naming the file
    or folder where one is missing, damaged or cannot be fetched.
    """
    named = _named_folder(folder)
    place = user_folder() if named is None else named
    if named is None and download:
        download_missing(place, MIRRORS)
    if not place.is_dir():
        raise DataError(f"there is no folder {place}; it should hold {', '.join(FILES)} (plain or .gz)")
    train_images, train_labels, test_images, test_labels = (find(place, name) for name in FILES)
    return Dataset("mnist", _part(train_images, train_labels), _part(test_images, test_labels), CLASSES)


def user_folder() -> Path:
    """Where a download goes: `mnist` in the user's data folder of this package."""
    return Path(platformdirs.user_data_dir("kernelwright")) / "mnist"


def find(folder: Path, name: str) -> Path:
    """The file called `name`, with or without .gz, with `-` or `.` before idx. Raises DataError where none is."""
    spellings = [name, name + ".gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"]
    for spelling in spellings:
        if (folder / spelling).is_file():
            return folder / spelling
    raise DataError(f"{folder} has no {name} (nor {name}.gz); MNIST needs {', '.join(FILES)}")


def download_missing(folder: Path, mirrors: tuple[str, ...]) -> None:
    """Fetch the files that `folder` lacks. Raises DataError naming the mirrors and the folder where none answers."""
    missing = {}
    for name, md5 in FILES.items():
        try:
            find(folder, name)
        except DataError:
            missing[name + ".gz"] = md5
    try:
        fetch(missing, mirrors, folder)
    except DataError as error:
        raise DataError(
            f"{error}\nPut the four files ({', '.join(FILES)}; plain or .gz) into {folder} by hand, "
            "or use the embedded digits: kw.data.digits()"
        ) from None


def _named_folder(folder: str | os.PathLike[str] | None) -> Path | None:
    """`folder`, else `$KERNELWRIGHT_DATA/mnist` where that exists, else None."""
    if folder is not None:
        return Path(folder)
    root = os.environ.get("KERNELWRIGHT_DATA")
    return Path(root) / "mnist" if root and (Path(root) / "mnist").is_dir() else None


def _part(images: Path, labels: Path) -> Split:
    pixels, digits = read_pair(images, labels, len(CLASSES))
    return Split(as_images(pixels), digits)
