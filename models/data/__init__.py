"""Data sets, by name: `digits` ships with the package, the others are read from a folder or downloaded."""

from __future__ import annotations

import os

from . import idx_sets
from .cifar import cifar10, cifar100
from .dataset import Dataset, Split
from .digits import digits
from .errors import DataError
from .idx_sets import emnist, fashion_mnist, mnist, usps

READERS = {"usps": usps, "cifar10": cifar10, "cifar100": cifar100}
"""The data sets with a reader of their own, by name: each is called with a folder or None."""


def names() -> list[str]:
    """The data sets that `load` knows."""
    return ["digits", *idx_sets.TABLE, *(name for name in READERS if name not in idx_sets.TABLE)]


def load(name: str, folder: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set called `name`; from `folder` where it is not in the usual place.

    Raises DataError for a name that is not known, a folder given for `digits`, and what the data set's reader raises.
    """
    if name == "digits":
        if folder is not None:
            raise DataError(f"digits ships with the package and is not read from a folder ({folder}); mnist is")
        return digits()
    if name in READERS:
        return READERS[name](folder)
    if name in idx_sets.TABLE:
        return idx_sets.read(idx_sets.TABLE[name], folder)
    raise DataError(f"there is no data set {name!r}; there are {', '.join(names())}")


__all__ = [
    "DataError",
    "Dataset",
    "Split",
    "cifar10",
    "cifar100",
    "digits",
    "emnist",
    "fashion_mnist",
    "load",
    "mnist",
    "names",
    "usps",
]
