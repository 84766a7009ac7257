"""Part of the training data held out for validation, as `kw.data.hold_out`: drawn from a seed, class by class.

What chooses between epochs or stops a run looks at these examples, so that the test set, looked at once at the end,
says what the network does with images that nothing was chosen by (Hastie, Tibshirani, Friedman 2009, section 7.2).
Leans on `dataset` and `images` for what is divided.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..checks import INSIDE, number
from ..checks import seed as checked_seed
from .dataset import Dataset
from .errors import DataError
from .images import ImageDataset

Data = TypeVar("Data", Dataset, ImageDataset)


def hold_out(data: Data, fraction: float = 0.1, seed: int = 0) -> Data:
    """The data set with a part of `train` moved to `validation`; `test` stays as it is.

    fraction: of each class, rounded, and at least one example of a class that has two; between 0 and 1. Where labels
    are (n, classes), of all examples together. seed: which ones; both parts keep the order of the data set. Raises
    DataError where the data set has a validation part already or too few examples, SettingError for another fraction
    or seed.
    """
    fraction, seed = number("hold_out: fraction", fraction, INSIDE), checked_seed("hold_out: seed", seed)
    if data.validation is not None:
        raise DataError(f"{data.name} has {len(data.validation)} examples for validation already: use them as they are")
    held = _drawn(np.asarray(data.train.labels), fraction, seed)
    if not held.any():
        raise DataError(f"{data.name}: no class has two training examples, so none can be held out for validation")
    train, validation = data.train.take(np.flatnonzero(~held)), data.train.take(np.flatnonzero(held))
    if isinstance(data, ImageDataset):
        return ImageDataset(data.name, train, data.test, data.classes, validation)
    return replace(data, train=train, validation=validation)


def _drawn(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """(n,) True for the examples that are held out."""
    rng, held = np.random.default_rng(seed), np.zeros(len(labels), bool)
    groups = labels if labels.ndim == 1 else np.zeros(len(labels), "int32")
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held[rng.permutation(members)[:count]] = True
    return held
