"""What is measured of a classifier, as functions of its probabilities (n, classes) and the labels (n,): NumPy alone.

Where several classes have the same probability, the one of the lowest number comes first, as with argmax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BINS = 15
"""Bins of confidence, as in Guo et al. 2017."""
Z95 = 1.959963984540054
"""The normal distribution's quantile at 97.5 %."""


@dataclass(frozen=True)
class Share:
    """`right` of `of` examples."""

    right: int
    of: int

    @property
    def value(self) -> float:
        """The share, 0 to 1; nan where there are no examples."""
        return self.right / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval."""
        return wilson(self.right, self.of)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.2%} ({low:.2%} to {high:.2%})"


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence against accuracy. Bin k has the examples whose greatest probability lies in (edges[k], edges[k + 1]].

    counts, accuracy, confidence: (bins,) how many examples, the share that is right, the mean of what was said; nan
    where a bin is empty. expected_error: the mean distance of the two over all examples (ECE); maximum_error: the
    greatest of any bin (MCE).
    """

    edges: np.ndarray
    counts: np.ndarray
    accuracy: np.ndarray
    confidence: np.ndarray
    expected_error: float
    maximum_error: float


def wilson(right: int, of: int, z: float = Z95) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927): (0, 1) where there are no examples."""
    if of == 0:
        return 0.0, 1.0
    share, spread = right / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return (0.0 if right == 0 else middle - half), (1.0 if right == of else middle + half)


def ranks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the right one, int64 (n,): 0 where the prediction is right."""
    own = np.take_along_axis(probabilities, labels[:, None].astype("int64"), 1)
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    result: np.ndarray = ((probabilities > own) | ((probabilities == own) & earlier)).sum(1)
    return result


def top_k(probabilities: np.ndarray, labels: np.ndarray, k: int) -> Share:
    """The examples whose class is among the k most probable."""
    return Share(int((ranks(probabilities, labels) < k).sum()), len(labels))


def confusion(said: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """int64 (classes, classes): how many examples of the row's class were said to be of the column's."""
    pairs = labels.astype("int64") * classes + said
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def confused(matrix: np.ndarray, most: int = 10) -> list[tuple[int, int, int]]:
    """(class, what it was taken for, how often) of the `most` frequent mistakes, the most frequent first."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [(true, said, int(wrong[true, said])) for true, said in pairs if wrong[true, said]]


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Calibration:
    """Calibration over bins of equal width (Guo et al. 2017, arXiv:1706.04599).

    confidence: (n,) the greatest probability of each example. right: (n,) whether the prediction was.
    """
    given = np.asarray(confidence, "float64")
    place = np.clip(np.ceil(given * bins).astype("int64") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = counts > 0
    accuracy, said = np.full(bins, np.nan), np.full(bins, np.nan)
    accuracy[filled] = np.bincount(place, right, bins)[filled] / counts[filled]
    said[filled] = np.bincount(place, given, bins)[filled] / counts[filled]
    gaps = np.abs(accuracy - said)[filled]
    expected = float((gaps * counts[filled]).sum() / counts.sum()) if filled.any() else math.nan
    worst = float(gaps.max()) if filled.any() else math.nan
    return Calibration(np.linspace(0, 1, bins + 1), counts, accuracy, said, expected, worst)
