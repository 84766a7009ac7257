"""A data set checks what it is made of and says where it is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from kernelwright.models.data import DataError, Dataset, Split
from kernelwright.models.data.dataset import as_images


def part(count: int = 6, side: int = 4) -> Split:
    return Split(np.zeros((count, 1, side, side), np.float32), np.arange(count, dtype=np.int32) % 3)


def made(train: Split, test: Split | None = None) -> Dataset:
    return Dataset("shapes", train, part() if test is None else test, ("a", "b", "c"))


def test_input_shape_and_repr() -> None:
    data = made(part(9))
    assert data.input_shape == (1, 4, 4)
    assert repr(data) == "<Dataset shapes: 9 + 6 images (1, 4, 4)>"


def test_subset_and_split_are_views_in_order() -> None:
    whole = part(9)
    assert len(whole.subset(4)) == 4 and np.shares_memory(whole.subset(4).images, whole.images)
    first, last = whole.split(2)
    assert (len(first), len(last)) == (7, 2)
    assert np.array_equal(np.concatenate([first.labels, last.labels]), whole.labels)
    assert len(whole.split(0)[1]) == 0


@pytest.mark.parametrize("count", [-1, 7])
def test_more_examples_than_there_are(count: int) -> None:
    with pytest.raises(DataError, match=f"cannot take {count} examples of 6"):
        part().subset(count)
    with pytest.raises(DataError, match=f"cannot take {count} examples of 6"):
        part().split(count)


@pytest.mark.parametrize("label", [-1, 3])
def test_label_out_of_range(label: int) -> None:
    bad = part()
    bad.labels[4] = label
    with pytest.raises(DataError, match=f"shapes, test: label {label} at position 4 is out of range: there are 3"):
        made(part(), bad)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_image_not_finite(value: float) -> None:
    bad = part()
    bad.images[2, 0, 1, 3] = value
    with pytest.raises(DataError, match=rf"shapes, train: image 2 holds {value} at \(0, 1, 3\)"):
        made(bad)


def test_lengths_differ() -> None:
    with pytest.raises(DataError, match="shapes, train: 6 images but 5 labels"):
        made(Split(part().images, part().labels[:5]))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 4, 4), np.float32), np.zeros(3, np.int32), r"images must be float32 \(n, channels"),
        (np.zeros((3, 1, 4, 4), np.uint8), np.zeros(3, np.int32), "not uint8"),
        (np.zeros((3, 1, 4, 4), np.float32), np.zeros(3, np.int64), r"labels must be int32 \(n,\), not int64"),
        (np.zeros((3, 1, 4, 4), np.float32), np.zeros((3, 1), np.int32), r"not int32 \(3, 1\)"),
    ],
)
def test_wrong_arrays(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        made(Split(images, labels))


def test_parts_of_different_shapes() -> None:
    with pytest.raises(DataError, match=r"train has images of shape \(1, 4, 4\), test of \(1, 5, 5\)"):
        made(part(), part(side=5))


def test_as_images_scales_to_one() -> None:
    images = as_images(np.array([[[0, 51], [255, 1]]], np.uint8))
    assert images.dtype == np.float32 and images.shape == (1, 1, 2, 2)
    assert np.array_equal(images.ravel(), np.array([0, 51, 255, 1], np.float32) / np.float32(255))
