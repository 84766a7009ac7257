"""MNIST (LeCun, Cortes, Burges 1998): the four official IDX files from a folder, or downloaded once.

60,000 training and 10,000 test images of 28x28. Leans on `idx`; downloads use the standard library.
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path

import platformdirs

from .dataset import Dataset, Split, as_images
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

    Raises DataError naming the file or folder where one is missing, damaged or cannot be fetched.
    """
    given = folder is not None or bool(os.environ.get("KERNELWRIGHT_DATA"))
    place = Path(folder) if folder is not None else default_folder()
    if given and not place.is_dir():
        raise DataError(f"there is no folder {place}; it should hold {', '.join(FILES)} (plain or .gz)")
    if not given and download:
        fetch(place)
    paths = [find(place, name) for name in FILES]
    train, test = read_pair(*paths[:2], classes=10), read_pair(*paths[2:], classes=10)
    return Dataset("mnist", Split(as_images(train[0]), train[1]), Split(as_images(test[0]), test[1]), CLASSES)


def default_folder() -> Path:
    """`$KERNELWRIGHT_DATA/mnist`, or the user's data folder."""
    root = os.environ.get("KERNELWRIGHT_DATA") or platformdirs.user_data_dir("kernelwright")
    return Path(root) / "mnist"


def find(folder: Path, name: str) -> Path:
    """The file called `name`, with or without .gz, with `-` or `.` before idx. Raises DataError where none is."""
    spellings = [name, name + ".gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"]
    for spelling in spellings:
        if (folder / spelling).is_file():
            return folder / spelling
    raise DataError(f"{folder} has no {name} (nor {name}.gz); MNIST needs {', '.join(FILES)}")


def fetch(folder: Path, mirrors: tuple[str, ...] = MIRRORS) -> None:
    """Download what is missing, checked against the published checksums. Raises DataError where no mirror answers."""
    for name, md5 in FILES.items():
        try:
            find(folder, name)
        except DataError:
            _fetch_one(folder, name + ".gz", md5, mirrors)


def _fetch_one(folder: Path, name: str, md5: str, mirrors: tuple[str, ...]) -> None:
    problems = []
    for mirror in mirrors:
        try:
            with urllib.request.urlopen(mirror + name, timeout=20) as response:
                data = response.read()
        except (urllib.error.URLError, OSError, ValueError) as error:
            problems.append(f"{mirror}: {getattr(error, 'reason', error)}")
            continue
        if hashlib.md5(data).hexdigest() != md5:
            problems.append(f"{mirror}: what came is not the published file (wrong checksum)")
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f".{name}.{os.getpid()}"
            partial.write_bytes(data)
            os.replace(partial, folder / name)
        except OSError as error:
            raise DataError(f"cannot store {name} in {folder}: {error}") from None
        return
    reasons = "\n  ".join(problems)
    raise DataError(f"cannot download {name}:\n  {reasons}\nPut the four files into {folder} by hand, or use the "
                    "embedded digits: kw.data.digits()")
