"""Which networks are fooled by what was made for others: error rates as a table, and a classifier without gradients.

The table is laid out as those of Szegedy et al. 2013 (arXiv:1312.6199, section 4.2). NumPy, and `attack` for classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ..checks import SettingError
from ..checks import seed as checked_seed
from ..layer import Layer
from ..model import Model
from .attack import Attack, checked, classified
from .bounds import Box, edges
from .explain import checked_classes

Classifier = Callable[[np.ndarray], Any]
"""From images (n, channels, height, width) to classes (n,)."""
CHUNK = 256
"""Images compared with all others at once."""


@dataclass(frozen=True, eq=False)
class TransferTable:
    """rows: what images were made for, the last one noise; columns: what they were tested on; errors: (rows, columns),
    the part of each that is taken for another class than its label; distortions: (rows,), the mean over images of
    sqrt(mean((x' - x)^2)). `str` is the table."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    errors: np.ndarray
    distortions: np.ndarray

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        numbers = {"errors": self.errors.tolist(), "distortions": self.distortions.tolist()}
        return {"rows": list(self.rows), "columns": list(self.columns), **numbers}

    def __str__(self) -> str:
        heads = ["", *self.columns, "av. distortion"]
        lines = [
            [row, *(f"{100 * e:.1f}%" for e in errors), f"{size:.3f}"]
            for row, errors, size in zip(self.rows, self.errors, self.distortions, strict=True)
        ]
        widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
        padded = ([f"{line[0]:<{widths[0]}}", *(f"{t:>{w}}" for t, w in zip(line[1:], widths[1:]))] for line in lines)
        top = [" " * widths[0], *(f"{t:>{w}}" for t, w in zip(heads[1:], widths[1:]))]
        return "\n".join("  ".join(line).rstrip() for line in (top, *padded))


def transfer_table(
    attacks: Mapping[str, Any],
    networks: Mapping[str, Any],
    images: Any,
    labels: Any,
    seed: int = 0,
    box: Box = (0.0, 1.0),
) -> TransferTable:
    """Error rates of each of `networks` on the examples in each of `attacks`, and on noise.

    attacks: by the name of the network they were made for, what an attack gave back or images of the shape of `images`,
    (n, channels, height, width), from which they were made. labels: integers (n,). networks: by name, a model or layer,
    or any function from an array of images to integers (n,). The noise of the last row is Gaussian, of one standard
    deviation for all, clipped to the box and so strong that its mean distortion is the mean of the other rows'.

    Raises InputError for arrays that do not fit, SettingError where there is nothing to test or to test on.
    """
    pixels, limits = checked(images, box)
    truth = checked_classes("transfer_table", labels, len(pixels))
    if not attacks or not networks:
        raise SettingError("transfer_table: at least one attack and one network are needed, each under a name")
    made = {f"distorted for {name}": _examples(name, found, pixels) for name, found in attacks.items()}
    sizes = [_distortion(pixels, changed) for changed in made.values()]
    deviation, noisy = _noise(pixels, float(np.mean(sizes)), checked_seed("transfer_table: seed", seed), limits)
    rows = {**made, f"gaussian noise, stddev={deviation:.2g}": noisy}
    tests = [_classifier(name, network) for name, network in networks.items()]
    errors = np.array([[(test(changed) != truth).mean() for test in tests] for changed in rows.values()])
    return TransferTable(tuple(rows), tuple(networks), errors, np.array([*sizes, _distortion(pixels, noisy)]))


def nearest_neighbour(images: Any, labels: Any) -> Classifier:
    """The classifier that gives an image the label of the nearest of `images`, by the Euclidean distance (Cover and
    Hart 1967); of several, the first.

    images: floats (n, channels, height, width); labels: integers (n,). The function takes arrays of such images. Raises
    InputError for other arrays, here and there.
    """
    known = np.asarray(images)
    names = checked_classes("nearest_neighbour", labels, len(known))
    if not len(known):
        raise InputError("nearest_neighbour: at least one image is needed")
    flat = known.reshape(len(known), -1).astype("float64")
    lengths = (flat * flat).sum(1)

    def nearest(asked: np.ndarray) -> np.ndarray:
        if asked.shape[1:] != known.shape[1:]:
            raise InputError(f"nearest_neighbour: images are {('n', *known.shape[1:])}, not {asked.shape}")
        rows = asked.reshape(len(asked), flat.shape[1]).astype("float64")
        starts = range(0, len(rows), CHUNK)
        found = [(lengths - 2 * (rows[i : i + CHUNK] @ flat.T)).argmin(1) for i in starts]
        told: np.ndarray = names[np.concatenate([np.zeros(0, int), *found])]
        return told

    return nearest


def _examples(name: str, found: Any, pixels: np.ndarray) -> np.ndarray:
    changed = np.asarray(found.images if isinstance(found, Attack) else found)
    if changed.shape != pixels.shape:
        raise InputError(f"transfer_table: the images made for {name} are {changed.shape}, the given {pixels.shape}")
    return changed.astype(pixels.dtype)


def _classifier(name: str, network: Any) -> Classifier:
    """A function from images to classes (n,), which checks that it gives them."""

    def test(images: np.ndarray) -> np.ndarray:
        if isinstance(network, (Model, Layer)):
            return classified(network, images)
        found = network(images)
        if not isinstance(found, np.ndarray) or found.shape != (len(images),) or found.dtype.kind not in "iu":
            raise InputError(
                f"transfer_table: {name} is to give an array of integers ({len(images)},), the images' classes, not "
                f"{type(found).__name__} {getattr(found, 'shape', '')}; a function f of tensors is tested as "
                "lambda images: kw.vision.classified(f, images)"
            )
        return found

    return test


def _distortion(pixels: np.ndarray, changed: np.ndarray) -> float:
    change = (changed.astype("float64") - pixels).reshape(len(pixels), -1)
    return float(np.sqrt((change * change).mean(1)).mean())


def _noise(pixels: np.ndarray, size: float, seed: int, box: Box) -> tuple[float, np.ndarray]:
    """(standard deviation, images): noise whose mean distortion after clipping is `size`, found by halving; where the
    box has no room for that, as much of it as 64 times the standard deviation gives."""
    drawn, (low, high) = np.random.default_rng(seed).normal(size=pixels.shape), edges(box, pixels.dtype)

    def noisy(deviation: float) -> np.ndarray:
        moved: np.ndarray = np.clip((pixels + deviation * drawn).astype(pixels.dtype), low, high)
        return moved

    least, most = 0.0, 64 * size
    for _ in range(30):
        middle = (least + most) / 2
        least, most = (least, middle) if _distortion(pixels, noisy(middle)) > size else (middle, most)
    return most, noisy(most)
