"""A data set in memory: images and labels for training, validation and testing, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from .errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """images: (n, channels, height, width) float32, usually in [0, 1], or points (n, numbers); labels: (n,) int32, or
    numbers to be learned, (n, outputs) float32."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<Split: {len(self)} images {tuple(self.images.shape[1:])}>"

    def subset(self, count: int) -> Split:
        """The first `count` examples, as views. Raises DataError where there are fewer."""
        self._check_count(count)
        return Split(self.images[:count], self.labels[:count])

    def split(self, count: int) -> tuple[Split, Split]:
        """(all but the last `count` examples, the last `count`), as views. Raises DataError where there are fewer."""
        self._check_count(count)
        cut = len(self) - count
        return Split(self.images[:cut], self.labels[:cut]), Split(self.images[cut:], self.labels[cut:])

    def take(self, positions: np.ndarray) -> Split:
        """The examples at these positions, in this order, as copies."""
        return Split(self.images[positions], self.labels[positions])

    def _check_count(self, count: int) -> None:
        if not isinstance(count, Integral) or not 0 <= count <= len(self):
            raise DataError(f"cannot take {count} examples of {len(self)}")


@dataclass(frozen=True, eq=False)
class Dataset:
    """`train` and `test` over the same classes, and `validation` where a part was held out (`kw.data.hold_out`).

    classes: their names; where labels are numbers (n, outputs), the names of these.

    Raises DataError naming the data set, the part and the position.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    validation: Split | None = None

    def __post_init__(self) -> None:
        for part, split in self._parts().items():
            where = f"{self.name}, {part}"
            _check_arrays(where, split)
            _check_labels(where, split.labels, self.classes)
            _check_finite(where, split.images)
        for part, split in self._parts().items():
            if split.images.shape[1:] != self.train.images.shape[1:]:
                raise DataError(
                    f"{self.name}: train has images of shape {self.train.images.shape[1:]}, "
                    f"{part} of {split.images.shape[1:]}"
                )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width), or (numbers,) of points"""
        return tuple(self.train.images.shape[1:])

    def _parts(self) -> dict[str, Split]:
        held = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, **held, "test": self.test}

    def __repr__(self) -> str:
        sizes = " + ".join(str(len(split)) for split in self._parts().values())
        return f"<Dataset {self.name}: {sizes} images {self.input_shape}>"


def as_images(pixels: np.ndarray) -> np.ndarray:
    """uint8 (n, height, width) as float32 (n, 1, height, width) in [0, 1]."""
    result: np.ndarray = np.divide(pixels, np.float32(255), dtype=np.float32)[:, None]
    return result


def _check_arrays(where: str, split: Split) -> None:
    images, labels = split.images, split.labels
    if images.ndim not in (2, 4) or images.dtype != np.float32:
        raise DataError(
            f"{where}: images must be float32 (n, channels, height, width), not {images.dtype} {images.shape}"
        )
    if labels.ndim not in (1, 2) or labels.dtype != (np.int32 if labels.ndim == 1 else np.float32):
        raise DataError(
            f"{where}: labels must be int32 (n,), not {labels.dtype} {labels.shape}; numbers to learn are float32 "
            "(n, outputs)"
        )
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images but {len(labels)} labels")


def _check_labels(where: str, labels: np.ndarray, classes: tuple[str, ...]) -> None:
    if labels.ndim == 2:
        if labels.shape[1] != len(classes):
            raise DataError(f"{where}: labels {labels.shape} need a name for each column, not {classes}")
        if not np.isfinite(labels).all():
            raise DataError(f"{where}: label {int(np.argmin(np.isfinite(labels).all(1)))} is not finite")
        return
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if wrong.size:
        raise DataError(
            f"{where}: label {labels[wrong[0]]} at position {wrong[0]} is out of range: there are {len(classes)} "
            "classes"
        )


def _check_finite(where: str, images: np.ndarray) -> None:
    # The extremes are not finite where any value is not: two passes without a temporary array.
    if images.size and not (np.isfinite(images.min()) and np.isfinite(images.max())):
        position = tuple(map(int, np.argwhere(~np.isfinite(images))[0]))
        raise DataError(f"{where}: image {position[0]} holds {images[position]} at {position[1:]}")
