"""Where the images of classes lie: folders inside a folder, or inside a tar archive, which is read once into memory.

Both give the same images in the same order. Leans on `archives` for what an archive may hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from .archives import tar_files
from .errors import DataError
from .images import PackedImage, is_image

PARTS = ("train", "test", "val", "validation")
"""How the folders of a set's parts are called."""
Images = list[Path | PackedImage]
LARGEST = 1 << 26
"""The most bytes of one image file in an archive."""


class Tree(Protocol):
    """Folders of folders of images; `parts` are the names that lead to one, from the top."""

    name: str

    def has(self, *parts: str) -> bool:
        """Whether there is such a folder."""

    def folders(self, *parts: str) -> list[str]:
        """The names of the folders in it, sorted, without hidden ones."""

    def images(self, *parts: str) -> Images:
        """All images below it, in the order of their names."""

    def where(self, *parts: str) -> str:
        """The folder, for messages."""


class FolderTree:
    """Files on disk, which are read when they are asked for."""

    def __init__(self, root: Path):
        self.root, self.name = root, root.name

    def has(self, *parts: str) -> bool:
        return self.root.joinpath(*parts).is_dir()

    def folders(self, *parts: str) -> list[str]:
        inside = self.root.joinpath(*parts).iterdir()
        return sorted(path.name for path in inside if path.is_dir() and not path.name.startswith("."))

    def images(self, *parts: str) -> Images:
        below = self.root.joinpath(*parts).rglob("*")
        return [*sorted(path for path in below if is_image(path) and path.is_file())]

    def where(self, *parts: str) -> str:
        return str(self.root.joinpath(*parts))


class ArchiveTree:
    """The image files of a tar archive, plain or compressed: their bytes are held in memory, and decoded when they are
    asked for. A folder that holds all the others is left out of account.

    Raises DataError for an archive that is damaged, too large, without images, or that names places outside of itself.
    """

    def __init__(self, archive: Path):
        self.archive, self.name = archive, archive.name.split(".")[0]
        found = {PurePosixPath(name): content for name, content in tar_files(archive, _is_image, LARGEST)}
        if not found:
            raise DataError(f"{archive} has no images; it should hold a folder for each class")
        self.top = _common(list(found))
        self.files = {
            place.relative_to(self.top).parts: PackedImage(archive, str(place), found[place]) for place in sorted(found)
        }

    def has(self, *parts: str) -> bool:
        return any(place[: len(parts)] == parts and len(place) > len(parts) for place in self.files)

    def folders(self, *parts: str) -> list[str]:
        depth = len(parts)
        inside = {place[depth] for place in self.files if place[:depth] == parts and len(place) > depth + 1}
        return sorted(name for name in inside if not name.startswith("."))

    def images(self, *parts: str) -> Images:
        return [file for place, file in self.files.items() if place[: len(parts)] == parts]

    def where(self, *parts: str) -> str:
        return f"{self.archive}, {self.top.joinpath(*parts)}"


def _is_image(name: str) -> bool:
    return is_image(PurePosixPath(name))


def _common(places: Sequence[PurePosixPath]) -> PurePosixPath:
    """The folders around all of them: those that hold nothing but one folder, and are no part's."""
    top = PurePosixPath()
    while True:
        inside = [place.relative_to(top).parts for place in places]
        first = inside[0][0]
        if first in PARTS or any(parts[0] != first or len(parts) <= 2 for parts in inside):
            return top
        top = top / first
