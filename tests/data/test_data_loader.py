"""The loader: the same batches on any number of threads, bounded work ahead, errors where they are met."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from kernelwright.models import batches, data
from kernelwright.models.data import DataError, InMemory, Loader


class Numbers:
    """Example i is an image of i; `delay` seconds pass while it is read, and what was read is noted."""

    def __init__(self, count: int = 50, delay: float = 0.0):
        self.count, self.delay, self.shape = count, delay, (1, 2, 3)
        self.labels = np.arange(count, dtype="int32")
        self.seen: list[int] = []

    def __len__(self) -> int:
        return self.count

    def read(self, position: int) -> np.ndarray:
        self.seen.append(position)
        time.sleep(self.delay * (position % 3))  # so that threads overtake one another
        return np.full(self.shape, position, np.float32)

    def where(self, position: int) -> str:
        return f"number-{position}.png"


def jitter(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return images + rng.random(images.shape, dtype="float32")


def epoch(loader: Loader, number: int = 0, start: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(loader.batches(number, start))


def same(a: list[tuple[np.ndarray, np.ndarray]], b: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    return len(a) == len(b) and all((x == u).all() and (y == v).all() for (x, y), (u, v) in zip(a, b))


def threads() -> int:
    return sum(t.name.startswith("kernelwright-loader") for t in threading.enumerate())


@pytest.mark.parametrize("workers, ahead", [(1, 1), (2, 5), (7, 3), (8, 40)])
def test_batches_do_not_depend_on_threads(workers: int, ahead: int) -> None:
    one = Loader(Numbers(), 8, 3, transform=jitter, workers=1, ahead=1)
    many = Loader(Numbers(delay=0.001), 8, 3, transform=jitter, workers=workers, ahead=ahead)
    assert same(epoch(one), epoch(many)) and same(epoch(one, 1), epoch(many, 1))
    assert not same(epoch(one), epoch(one, 1)) and threads() == 0


def test_the_order_is_the_trainers() -> None:
    found = np.concatenate([labels for _, labels in epoch(Loader(Numbers(), 8, 3), 2)])
    assert np.array_equal(found, batches.order(50, 3, 2))
    plain = np.concatenate([labels for _, labels in epoch(Loader(Numbers(), 8, 3, shuffle=False), 2)])
    assert np.array_equal(plain, np.arange(50))
    assert np.array_equal(np.concatenate([y for _, y in Loader(Numbers(), 8, 3).in_order()]), np.arange(50))


def test_images_go_with_their_labels_and_the_last_batch_is_smaller() -> None:
    loader = Loader(Numbers(), 8, workers=3)
    found = epoch(loader)
    assert len(loader) == len(found) == 7 and [len(y) for _, y in found] == [8] * 6 + [2]
    for images, labels in found:
        assert images.dtype == np.float32 and images.shape[1:] == (1, 2, 3)
        assert (images == labels[:, None, None, None]).all()


@pytest.mark.parametrize("start", [0, 1, 6, 7])
def test_an_epoch_can_be_entered_anywhere(start: int) -> None:
    loader = Loader(Numbers(), 8, 3, transform=jitter, workers=4)
    assert same(epoch(loader, 1, start), epoch(loader, 1)[start:])


def test_iterating_goes_from_epoch_to_epoch() -> None:
    loader = Loader(Numbers(), 8, 3, workers=2)
    assert same(list(loader), epoch(loader, 0)) and same(list(loader), epoch(loader, 1))


def test_the_transforms_numbers_are_not_the_orders() -> None:
    drawn = []
    Loader(Numbers(8), 8, 3, transform=lambda x, rng: (drawn.append(rng.permutation(8)), x)[1]).batches(0).__next__()
    assert not np.array_equal(drawn[0], np.random.default_rng([3, 0]).permutation(8))


def test_no_more_than_ahead_is_read_before_it_is_used() -> None:
    source = Numbers(400)
    made = Loader(source, 4, workers=3, ahead=5).batches(0)
    next(made)
    deadline = time.monotonic() + 10
    while len(source.seen) < 4 * 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(source.seen) == 4 * 6  # the one given out and five that wait
    made.close()
    assert threads() == 0 and len(source.seen) == 4 * 6


def test_one_batch_is_made_while_another_is_used() -> None:
    source = Numbers(8)
    made = Loader(source, 4, workers=1, ahead=1).batches(0)
    next(made)
    deadline = time.monotonic() + 10
    while len(source.seen) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(source.seen) == 8
    made.close()


def test_threads_end_where_the_iterator_is_dropped() -> None:
    made = Loader(Numbers(1000, 0.001), 4, workers=4).batches(0)
    next(made)
    assert threads() == 4
    del made
    gc.collect()
    assert threads() == 0


@pytest.mark.parametrize("workers", [1, 4])
def test_an_error_comes_with_its_batch_and_the_files_name(workers: int) -> None:
    class Broken(Numbers):
        def read(self, position: int) -> np.ndarray:
            if position in (21, 45):
                raise RuntimeError("bad sector")
            return super().read(position)

    got = []
    with pytest.raises(DataError, match=r"number-21\.png: cannot be read \(RuntimeError: bad sector\)"):
        for _, labels in Loader(Broken(), 8, shuffle=False, workers=workers).batches(0):
            got.append(labels[0])
    assert got == [0, 8] and threads() == 0


def test_images_that_do_not_fit_are_named() -> None:
    class Odd(Numbers):
        value, size = np.nan, 2

        def read(self, position: int) -> np.ndarray:
            return np.full((1, self.size, 3), self.value, np.float32) if position == 9 else super().read(position)

    source = Odd()
    with pytest.raises(DataError, match=r"number-9\.png: holds nan or inf"):
        epoch(Loader(source, 8, workers=2))
    source.size = 4
    with pytest.raises(DataError, match=r"number-9\.png: an image of shape \(1, 4, 3\), not \(1, 2, 3\)"):
        epoch(Loader(source, 8, workers=2))


def test_transforms_that_fail_or_do_not_fit() -> None:
    def fails(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise RuntimeError("no such colour")

    with pytest.raises(RuntimeError, match="no such colour") as caught:
        epoch(Loader(Numbers(), 8, transform=fails))
    assert caught.value.__notes__ == ["raised by the Loader's transform for batch 0 of epoch 0"]
    with pytest.raises(DataError, match=r"transform made float64 \(8, 1, 2, 3\) .* it should give 8 float32 images"):
        epoch(Loader(Numbers(), 8, transform=lambda images, rng: images.astype("float64")))
    with pytest.raises(DataError, match=r"transform made float32 \(7, 1, 2, 3\)"):
        epoch(Loader(Numbers(), 8, transform=lambda images, rng: images[1:]))
    with pytest.raises(DataError, match=r"transform made object \(\)"):
        epoch(Loader(Numbers(), 8, transform=lambda images, rng: None))
    cut = epoch(Loader(Numbers(), 8, transform=lambda images, rng: images[:, :, :1]))
    assert cut[0][0].shape == (8, 1, 1, 3)


def test_sources_in_memory() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 1, 4, 4), np.uint8)
    labels = np.arange(10, dtype="int32")
    whole = (pixels / np.float32(255)).astype("float32")
    for source in ((pixels, labels), (whole, labels), data.Split(whole, labels), InMemory(pixels, labels)):
        images = np.concatenate([x for x, _ in Loader(source, 4).in_order()])
        assert images.dtype == np.float32 and np.array_equal(images, whole)
    several = np.eye(10, dtype=np.uint8)
    assert np.array_equal(np.concatenate([y for _, y in Loader((pixels, several), 4).in_order()]), several)


def test_a_source_of_lists_and_bytes() -> None:
    """Labels may be a list and the shape too; bytes become numbers in [0, 1]."""

    class Plain:
        labels, shape = [4, 5, 6], [1, 1, 2]

        def __len__(self) -> int:
            return 3

        def read(self, position: int) -> np.ndarray:
            return np.full((1, 1, 2), 51 * position, np.uint8)

        def where(self, position: int) -> str:
            return str(position)

    ((images, labels),) = Loader(Plain(), 4, shuffle=False).batches(0)
    assert labels.tolist() == [4, 5, 6] and np.allclose(images[:, 0, 0, 1], [0, 0.2, 0.4])
    Plain.labels = [4, 5]
    with pytest.raises(DataError, match="3 examples but 2 labels"):
        Loader(Plain())


def test_what_is_no_source() -> None:
    images, labels = np.zeros((3, 1, 2, 2), np.float32), np.zeros(3, np.int32)
    cases = [
        (images, "not ndarray"),
        (data.Dataset("few", data.Split(images, labels), data.Split(images, labels), ("a",)), "not Dataset; give its"),
        ((images, labels[:2]), "3 images but 2 labels"),
        ((images.astype("float64"), labels), "float32 or uint8"),
        ((images[:0], labels[:0]), "at least one example"),
    ]
    for source, message in cases:
        with pytest.raises(DataError, match=message):
            Loader(source)
    for wrong in ({"batch": 0}, {"workers": 0}, {"ahead": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match=r"Loader: .* is a whole number (of at least 1|from 0)"):
            Loader((images, labels), **wrong)


def test_ctrl_c_ends_a_process_that_waits_for_its_loader(tmp_path: Path) -> None:
    script = tmp_path / "wait.py"
    script.write_text(
        "import time\n"
        "import numpy as np\n"
        "from kernelwright.models.data import Loader\n"
        "class Slow:\n"
        "    labels, shape = np.zeros(10_000, 'int32'), (1, 1, 1)\n"
        "    def __len__(self): return 10_000\n"
        "    def where(self, position): return str(position)\n"
        "    def read(self, position):\n"
        "        time.sleep(0.05)\n"
        "        return np.zeros(self.shape, 'float32')\n"
        "print('ready', flush=True)\n"
        "for images, labels in Loader(Slow(), 2_000, workers=3):\n"
        "    pass\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)  # a batch alone would take 100 s
    assert process.returncode != 0 and "KeyboardInterrupt" in err
