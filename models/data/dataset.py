"""A data set in memory: images and labels for training and for testing, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """images: (n, channels, height, width) float32 in [0, 1]; labels: (n,) int32."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, count: int) -> Split:
        """The first `count` examples."""
        return Split(self.images[:count], self.labels[:count])

    def divide(self, count: int) -> tuple[Split, Split]:
        """(all but the last `count` examples, the last `count`)."""
        cut = len(self) - count
        return Split(self.images[:cut], self.labels[:cut]), Split(self.images[cut:], self.labels[cut:])


@dataclass(frozen=True, eq=False)
class Dataset:
    """`train` and `test` over the same classes. Raises DataError where they do not fit together."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        for part, split in (("train", self.train), ("test", self.test)):
            if len(split.images) != len(split.labels):
                raise DataError(
                    f"{self.name}, {part}: {len(split.images)} images but {len(split.labels)} labels"
                )
            wrong = np.flatnonzero((split.labels < 0) | (split.labels >= len(self.classes)))
            if wrong.size:
                raise DataError(
                    f"{self.name}, {part}: label {split.labels[wrong[0]]} at position {wrong[0]} is out of range: "
                    f"there are {len(self.classes)} classes"
                )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width)"""
        return tuple(self.train.images.shape[1:])

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {len(self.train)} + {len(self.test)} images {self.input_shape}>"


def as_images(pixels: np.ndarray) -> np.ndarray:
    """uint8 (n, height, width) as float32 (n, 1, height, width) in [0, 1]."""
    return (pixels.astype("float32") / np.float32(255))[:, None]
