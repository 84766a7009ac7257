"""Batches made by threads while the network computes: `kw.data.Loader`.

Threads read, decode and preprocess the next batches, a bounded number ahead, and hand them over in order. What is in a
batch depends on the seed, the epoch and the batch's number alone, not on how many threads there are or which is
fastest. Leans on `sources` for one example, on concurrent.futures for the threads.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np

from ...runtime.errors import KernelwrightError
from ..arguments import explained
from ..batches import order, steps_in
from ..checks import flag, function, whole
from ..checks import seed as checked_seed
from ..shown import Shown
from .errors import DataError
from .sources import as_source

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""(images (n, channels, height, width) float32, a generator for this batch) -> images (n, ...) float32."""

Batch = tuple[np.ndarray, np.ndarray]
"""images (n, ...) float32, labels of these n examples."""

TRANSFORM = 1
"""Marks the transform's random numbers. Not 0, with which NumPy would draw those of the order again."""


class Loader(Shown):
    """Batches of `batch` examples of a source, made by `workers` threads, at most `ahead` of them before they are used.

    source: image files (`data.ImageFiles`), a pair (images, labels) in memory, or an object as in `data.sources`.
    shuffle: a new order each epoch, drawn from seed and epoch, the same that `Trainer` draws for data in memory; else
    the source's order. transform: preprocessing or augmentation of a batch, called in the threads with a generator of
    the batch's own. workers: by default one per core, at most 8. ahead: by default two per worker.

    Iterating gives an epoch of (images, labels), the next epoch the next time; the last batch may be smaller, as with
    PyTorch. `Trainer.fit` and `Trainer.evaluate` take a loader in place of data. Raises SettingError for numbers that
    make no sense, DataError for a source without examples or of another kind.
    """

    @explained({"batch_size": "here it is batch", "num_workers": "here it is workers", "prefetch_factor": "ahead=..."})
    def __init__(
        self,
        source: Any,
        batch: int = 64,
        seed: int = 0,
        shuffle: bool = True,
        transform: Transform | None = None,
        workers: int | None = None,
        ahead: int | None = None,
    ):
        self.source = as_source(source)
        self.batch, self.seed = whole("Loader: batch", batch), checked_seed("Loader: seed", seed)
        self.shuffle = flag("Loader: shuffle", shuffle)
        self.transform = None if transform is None else function("Loader: transform", transform)
        self.workers = min(os.cpu_count() or 1, 8) if workers is None else whole("Loader: workers", workers)
        self.ahead = 2 * self.workers if ahead is None else whole("Loader: ahead", ahead)
        if not len(self.source):
            raise DataError("a Loader needs at least one example; the source has none")
        self.labels, self._shape = np.asarray(self.source.labels), tuple(self.source.shape)
        if len(self.labels) != len(self.source):
            raise DataError(f"the Loader's source has {len(self.source)} examples but {len(self.labels)} labels")
        self._epoch = 0

    @property
    def examples(self) -> int:
        """How many examples an epoch has."""
        return len(self.source)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return steps_in(self.examples, self.batch)

    def __iter__(self) -> Iterator[Batch]:
        epoch, self._epoch = self._epoch, self._epoch + 1
        return self.batches(epoch)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `start` on. The threads end with the iterator, also where it is closed.

        Raises DataError naming the file that cannot be read, when its batch is reached; what a transform raises comes
        with the batch in its notes.
        """
        positions = order(self.examples, self.seed, epoch) if self.shuffle else np.arange(self.examples)
        return self._produce(positions, epoch, start)

    def in_order(self) -> Iterator[Batch]:
        """All batches in the source's order, whether `shuffle` or not: for evaluation."""
        return self._produce(np.arange(self.examples), 0, 0)

    def describe(self) -> dict[str, Any]:
        """What the content of batches depends on, as plain data: for checkpoints."""
        return {"examples": self.examples, "batch": self.batch, "seed": self.seed, "shuffle": self.shuffle}

    def _produce(self, positions: np.ndarray, epoch: int, start: int) -> Iterator[Batch]:
        stop, waiting, numbers = threading.Event(), deque[Future[Batch]](), iter(range(start, len(self)))
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="kernelwright-loader")

        def refill() -> None:
            for number in islice(numbers, self.ahead - len(waiting)):
                waiting.append(pool.submit(self._make, positions, epoch, number, stop))

        try:
            refill()
            while waiting:
                batch = waiting.popleft().result()
                refill()
                yield batch
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, positions: np.ndarray, epoch: int, number: int, stop: threading.Event) -> Batch:
        """Batch `number`, in a thread. Gives up between two examples once `stop` is set: nobody waits for it then."""
        chosen = positions[number * self.batch : (number + 1) * self.batch]
        images = np.empty((len(chosen), *self._shape), np.float32)
        for row, position in enumerate(chosen.tolist()):
            if stop.is_set():
                return images, chosen
            images[row] = self._read(position)
        if self.transform is not None:
            images = self._transformed(images, epoch, number)
        self._check_finite(images, chosen)
        return images, self.labels[chosen]

    def _read(self, position: int) -> np.ndarray:
        try:
            image = np.asarray(self.source.read(position))
        except KernelwrightError:
            raise
        except Exception as error:
            kind = type(error).__name__
            raise DataError(f"{self.source.where(position)}: cannot be read ({kind}: {error})") from error
        if image.shape != self._shape:
            raise DataError(
                f"{self.source.where(position)}: an image of shape {image.shape}, not {self._shape} as the others"
            )
        return np.divide(image, np.float32(255), dtype=np.float32) if image.dtype == np.uint8 else image

    def _transformed(self, images: np.ndarray, epoch: int, number: int) -> np.ndarray:
        assert self.transform is not None
        rng = np.random.default_rng([self.seed, epoch, TRANSFORM, number])
        try:
            out = np.asarray(self.transform(images, rng))
        except Exception as error:
            error.add_note(f"raised by the Loader's transform for batch {number} of epoch {epoch}")
            raise
        if out.shape[:1] != images.shape[:1] or out.dtype != np.float32:
            raise DataError(
                f"the Loader's transform made {out.dtype} {out.shape} of float32 {images.shape}; it should give "
                f"{len(images)} float32 images"
            )
        return out

    def _check_finite(self, images: np.ndarray, chosen: np.ndarray) -> None:
        if not np.isfinite(images.sum(dtype="float64")):
            finite = np.isfinite(images).reshape(len(images), -1).all(1)
            if not finite.all():
                raise DataError(f"{self.source.where(int(chosen[finite.argmin()]))}: holds nan or inf")
