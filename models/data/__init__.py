"""Data sets, by name: `digits` ships with the package, `mnist` is read from a folder or downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .dataset import Dataset, Split
from .digits import digits
from .errors import DataError
from .mnist import mnist

_LOADERS: dict[str, Callable[..., Dataset]] = {"digits": digits, "mnist": mnist}


def names() -> list[str]:
    """The data sets that `load` knows."""
    return sorted(_LOADERS)


def load(name: str, folder: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set called `name`, from `folder` where it is not the usual place. Raises DataError for other names."""
    if name not in _LOADERS:
        raise DataError(f"there is no data set {name!r}; there are {', '.join(names())}")
    options: dict[str, Any] = {} if folder is None else {"folder": folder}
    return _LOADERS[name](**options)


__all__ = ["DataError", "Dataset", "Split", "digits", "load", "mnist", "names"]
