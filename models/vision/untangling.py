"""How far a network has untangled its classes after each layer: how well a linear classifier tells them apart there.

DiCarlo and Cox 2007, "Untangling invariant object recognition", call classes untangled where a hyperplane separates
them. The classifier is a linear support vector machine with squared hinge losses, one class against the rest, minimised
by L-BFGS. Its weights are sums of the training rows, so that rows are given by their coordinates in the space that they
span: every layer's problem has the same size. Leans on `responses` for layers' values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.functions import hinge
from ...compiler.graph.tensor import Tensor, input
from ...compiler.graph.variable import get_value, variable
from ..checks import INSIDE, POSITIVE, SettingError, number, whole
from ..checks import seed as checked_seed
from ..lbfgs import LBFGS
from .explain import checked_classes, checked_images
from .features import Network, features
from .features import layers as layers_of
from .responses import computed

PIXELS = "pixels"
"""What the images themselves are called among the layers."""


@dataclass(frozen=True, eq=False)
class Untangling:
    """layers: names, "pixels" first; sizes: how many numbers an image has in each; training and held_out: (k,), the
    share of images whose class a linear classifier finds, among those it was made from and among others; chance: that
    of the most frequent class among these others."""

    layers: tuple[str, ...]
    sizes: tuple[int, ...]
    training: np.ndarray
    held_out: np.ndarray
    chance: float


def untangling(
    network: Network,
    images: Any,
    labels: Any,
    layers: Sequence[str] | None = None,
    held_out: float = 0.3,
    penalty: float = 1e-3,
    iterations: int = 200,
    seed: int = 0,
    batch: int = 128,
    threads: int | None = None,
) -> Untangling:
    """How well a linear classifier tells classes apart from the pixels, and from each layer's values.

    images: float array (n, channels, height, width), best none that the network was trained on; labels: integers (n,).
    A thousand is enough; time and memory grow with their square. layers: names as in `features`, by default all that
    are not inside of another. held_out: the share of images, drawn by `seed`, that accuracies are measured on.
    penalty: what half of the weights' square costs, beside the mean loss; each layer's values are centred and divided
    by their mean length, so that it means the same everywhere.

    Raises InputError for other images or labels, SettingError for other settings.
    """
    pixels = checked_images("untangling", images)
    known = checked_classes("untangling", labels, len(pixels))
    share, cost = number("untangling: held_out", held_out, INSIDE), number("untangling: penalty", penalty, POSITIVE)
    steps = whole("untangling: iterations", iterations)
    classes, targets = np.unique(known, return_inverse=True)
    order = np.random.default_rng(checked_seed("untangling: seed", seed)).permutation(len(pixels))
    test, train = np.split(order, [round(share * len(order))])
    if len(classes) < 2 or not len(test) or len(np.unique(targets[train])) < len(classes):
        raise InputError(
            f"untangling: {len(pixels)} images of {len(classes)} classes are too few: each class is needed among the "
            f"{len(train)} that the classifier is made from, and some images beside"
        )
    names = _outermost(network, pixels) if layers is None else list(layers)
    values = computed(lambda x: [features(network, x, name) for name in names], pixels, batch, threads=threads)
    accuracies, sizes = [], []
    for value in (pixels, *values):
        flat = value.reshape(len(value), -1).astype("float64")
        rows = coordinates(flat[train], flat[test])
        right = classified_linearly(*rows, targets[train], len(classes), cost, steps, threads)
        accuracies.append([(found == targets[part]).mean() for found, part in zip(right, (train, test), strict=True)])
        sizes.append(flat.shape[1])
    training, others = np.transpose(accuracies)
    chance = float(np.bincount(targets[test]).max() / len(test))
    return Untangling((PIXELS, *names), tuple(sizes), training, others, chance)


def coordinates(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets of rows (n, features), less the training rows' mean, by coordinates (n, training rows) in a basis of
    the space that the training rows span, and divided by their mean length: inner products with sums of training rows
    stay what they are, but for that length. Spare coordinates are 0, so that all layers have one program."""
    mean = train.mean(0)
    centred = train - mean
    basis, along = np.linalg.qr(centred.T)
    length = max(np.sqrt((centred * centred).sum(1)).mean(), np.finfo("float64").tiny)
    spare = ((0, 0), (0, len(train) - len(along)))
    return np.pad(along.T / length, spare), np.pad((test - mean) @ basis / length, spare)


def classified_linearly(
    train: np.ndarray,
    test: np.ndarray,
    targets: np.ndarray,
    classes: int,
    penalty: float,
    iterations: int,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The classes of training and test rows by the linear support vector machine of the training rows."""
    weights, bias = linear_svm(train, targets, classes, penalty, iterations, threads)
    return (train @ weights + bias).argmax(1), (test @ weights + bias).argmax(1)


def linear_svm(
    rows: np.ndarray,
    targets: np.ndarray,
    classes: int,
    penalty: float,
    iterations: int,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(weights (features, classes), bias (classes,)) that minimise the mean over float64 rows of the sum over classes
    of max(0, 1 - y s)^2, plus penalty / 2 times the weights' square; y is 1 for a row's class and -1 else."""
    weights = variable("weights", np.zeros((rows.shape[1], classes)))
    bias = variable("bias", np.zeros(classes))
    x, wanted = input("rows", rows.shape, "float64"), input("targets", targets.shape, "int64")
    loss: Tensor = hinge(x @ weights + bias, wanted, squared=True) + 0.5 * penalty * (weights * weights).sum()
    LBFGS(loss, [weights, bias], [x, wanted], threads=threads).minimize(
        rows, targets.astype("int64"), iterations=iterations, tolerance=1e-8
    )
    return get_value(weights), get_value(bias)


def _outermost(network: Network, pixels: np.ndarray) -> list[str]:
    """The layers that are not inside of another."""
    names = layers_of(network, input("images", (None, *pixels.shape[1:]), pixels.dtype))
    found = [name for name in names if "." not in name]
    if not found:
        raise SettingError("untangling: the network has no layers with names")
    return found
