"""Data sets, by name: `digits` ships with the package, `mnist` is read from a folder or downloaded."""

from __future__ import annotations

import os

from .dataset import Dataset, Split
from .digits import digits
from .errors import DataError
from .mnist import mnist


def names() -> list[str]:
    """The data sets that `load` knows."""
    return ["digits", "mnist"]


def load(name: str, folder: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set called `name`; `mnist` from `folder` where it is not in the usual place.

    Raises DataError for a name that is not known, a folder given for `digits`, and what the data set's reader raises.
    """
    if name == "mnist":
        return mnist(folder)
    if name != "digits":
        raise DataError(f"there is no data set {name!r}; there are {', '.join(names())}")
    if folder is not None:
        raise DataError(f"digits ships with the package and is not read from a folder ({folder}); mnist is")
    return digits()


__all__ = ["DataError", "Dataset", "Split", "digits", "load", "mnist", "names"]
