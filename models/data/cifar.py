"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in the binary format, from the official archive or unpacked; or as image
files, one folder for each class.

A record is one label byte (CIFAR-100: the coarse label, then the fine one) and 3,072 bytes of a 32x32 image: red,
green, blue, each by rows from the top. Source: https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version". Leans on
`archives` for the archive, `image_folder` for image files, `places` and `download` for folders.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .archives import AGAIN, read_tar, read_up_to
from .dataset import Dataset, Split
from .download import fetch
from .errors import DataError
from .image_folder import image_folder
from .places import locate

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
NAMES = 1 << 16
"""The most bytes of a file of class names; CIFAR's have about a thousand."""


@dataclass(frozen=True)
class Cifar:
    """archive: its name, with its SHA-256; inside: the folder it unpacks to. names: the file of class names for each
    label byte. train, test: their files, each with its number of records.
    """

    name: str
    archive: str
    sha256: str
    inside: str
    names: tuple[str, ...]
    train: dict[str, int]
    test: dict[str, int]

    @property
    def needs(self) -> str:
        """The files in words."""
        return f"{self.archive}, or the files in it ({', '.join((*self.train, *self.test, *self.names))})"

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read."""
        return (*self.names, *self.train, *self.test)

    @property
    def sizes(self) -> dict[str, int]:
        """The most bytes that each of them can have."""
        record = len(self.names) + PIXELS
        counts = {name: count * record for name, count in {**self.train, **self.test}.items()}
        return {**dict.fromkeys(self.names, NAMES), **counts}


CIFAR10 = Cifar(
    "cifar10",
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    "cifar-10-batches-bin",
    ("batches.meta.txt",),
    {f"data_batch_{i}.bin": 10_000 for i in range(1, 6)},
    {"test_batch.bin": 10_000},
)
CIFAR100 = Cifar(
    "cifar100",
    "cifar-100-binary.tar.gz",
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    "cifar-100-binary",
    ("coarse_label_names.txt", "fine_label_names.txt"),
    {"train.bin": 50_000},
    {"test.bin": 10_000},
)
CLASSES = {"batches.meta.txt": 10, "coarse_label_names.txt": 20, "fine_label_names.txt": 100}


def cifar10(folder: str | os.PathLike[str] | None = None, download: bool = True) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 colour images of 32x32 in 10 classes. As `read`."""
    return read(CIFAR10, folder, download)


def cifar100(folder: str | os.PathLike[str] | None = None, download: bool = True, coarse: bool = False) -> Dataset:
    """CIFAR-100: 50,000 + 10,000 colour images of 32x32 in 100 classes, or the 20 that these belong to. As `read`."""
    return read(CIFAR100, folder, download, 0 if coarse else -1)


def read(row: Cifar, folder: str | os.PathLike[str] | None = None, download: bool = True, label: int = -1) -> Dataset:
    """The data set of `row` from `folder`, else `$KERNELWRIGHT_DATA`, else the user's data folder, else the network.

    Images are float32 (n, 3, 32, 32) in [0, 1], labels int32. label: which of a record's label bytes. A folder that
    was named is never written to. Where it holds train/CLASS and test/CLASS, or is or holds one tar archive of them,
    these image files are decoded; they need the extra `images`. Raises DataError naming the file or folder where one is
    missing, damaged or cannot be fetched.
    """
    if folder is not None and Path(folder).is_file():
        return _decoded(row, Path(folder), label)
    place = locate(row.name, folder, row.needs, (lambda p: _download_missing(row, p)) if download else None)
    if (pictures := _image_files(row, place)) is not None:
        return _decoded(row, pictures, label)
    source, files = _files(row, place)
    classes = _names(source, row.names[label], files[row.names[label]])
    train, test = (_part(source, files, counts, row, label) for counts in (row.train, row.test))
    return Dataset(row.name, train, test, classes)


def _download_missing(row: Cifar, folder: Path) -> None:
    found = _unpacked(row, folder) or _image_files(row, folder)
    if found is None and not (folder / row.archive).is_file():
        try:
            fetch({row.archive: row.sha256}, MIRRORS, folder)
        except DataError as error:
            raise DataError(f"{error}\nPut {row.needs} into {folder} by hand") from None


def _unpacked(row: Cifar, folder: Path) -> Path | None:
    """The folder with any of the files: `folder` itself or what unpacking makes in it."""
    for place in (folder / row.inside, folder):
        if any((place / name).is_file() for name in row.files):
            return place
    return None


def _image_files(row: Cifar, folder: Path) -> Path | None:
    """What has the images as files, if nothing is in the binary format: the folder itself, or its one tar archive."""
    if _unpacked(row, folder) is not None or (folder / row.archive).is_file():
        return None
    archives = [path for path in sorted(folder.glob("*.tar*")) if path.is_file()]
    return folder if (folder / "train").is_dir() else archives[0] if len(archives) == 1 else None


def _decoded(row: Cifar, place: Path, label: int) -> Dataset:
    """The images that lie in files, by the classes that their folders name."""
    found = image_folder(place, SHAPE)
    wanted = CLASSES[row.names[label]]
    if len(found.classes) != wanted:
        raise DataError(f"{place}: {len(found.classes)} folders with images, {row.name} has {wanted} classes")
    train, test = (Split(files.decoded() / np.float32(255), files.labels) for files in (found.train, found.test))
    return Dataset(row.name, train, test, found.classes)


def _files(row: Cifar, folder: Path) -> tuple[Path, dict[str, bytes]]:
    """(where they are from, the files' content by name)"""
    place = _unpacked(row, folder)
    if place is None:
        if (folder / row.archive).is_file():
            return folder / row.archive, read_tar(folder / row.archive, row.sizes)
        raise DataError(
            f"{folder} has no {row.name} in the binary format; it should hold {row.needs}, or image files in "
            "train/CLASS and test/CLASS"
        )
    content = {}
    for name in row.files:
        try:
            content[name] = read_up_to(place / name, row.sizes[name] + 1)
        except FileNotFoundError:
            raise DataError(f"{place} has no {name}; {row.name} needs {row.needs}") from None
        except OSError as error:
            raise DataError(f"{place / name}: cannot be read: {error.strerror}") from None
    return place, content


def _names(source: Path, file: str, content: bytes) -> tuple[str, ...]:
    names = tuple(content.decode("utf-8", "replace").split())
    if len(names) != CLASSES[file]:
        raise DataError(f"{source}, {file}: {len(names)} class names, not {CLASSES[file]}: it is damaged; {AGAIN}")
    return names


def _part(source: Path, files: dict[str, bytes], counts: dict[str, int], row: Cifar, label: int) -> Split:
    found = [_records(f"{source}, {name}", files[name], count, row, label) for name, count in counts.items()]
    return Split(np.concatenate([images for images, _ in found]), np.concatenate([labels for _, labels in found]))


def _records(where: str, content: bytes, count: int, row: Cifar, label: int) -> tuple[np.ndarray, np.ndarray]:
    """(images, labels) of one file."""
    size = len(row.names) + PIXELS
    if len(content) != count * size:
        what = "truncated" if len(content) < count * size else "too long"
        raise DataError(
            f"{where}: {what}: {len(content):,} bytes where {count:,} images need {count * size:,}; {AGAIN}"
        )
    records = np.frombuffer(content, np.uint8).reshape(count, size)
    heads = records[:, : len(row.names)]
    for column, file in enumerate(row.names):
        wrong = np.flatnonzero(heads[:, column] >= CLASSES[file])
        if wrong.size:
            raise DataError(
                f"{where}: label {heads[wrong[0], column]} of image {wrong[0]} is not one of {CLASSES[file]} classes: "
                f"the file is damaged; {AGAIN}"
            )
    images = np.divide(records[:, len(row.names) :], np.float32(255), dtype=np.float32)
    return images.reshape(count, *SHAPE), heads[:, label].astype("int32")
