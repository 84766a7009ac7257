"""Every network is built for other images and classes, and says from which size on it takes images."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError
from kernelwright.models.networks.registry import build_for

DEEP = {"resnet1001_preact", "resnet1202"}
NAMES = [pytest.param(n, marks=pytest.mark.slow) if n in DEEP else n for n in kw.models.names()]
LEAST = {
    "alexnet": 67,  # 67, 15, 7, 3, 1: windows of 11 at stride 4, then three poolings of 3 at stride 2
    "alexnet_torchvision": 63,  # 63, 15, 7, 3, 1: the first window is padded by 2
    "densenet121": 29,  # 29, 15, 8, 4, 2, 1: the last transition takes the mean of 2x2
    "densenet169": 29,
    "densenet201": 29,
    "googlenet": 79,  # 79, 40, 20, 10, 5: the first head pools 5x5
    "googlenet_torchvision": 15,  # without heads: 15, 8, 4, 2, 1
    "inception_resnet_v1": 75,
    "inception_resnet_v2": 75,
    "inception_v3": 299,  # its head pools 5x5 of 17x17 at stride 3, which leaves the 5 of its window
    "inception_v4": 75,
    "lecun1989": 4,  # 4 and 3 of border, 2; 2 and 3 of border, 1
    "lenet5": 12,  # 12, 6, 2, 1
    "maxout_cifar": 8,  # 8, 9, 3, 2, 1 with the poolings' overhang
    "maxout_conv": 16,
    "vgg11": 32,
    "vgg13": 32,
    "vgg16": 32,
    "vgg19": 32,
    "zfnet": 63,
}
"""The least side of square images; those that are not here take a single pixel."""


def usual(name):
    return inspect.signature(getattr(kw.models, name)).parameters["input_shape"].default


@pytest.mark.parametrize("name", NAMES)
def test_another_shape_and_other_classes(name):
    channels, *sides = usual(name)
    shape = (channels + 1, *(n + 1 + 2 * i for i, n in enumerate(sides)))
    with kw.init.undrawn():
        model = build_for(name, shape, 7)
    assert (model.input_shape, model.classes) == (shape, 7)
    assert model(model.images()).shape[1:] == (7,)


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_images(name):
    channels, *sides = usual(name)
    least = LEAST.get(name, 1)
    with kw.init.undrawn():
        assert build_for(name, (channels, *[least] * len(sides)), 3).classes == 3
        if least > 1:
            small = f"{least - 1}x{least + 2}"
            said = f"^{name}: images of {least}x{least} pixels or more are needed, not {small}(;|$)"
            with pytest.raises(SettingError, match=said):
                build_for(name, (channels, least - 1, least + 2), 3)


def test_what_else_is_wrong_is_said_as_it_is():
    with pytest.raises(SettingError, match=re.escape("such as (1, 28, 28), not (784,)")):
        kw.models.lenet5(input_shape=(784,))
    with pytest.raises(SettingError, match="the margin is one of"):
        kw.models.svm(input_shape=(5,), margin="wide")
    with pytest.raises(kw.nn.LayerError, match="units is a whole number of at least 1, not 0"):
        kw.models.lenet5(0, (1, 8, 8))


def test_a_linear_svm_of_three_classes_is_one_against_the_others():
    """Its first loss from zero weights: max(0, 1 - 0) for each of three scores."""
    images, labels = np.ones((4, 1, 2, 2), "float32"), np.array([0, 1, 2, 1], "int32")
    model = kw.models.linear_svm((1, 2, 2), 3)
    assert model.size() == 3 * 4 + 3
    assert kw.Trainer(model, device="reference").step(images, labels) == pytest.approx(3.0)
