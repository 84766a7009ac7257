"""Sources of examples: what a `Loader` reads from, one example at a time, from memory or from files.

A source has `len`, `shape` (channels, height, width), `labels` for all examples, `read(position)`, which gives one
image of `shape` as float32, or as uint8 that the loader makes float32 in [0, 1], and `where(position)`, which says what
was read. `read` is called from several threads.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..shown import Shown
from .errors import DataError


@runtime_checkable
class Source(Protocol):
    """Any object with these serves; `ImageFiles` and `InMemory` are two."""

    labels: Any

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def read(self, position: int) -> np.ndarray: ...

    def where(self, position: int) -> str: ...


class InMemory(Shown):
    """Arrays as a source: images (n, ...) float32 or uint8.

    labels: n of them, integers. Bytes take a quarter of the memory. Raises DataError where the two do not fit.
    """

    def __init__(self, images: Any, labels: Any):
        self.images, self.labels = np.asarray(images), np.asarray(labels)
        if self.images.dtype not in (np.float32, np.uint8) or self.images.ndim < 2:
            raise DataError(
                f"images are float32 or uint8 (n, channels, height, width), not {self.images.dtype} {self.images.shape}"
            )
        if len(self.images) != len(self.labels):
            raise DataError(f"{len(self.images)} images but {len(self.labels)} labels")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape[1:]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, position: int) -> np.ndarray:
        result: np.ndarray = self.images[position]
        return result

    def where(self, position: int) -> str:
        return f"image {position}"


def as_source(data: Any) -> Source:
    """`data` itself where it is a source; a pair (images, labels), or something with both, as `InMemory`.

    Raises DataError for anything else.
    """
    if isinstance(data, Source):
        return data
    if hasattr(data, "images") and hasattr(data, "labels"):
        return InMemory(data.images, data.labels)
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return InMemory(*data)
    hint = "; give its .train or .test" if hasattr(data, "train") else ""
    raise DataError(
        f"a Loader reads image files, a pair (images, labels), or an object with labels, shape, len, read(position) "
        f"and where(position), not {type(data).__name__}{hint}"
    )
