"""What an evaluation found, as `kw.evaluate` returns it: measures, plain data for JSON, text, and a report as a file.

Leans on `metrics` for the measures, on `report` for the file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from . import metrics
from .metrics import Calibration, Share


@dataclass(frozen=True, eq=False)
class Mistake:
    """An example whose class was not recognised: where it came from, its image (channels, height, width), its class and
    the class that was said, by number, with the probability that was given to it."""

    position: int
    source: str
    image: np.ndarray
    label: int
    said: int
    confidence: float


@dataclass(frozen=True)
class ClassMeasures:
    """recall: its examples that were recognised. precision: the right ones of those that were said to be of it."""

    name: str
    recall: Share
    precision: Share


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A classifier on `labels` (n,) int, with its probabilities (n, classes) float32 for each example.

    worst: the mistakes that it was surest of, the surest first.
    """

    network: str
    data: str
    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    worst: Sequence[Mistake]

    @cached_property
    def said(self) -> np.ndarray:
        """The most probable class of each example, int64 (n,)."""
        result: np.ndarray = self.probabilities.argmax(1)
        return result

    @cached_property
    def top1(self) -> Share:
        """The examples whose class was the most probable."""
        return metrics.top_k(self.probabilities, self.labels, 1)

    @cached_property
    def top5(self) -> Share | None:
        """The examples whose class was among the five most probable; None for five classes or fewer."""
        return metrics.top_k(self.probabilities, self.labels, 5) if len(self.classes) > 5 else None

    @cached_property
    def confusion(self) -> np.ndarray:
        """int64 (classes, classes): how many examples of the row's class were said to be of the column's."""
        return metrics.confusion(self.said, self.labels, len(self.classes))

    @cached_property
    def confused(self) -> list[tuple[int, int, int]]:
        """(class, what it was taken for, how often) of the ten most frequent mistakes."""
        return metrics.confused(self.confusion)

    @cached_property
    def calibration(self) -> Calibration:
        """Confidence against accuracy, in 15 bins."""
        return metrics.calibration(self.probabilities.max(1), self.said == self.labels)

    @cached_property
    def by_class(self) -> list[ClassMeasures]:
        """A row for each class, in order."""
        matrix = self.confusion
        right, given, said = np.diag(matrix).tolist(), matrix.sum(1).tolist(), matrix.sum(0).tolist()
        columns = zip(self.classes, right, given, said, strict=True)
        return [ClassMeasures(name, Share(r, g), Share(r, s)) for name, r, g, s in columns]

    def summary(self) -> str:
        """The measures of the whole as lines of text, and the most frequent mistakes."""
        found = [f"{self.network} on {self.data}: {len(self.labels):,} examples of {len(self.classes)} classes"]
        found.append(f"top-1 accuracy {self.top1}, 95 % confidence")
        if self.top5 is not None:
            found.append(f"top-5 accuracy {self.top5}")
        found.append(f"expected calibration error {self.calibration.expected_error:.2%}")
        names = self.classes
        found += [f"{names[true]} taken for {names[said]}: {count}" for true, said, count in self.confused[:5]]
        return "\n".join(found)

    def as_data(self) -> dict[str, Any]:
        """All measures as plain data for JSON; shares are 0 to 1, and None where there are no examples."""
        curve, names = self.calibration, self.classes
        columns = (curve.edges[:-1], curve.edges[1:], curve.counts, curve.accuracy, curve.confidence)
        bins = [
            {"above": a, "to": b, "examples": n, "accuracy": _number(right), "confidence": _number(said)}
            for a, b, n, right, said in zip(*(column.tolist() for column in columns), strict=True)
        ]
        return {
            "network": self.network,
            "data": self.data,
            "examples": len(self.labels),
            "top1": _share(self.top1),
            "top5": None if self.top5 is None else _share(self.top5),
            "classes": [
                {"name": c.name, "recall": _share(c.recall), "precision": _share(c.precision)} for c in self.by_class
            ],
            "confusion": self.confusion.tolist(),
            "calibration": {
                "expected_error": curve.expected_error,
                "maximum_error": curve.maximum_error,
                "bins": bins,
            },
            "confused": [{"class": names[t], "said": names[s], "examples": n} for t, s, n in self.confused],
            "worst": [
                {
                    "position": m.position,
                    "source": m.source,
                    "class": names[m.label],
                    "said": names[m.said],
                    "confidence": m.confidence,
                }
                for m in self.worst
            ],
        }

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write a report with pictures: a page (.html) that needs no other file, or one picture (.png).

        Raises SettingError for another ending or a file that cannot be written, ImportError without matplotlib.
        """
        from .report import write

        write(self, path)


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {"right": share.right, "of": share.of, "value": _number(share.value), "interval": [low, high]}


def _number(x: float) -> float | None:
    return None if math.isnan(x) else x
