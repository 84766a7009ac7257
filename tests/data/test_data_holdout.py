"""`kw.data.hold_out`: how many of each class, which ones, and what stays."""

from pathlib import Path

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError


def part(labels):
    labels = np.array(labels, "int32")
    return kw.data.Split(np.arange(len(labels), dtype="float32").reshape(-1, 1, 1, 1), labels)


def dataset(labels):
    return kw.data.Dataset("made", part(labels), part([0, 1, 2]), ("a", "b", "c"))


def test_each_class_gives_its_tenth_and_nothing_is_lost():
    before = dataset([0] * 50 + [1] * 20 + [2] * 4)
    after = kw.data.hold_out(before, 0.1, seed=5)
    assert np.bincount(after.validation.labels).tolist() == [5, 2, 1]
    assert np.bincount(after.train.labels).tolist() == [45, 18, 3]
    both = np.concatenate([after.train.images, after.validation.images]).ravel()
    assert sorted(both) == list(range(74))
    for split in (after.train, after.validation):  # images go with their labels, in the order of before
        assert (np.diff(split.images.ravel()) > 0).all()
        assert (before.train.labels[split.images.ravel().astype(int)] == split.labels).all()
    assert after.test is before.test and before.validation is None
    assert repr(after) == "<Dataset made: 66 + 8 + 3 images (1, 1, 1)>"


def test_the_seed_chooses():
    labels = [0, 1] * 100
    held = [kw.data.hold_out(dataset(labels), 0.2, seed).validation.images.tobytes() for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_one_example_of_a_class_stays_in_training():
    after = kw.data.hold_out(dataset([0, 1, 1]), 0.9)
    assert sorted(after.train.labels) == [0, 1] and after.validation.labels.tolist() == [1]


def test_files_are_divided_by_name_alone():
    def files(labels):
        return kw.data.ImageFiles([f"{i}.png" for i in range(len(labels))], np.array(labels), (1, 4, 4))

    data = kw.data.ImageDataset("files", files([0] * 10 + [1] * 30), files([0, 1]), ("a", "b"))
    after = kw.data.hold_out(data, 0.2)
    assert np.bincount(after.validation.labels).tolist() == [2, 6] and len(after.train) == 32
    assert {*after.train.paths, *after.validation.paths} == {Path(f"{i}.png") for i in range(40)}
    assert repr(after) == "<ImageDataset files: 32 + 8 + 2 files as (1, 4, 4)>"


def test_several_classes_an_image_are_drawn_together():
    several = kw.data.ImageFiles(["x.png"] * 20, np.eye(20, 3, dtype="int32"), (1, 4, 4))
    data = kw.data.ImageDataset("several", several, several, ("a", "b", "c"))
    assert len(kw.data.hold_out(data, 0.25).validation) == 5


@pytest.mark.parametrize("fraction", [0, 1, -0.5, "a tenth", True])
def test_other_fractions_are_refused(fraction):
    with pytest.raises(SettingError, match="hold_out: fraction is a number that lies between 0 and 1"):
        kw.data.hold_out(dataset([0, 0, 1, 1]), fraction)


def test_what_cannot_be_divided():
    with pytest.raises(kw.data.DataError, match="made: no class has two training examples"):
        kw.data.hold_out(dataset([0, 1, 2]), 0.5)
    with pytest.raises(kw.data.DataError, match="made has 1 examples for validation already"):
        kw.data.hold_out(kw.data.hold_out(dataset([0, 0, 1])))


def test_parts_of_another_shape_are_refused():
    wide = kw.data.Split(np.zeros((1, 1, 1, 2), "float32"), np.zeros(1, "int32"))
    with pytest.raises(kw.data.DataError, match=r"train has images of shape \(1, 1, 1\), validation of \(1, 1, 2\)"):
        kw.data.Dataset("made", part([0]), part([0]), ("a",), wide)
