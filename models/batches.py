"""Data in memory, checked and cut into batches: what may go in, in which order, and how many steps per native call.

The order of an epoch depends on the seed and the epoch alone, so that a resumed run continues with the same bits.
Leans on NumPy and the runtime's advice on shapes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..compiler.errors import InputError
from ..runtime.sizes import channels_last


class Arrays(NamedTuple):
    """images: (n, *input_shape) float32, finite; labels: as `labels.Labels.check` gives them."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def part(data: Any, *names: str) -> Any:
    """The images and labels of `data`: a pair of arrays, something with both as attributes, or a named part of it.

    Raises InputError where it is none of these.
    """
    for name in names:
        if getattr(data, name, None) is not None:
            return part(getattr(data, name))
    if hasattr(data, "images") and hasattr(data, "labels"):
        return data.images, data.labels
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return tuple(data)
    raise InputError(f"data is a pair (images, labels) or something with .images and .labels, not {_kind(data)}")


def check_labels(labels: Any, count: int, classes: int) -> np.ndarray:
    """Labels of `count` images as contiguous int32. Raises InputError where they are no integers in [0, classes)."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"labels are integers, one per image, not {labels.dtype}; a network with one output and the loss "
            "mean_squared_error learns numbers, as the playground does of --data plane"
        )
    if labels.shape != (count,):
        hint = "; for several classes per image, kw.losses.binary_cross_entropy" if labels.ndim == 2 else ""
        raise InputError(f"{count} images need labels of shape ({count},), not {labels.shape}{hint}")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise InputError(
            f"label {labels[wrong[0]]} at position {wrong[0]} is out of range: with {classes} classes, labels lie in "
            f"0..{classes - 1} ({wrong.size} of {len(labels)} are outside)"
        )
    return np.ascontiguousarray(labels, "int32")


def check_images(images: Any, input_shape: tuple[int, ...]) -> np.ndarray:
    """Images (n, *input_shape) as contiguous float32, n >= 1. Raises InputError for anything else."""
    images = np.asarray(images)
    if images.dtype.kind != "f":
        raise InputError(f"images are float32, not {images.dtype}: for bytes, images.astype('float32') / 255")
    if images.shape[1:] != input_shape or images.ndim != len(input_shape) + 1:
        sizes = ", ".join(map(str, input_shape))
        raise InputError(f"images have shape (n, {sizes}), not {images.shape}{_advice(images.shape, input_shape)}")
    if not len(images):
        raise InputError("there are no images: at least one is needed")
    out = np.ascontiguousarray(images, "float32")
    if not math.isfinite(float(out.sum(dtype="float64"))):
        finite = np.isfinite(out).reshape(len(out), -1).all(1)
        first = int(np.argmin(finite))
        raise InputError(f"image {first} holds nan or inf ({int((~finite).sum())} of {len(out)} images do)")
    return out


def _advice(shape: tuple[int, ...], input_shape: tuple[int, ...]) -> str:
    """What makes images of this shape fit, where it can be told: a reshape only where no axes are out of order."""
    if shape == input_shape:
        return ": one image still needs the leading axis, images[None]"
    last = channels_last(shape, (None, *input_shape))
    if last or not shape or math.prod(shape[1:]) != math.prod(input_shape):
        return last
    if sorted(shape[1:]) == sorted(input_shape):
        return ""  # the same sizes in another order, which a reshape would mix up
    return f": images.reshape(-1, {', '.join(map(str, input_shape))}) makes it fit"


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The positions of an epoch's examples, int32 (count,): a permutation drawn from the seed and the epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count).astype("int32")


def steps_in(count: int, batch: int) -> int:
    """Steps per epoch; the last batch may be smaller, as with PyTorch's loader."""
    return -(-count // batch)


def take(positions: np.ndarray, batch: int, start: int, most: int) -> np.ndarray:
    """The next steps from step `start`: (steps, batch) for at most `most` full ones, or (1, rest) for the last."""
    full = len(positions) // batch
    stop = min(start + most, full) if start < full else start + 1
    return positions[start * batch : stop * batch].reshape(stop - start, -1)


class Pace:
    """How many steps one native call should take to last about `seconds`: short enough to answer Ctrl-C."""

    def __init__(self, seconds: float = 0.2, most: int = 1024):
        self.seconds, self.most, self.steps = seconds, most, 1
        self._fastest = math.inf

    def learn(self, steps: int, seconds: float) -> None:
        """Note that `steps` took `seconds`. Counts are powers of two, so that few programs need to be bound."""
        self._fastest = min(self._fastest, seconds / steps)
        wanted = self.seconds / max(self._fastest, 1e-9)
        self.steps = max(min(2 ** int(math.log2(max(wanted, 1))), self.most), 1)


def _kind(data: Any) -> str:
    return f"an array of shape {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
