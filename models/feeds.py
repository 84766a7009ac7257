"""Where a training loop's steps come from: arrays in memory, many per native call, or a loader, one batch per call.

Both give the same batches for the same seed. Leans on `batches` for arrays and their checks, `data.loader` for files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Protocol

import numpy as np

from ..compiler.errors import InputError
from . import batches
from .data.loader import Loader
from .data.sources import Source
from .labels import Labels
from .model import Model

Chunk = tuple[Sequence[np.ndarray], np.ndarray]
"""What one native call takes: arrays (images and labels), and (steps, batch) positions in them."""

PRINTS = ("labels", "images")
"""Keys of what tells two data sets of one size apart: fingerprints of all labels, and of some images."""
EVALUATION = 256
"""The least batch of an evaluation of data in memory."""


class Feed(Protocol):
    """Steps for `Trainer`: `steps` per epoch of at most `batch` examples, in an order drawn from `seed`."""

    batch: int
    seed: int

    @property
    def steps(self) -> int: ...

    def chunks(self, epoch: int, start: int, pace: batches.Pace) -> Iterator[Chunk]:
        """The steps of `epoch` from number `start` on, as many in a chunk as `pace` says. To be closed."""

    def in_order(self) -> Iterator[Chunk]:
        """All examples once, for an evaluation. To be closed."""

    def describe(self) -> dict[str, Any]:
        """What the content of a step depends on, as plain data."""


class ArrayFeed:
    """Steps from arrays in memory."""

    def __init__(self, arrays: batches.Arrays, batch: int, seed: int):
        self.arrays, self.batch, self.seed = arrays, batch, seed

    @property
    def steps(self) -> int:
        return batches.steps_in(len(self.arrays), self.batch)

    def chunks(self, epoch: int, start: int, pace: batches.Pace) -> Iterator[Chunk]:
        positions = batches.order(len(self.arrays), self.seed, epoch)
        while start < self.steps:
            chunk = batches.take(positions, self.batch, start, pace.steps)
            yield self.arrays, chunk
            start += len(chunk)

    def in_order(self) -> Iterator[Chunk]:
        positions = np.arange(len(self.arrays), dtype="int32")
        size, done = max(self.batch, EVALUATION), 0
        while done < batches.steps_in(len(self.arrays), size):
            chunk = batches.take(positions, size, done, 64)
            yield self.arrays, chunk
            done += len(chunk)

    def describe(self) -> dict[str, Any]:
        said = {"examples": len(self.arrays), "batch": self.batch, "seed": self.seed, "shuffle": True}
        some = self.arrays.images[:: max(len(self.arrays) // 16, 1)]
        return {**said, "labels": _fingerprint(self.arrays.labels), "images": _fingerprint(some)}


class SeveralFeed(ArrayFeed):
    """Steps from any number of arrays in memory, inputs before targets."""

    def __init__(self, several: Sequence[np.ndarray], batch: int, seed: int):
        self.several = several
        super().__init__(batches.Arrays(several[0], several[-1]), batch, seed)

    def chunks(self, epoch: int, start: int, pace: batches.Pace) -> Iterator[Chunk]:
        for _, chunk in super().chunks(epoch, start, pace):
            yield self.several, chunk

    def in_order(self) -> Iterator[Chunk]:
        for _, chunk in super().in_order():
            yield self.several, chunk


class BatchFeed:
    """Steps from a loader, whose batch and seed they have; `split` makes a batch's arrays of its images and labels."""

    def __init__(self, loader: Loader, split: Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]]):
        self.loader, self.split = loader, split
        self.batch, self.seed = loader.batch, loader.seed

    def tried(self) -> BatchFeed:
        """This, after its first batch was split: what does not fit is said before a run begins."""
        with closing(self.loader.in_order()) as first:  # type: ignore[type-var]
            self.split(*next(first))
        return self

    @property
    def steps(self) -> int:
        return len(self.loader)

    def chunks(self, epoch: int, start: int, pace: batches.Pace) -> Iterator[Chunk]:
        return self._single(self.loader.batches(epoch, start))

    def in_order(self) -> Iterator[Chunk]:
        return self._single(self.loader.in_order())

    def describe(self) -> dict[str, Any]:
        return {**self.loader.describe(), "labels": _fingerprint(self.loader.labels)}

    def _single(self, made: Iterator[Any]) -> Iterator[Chunk]:
        with closing(made):  # type: ignore[type-var]
            for images, labels in made:
                yield self.split(images, labels), np.arange(len(images), dtype="int32")[None]


class LoaderFeed(BatchFeed):
    """The same for a network of images. Raises InputError where the loader's labels do not fit `model`."""

    def __init__(self, loader: Loader, model: Model, labels: Labels):
        super().__init__(loader, self._arrays)
        self.shape = model.input_shape
        self.dtype = labels.check(loader.labels, loader.examples, model.classes).dtype

    def _arrays(self, images: np.ndarray, labels: np.ndarray) -> batches.Arrays:
        if images.shape[1:] != self.shape:
            raise InputError(
                f"the loader gives images of shape {images.shape[1:]}, the network takes {self.shape}; "
                "read the files in this shape, or let the transform make it"
            )
        return batches.Arrays(np.ascontiguousarray(images), labels.astype(self.dtype))


def feed(data: Any, part: str, model: Model, labels: Labels, batch: int, seed: int) -> Feed:
    """The steps that `data`, or its `part` (train, validation, test), has for `model` with such labels.

    A loader keeps its own batch and seed. Raises InputError where data and network do not fit.
    """
    check_fit(data, model)
    if getattr(data, part, None) is not None:
        data = getattr(data, part)
    loader = loader_of(data, batch, seed)
    if loader is not None:
        return LoaderFeed(loader, model, labels)
    return ArrayFeed(check(batches.part(data), model, labels), batch, seed)


def loader_of(data: Any, batch: int, seed: int) -> Loader | None:
    """The loader that `data` is, or that reads it where it is a source; None for anything else."""
    if isinstance(data, Loader):
        return data
    return Loader(data, batch, seed) if isinstance(data, Source) else None


def held(data: Any, validation: Any, feed: Callable[[Any, str, int, int], Feed], batch: int, seed: int) -> Feed | None:
    """What a fit is validated with: `validation`, else the validation or test part of `data`, else nothing."""
    if validation is not None:
        part = "validation" if getattr(validation, "validation", None) is not None else "test"
        return feed(validation, part, batch, seed)
    for part in ("validation", "test"):
        if getattr(data, part, None) is not None:
            return feed(getattr(data, part), part, batch, seed)
    return None


def check(data: Any, model: Model, labels: Labels) -> batches.Arrays:
    """The pair `data` as checked arrays. Raises InputError saying what was expected and where it fails."""
    images, given = data
    images = batches.check_images(images, model.input_shape)
    return batches.Arrays(images, labels.check(given, len(images), model.classes))


def check_fit(data: Any, model: Model) -> None:
    """Raises InputError where a data set has images of another shape than `model` takes, or more classes."""
    classes, shape = getattr(data, "classes", None), getattr(data, "input_shape", None)
    if classes is None or shape is None or (tuple(shape) == model.input_shape and len(classes) <= model.classes):
        return
    name = getattr(data, "name", "the data set")
    raise InputError(
        f"{model.name} takes images {model.input_shape} of up to {model.classes} classes, but {name} has images "
        f"{tuple(shape)} of {len(classes)}; build the network with input_shape={tuple(shape)}, classes={len(classes)} "
        "where it has these options, or choose another network or data set"
    )


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """In words, what `describe` said before and says now, where the two differ; else an empty string."""
    changed = [key for key in before if before[key] != now.get(key)]
    plain = [f"{key} {before[key]} (now {now.get(key)})" for key in changed if key not in PRINTS]
    other = [f"other {key}" for key in changed if key in PRINTS and key in now]  # a loader's images are not read for it
    return ", ".join(plain) or " and ".join(other)


def _fingerprint(array: Any) -> str:
    """What differs for other numbers, and not for another dtype of the same."""
    return hashlib.blake2b(np.ascontiguousarray(array, "float32").tobytes(), digest_size=8).hexdigest()
