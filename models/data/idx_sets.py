"""The data sets that come as four IDX files, as rows of a table: MNIST, Fashion-MNIST, EMNIST and USPS.

A row says which files, where they may be downloaded, how labels count and which way the images lie; one reader serves
them all. Leans on `idx` to read, `places` to find folders, `download` to fill the user's.

MNIST: LeCun, Cortes, Burges 1998. Fashion-MNIST: Xiao, Rasul, Vollgraf 2017 (arXiv:1708.07747). EMNIST: Cohen, Afshar,
Tapson, van Schaik 2017 (arXiv:1702.05373). USPS: LeCun et al. 1989, the zip codes of the US Postal Service.
"""

from __future__ import annotations

import os
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import archives, zip_codes
from .dataset import Dataset, Split, as_images
from .download import fetch
from .errors import DataError
from .idx import read_pair
from .places import locate

DIGITS = tuple(string.digits)
SPLITS = ("balanced", "byclass", "bymerge", "letters", "digits", "mnist")
"""The six divisions of EMNIST (Cohen et al. 2017, table I)."""
MERGED = "abdefghnqrt"
"""The small letters that EMNIST's merged classes keep apart from the capitals."""


@dataclass(frozen=True)
class IdxSet:
    """files: training images and labels, test images and labels. downloads: file names with their SHA-256.

    archive: a zip file of the folder that may hold the files. first: what the files call class 0. turned: the images
    lie with rows and columns exchanged. size: the side of an image.
    """

    name: str
    folder: str
    files: tuple[str, str, str, str]
    classes: tuple[str, ...]
    downloads: Mapping[str, str]
    mirrors: tuple[str, ...]
    archive: str | None = None
    first: int = 0
    turned: bool = False
    size: int = 28

    @property
    def needs(self) -> str:
        """The files in words."""
        inside = f", or {self.archive}, which has them" if self.archive else ""
        return f"{', '.join(self.files)} (plain or .gz){inside}"


FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _gz(*sha256: str) -> dict[str, str]:
    return {f"{name}.gz": digest for name, digest in zip(FILES, sha256)}


MNIST = IdxSet(
    "mnist",
    "mnist",
    FILES,
    DIGITS,
    _gz(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
)
FASHION_MNIST = IdxSet(
    "fashion-mnist",
    "fashion-mnist",
    FILES,
    ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    _gz(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",),
)
USPS = IdxSet("usps", "usps", FILES, DIGITS, {}, (), size=16)
"""Never downloaded: the terms of the copies in circulation are not stated."""


def _emnist(split: str) -> IdxSet:
    parts = [f"emnist-{split}-{part}" for part in ("train", "test")]
    merged = DIGITS + tuple(string.ascii_uppercase + MERGED)
    classes = {
        "byclass": DIGITS + tuple(string.ascii_uppercase + string.ascii_lowercase),
        "bymerge": merged,
        "balanced": merged,
        "letters": tuple(string.ascii_lowercase),
    }
    return IdxSet(
        "emnist" if split == "balanced" else f"emnist-{split}",
        "emnist",
        (
            f"{parts[0]}-images-idx3-ubyte",
            f"{parts[0]}-labels-idx1-ubyte",
            f"{parts[1]}-images-idx3-ubyte",
            f"{parts[1]}-labels-idx1-ubyte",
        ),
        classes.get(split, DIGITS),
        {"gzip.zip": "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"},
        ("https://biometrics.nist.gov/cs_links/EMNIST/", "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/"),
        archive="gzip.zip",
        first=1 if split == "letters" else 0,
        turned=True,
    )


EMNIST = {split: _emnist(split) for split in SPLITS}
TABLE = {row.name: row for row in (MNIST, FASHION_MNIST, *EMNIST.values(), USPS)}
"""The data sets of this file by name."""

Folder = str | os.PathLike[str] | None


def mnist(folder: Folder = None, download: bool = True) -> Dataset:
    """MNIST: 60,000 + 10,000 digits of 28x28. `read` says where from and which errors."""
    return read(MNIST, folder, download)


def fashion_mnist(folder: Folder = None, download: bool = True) -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 pieces of clothing of 28x28 in 10 classes. As `read`."""
    return read(FASHION_MNIST, folder, download)


def emnist(split: str = "balanced", folder: Folder = None, download: bool = True) -> Dataset:
    """EMNIST: letters and digits of 28x28, upright as in MNIST; split: one of SPLITS, 10 to 62 classes. As `read`.

    All splits share the folder `emnist`; what is downloaded is the archive of all of them, 536 MB.
    """
    if split not in EMNIST:
        raise DataError(f"emnist has no split {split!r}; there are {', '.join(SPLITS)}")
    return read(EMNIST[split], folder, download)


def usps(folder: Folder = None) -> Dataset:
    """USPS: 7,291 + 2,007 digits of 16x16 from zip codes, as IDX files or as the classic zip.train and zip.test.

    As `read`, and never downloaded.
    """
    place = locate("usps", folder, f"{USPS.needs}, or {' and '.join(zip_codes.FILES)}")
    if zip_codes.present(place):
        return zip_codes.read(place)
    return _read_folder(USPS, place)


def read(row: IdxSet, folder: Folder = None, download: bool = True) -> Dataset:
    """The data set of `row` from `folder`, else `$KERNELWRIGHT_DATA`, else the user's data folder, else the network.

    Images are float32 (n, 1, size, size) in [0, 1], labels int32 from 0. A folder that was named, by the argument or
    by the variable, is never written to. Raises DataError naming the file or folder where one is missing, damaged or
    cannot be fetched.
    """
    fill = (lambda place: download_missing(row, place)) if download and row.mirrors else None
    return _read_folder(row, locate(row.folder, folder, row.needs, fill))


def find(row: IdxSet, folder: Path, name: str) -> Path:
    """The file `name`, with or without .gz, with `-` or `.` before idx, or the archive that should have it.

    Looks in `folder`, and in the folder that unpacking the archive makes in it. Raises DataError where none is.
    """
    spellings = [name, name + ".gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"]
    for place in (folder, folder / Path(row.archive).stem) if row.archive else (folder,):
        for spelling in spellings:
            if (place / spelling).is_file():
                return place / spelling
    if row.archive and (folder / row.archive).is_file():
        return folder / row.archive
    raise DataError(f"{folder} has no {name} (nor {name}.gz); {row.name} needs {row.needs}")


def download_missing(row: IdxSet, folder: Path) -> None:
    """Fetch what `folder` lacks. Raises DataError naming the mirrors and the folder where none answers."""
    missing = {}
    for name in row.files:
        try:
            find(row, folder, name)
        except DataError:
            file = row.archive or f"{name}.gz"
            missing[file] = row.downloads[file]
    try:
        fetch(missing, row.mirrors, folder)
    except DataError as error:
        raise DataError(
            f"{error}\nPut {row.needs} into {folder} by hand, or use the embedded digits: kw.data.digits()"
        ) from None


def _read_folder(row: IdxSet, folder: Path) -> Dataset:
    paths = [_unpacked(row, find(row, folder, name), name) for name in row.files]
    return Dataset(row.name, _part(row, *paths[:2]), _part(row, *paths[2:]), row.classes)


def _unpacked(row: IdxSet, path: Path, name: str) -> Path | archives.Member:
    return archives.Member(path, f"{name}.gz") if row.archive and path.name == row.archive else path


def _part(row: IdxSet, images: Path | archives.Member, labels: Path | archives.Member) -> Split:
    pixels, classes = read_pair(images, labels, len(row.classes), row.first)
    if pixels.shape[1:] != (row.size, row.size):
        raise DataError(
            f"{images}: images of {pixels.shape[1]}x{pixels.shape[2]}; {row.name} has {row.size}x{row.size}. "
            "Is this the folder of another data set?"
        )
    return Split(as_images(np.swapaxes(pixels, 1, 2) if row.turned else pixels), classes)
