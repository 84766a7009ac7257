"""What labels say of an image: the one class that it belongs to, all those that it shows, or numbers.

They differ in the labels' shape, in what a prediction is (softmax, sigmoid, or the outputs as they are), and in what is
measured. A trainer has one of them, ONE, SEVERAL or NUMBERS. Leans on `batches` for checks of integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler.errors import InputError
from ..compiler.graph.functions import softmax
from ..compiler.graph.ops.elementwise import abs_, equal, sigmoid
from ..compiler.graph.ops.reduce import argmax, min_
from ..compiler.graph.ops.slicing import stack
from ..compiler.graph.tensor import Tensor, input
from . import batches


class OneClass:
    """An integer per image: labels (n,) int32, probabilities by softmax, accuracy."""

    several = False
    measures: tuple[str, ...] = ("accuracy",)

    def input(self, count: Any, classes: int) -> Tensor:
        """The program's input for the labels of `count` images."""
        return input("labels", (count,), "int32")

    def check(self, labels: Any, count: int, classes: int) -> np.ndarray:
        """The labels of `count` images as the program takes them. Raises InputError where they do not fit."""
        return batches.check_labels(labels, count, classes)

    def probabilities(self, logits: Tensor) -> Tensor:
        """(batch, classes)"""
        return softmax(logits)

    def counts(self, logits: Tensor, targets: Tensor) -> Tensor:
        """What of a batch the measures are made of, int64: (predictions that are right,)."""
        return equal(argmax(logits, -1), targets).astype("int32").sum().reshape(1)

    def means(self, counts: Sequence[int], seen: int, classes: int) -> dict[str, float]:
        """The measures of `seen` examples from the sums of their counts."""
        return {"accuracy": counts[0] / seen}


class SeveralClasses:
    """Zeros and ones (n, classes) per image, or weights between; probabilities by sigmoid, each class by itself.

    A class is predicted where its probability is above a half. accuracy: the part of all decisions, one per image and
    class, that is right (Keras' binary accuracy). exact: the part of images with all decisions right. f1: 2 TP /
    (2 TP + FP + FN) over all decisions (micro-averaged).
    """

    several = True
    measures = ("accuracy", "exact", "f1")

    def input(self, count: Any, classes: int) -> Tensor:
        return input("labels", (count, classes))

    def check(self, labels: Any, count: int, classes: int) -> np.ndarray:
        given = np.asarray(labels)
        if given.dtype.kind not in "iufb" or given.shape != (count, classes):
            raise InputError(
                f"{count} images that may show several of {classes} classes need labels of shape ({count}, {classes}), "
                f"zeros and ones, not {given.dtype} {given.shape}"
            )
        out = np.ascontiguousarray(given, "float32")
        wrong = np.flatnonzero(~((out >= 0) & (out <= 1)).all(1))
        if wrong.size:
            raise InputError(
                f"the labels of image {wrong[0]} are not between 0 and 1 ({wrong.size} of {count} are not)"
            )
        return out

    def probabilities(self, logits: Tensor) -> Tensor:
        return sigmoid(logits)

    def counts(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(right decisions, images with all right, true positives, positives predicted, positives given)"""
        said, true = (logits > 0).astype("int32"), (targets > 0.5).astype("int32")
        right = equal(said, true).astype("int32")
        return stack([right.sum(), min_(right, -1).sum(), (said * true).sum(), said.sum(), true.sum()])

    def means(self, counts: Sequence[int], seen: int, classes: int) -> dict[str, float]:
        right, exact, both, said, true = counts
        return {"accuracy": right / (seen * classes), "exact": exact / seen, "f1": 2 * both / max(said + true, 1)}


class Numbers:
    """Numbers (n, outputs) float32 to come near to; a prediction is what the network gives. mae: the mean distance."""

    several = False
    measures = ("mae",)

    def input(self, count: Any, classes: int) -> Tensor:
        return input("labels", (count, classes))

    def check(self, labels: Any, count: int, classes: int) -> np.ndarray:
        given = np.asarray(labels)
        if given.dtype.kind != "f" or given.shape != (count, classes):
            raise InputError(
                f"{count} examples of a network that learns numbers need labels float32 ({count}, {classes}), not "
                f"{given.dtype} {given.shape}; classes are learned with an output for each"
            )
        if not np.isfinite(given).all():
            raise InputError(f"label {int(np.argmin(np.isfinite(given).all(1)))} is not finite")
        return np.ascontiguousarray(given, "float32")

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits

    def counts(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(the sum of all distances,)"""
        return abs_(logits - targets).sum().reshape(1)

    def means(self, counts: Sequence[float], seen: int, classes: int) -> dict[str, float]:
        return {"mae": counts[0] / (seen * classes)}


Labels = OneClass | SeveralClasses | Numbers
ONE, SEVERAL, NUMBERS = OneClass(), SeveralClasses(), Numbers()
