"""Where a data set's files are: a folder that was named, one under `$KERNELWRIGHT_DATA`, or the user's data folder.

Leans on platformdirs for the last of these, the only one that downloads are written to.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from .errors import DataError

VARIABLE = "KERNELWRIGHT_DATA"


def user_folder(name: str) -> Path:
    """Where a download of the data set `name` goes: a folder in the user's data folder of this package."""
    return Path(platformdirs.user_data_dir("kernelwright")) / name


def named_folder(name: str, folder: str | os.PathLike[str] | None) -> Path | None:
    """`folder`, else `$KERNELWRIGHT_DATA/<name>` where that exists, else None."""
    if folder is not None:
        return Path(folder)
    root = os.environ.get(VARIABLE)
    return Path(root) / name if root and (Path(root) / name).is_dir() else None


def locate(
    name: str, folder: str | os.PathLike[str] | None, needs: str, fill: Callable[[Path], None] | None = None
) -> Path:
    """The folder of the data set `name`. `fill` downloads what the user's folder lacks; named ones are only read.

    Raises DataError where there is no such folder, saying what it should hold (`needs`), and what `fill` raises.
    """
    named = named_folder(name, folder)
    place = user_folder(name) if named is None else named
    if named is None and fill is not None:
        fill(place)
    if place.is_dir():
        return place
    if named is not None:
        raise DataError(f"there is no folder {place}; it should hold {needs}")
    raise DataError(
        f"there is no folder {place}; it should hold {needs}. "
        f"Give the folder that does, or put it at ${VARIABLE}/{name}; docs/data.md says where the files come from"
    )
