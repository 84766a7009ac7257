"""Distortions by NumPy, and what a network says of them against its own answers to these images."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError
from kernelwright.models.checks import SettingError

RNG = np.random.default_rng(8)
IMAGE = RNG.random((2, 6, 6))


@pytest.fixture(scope="module")
def net():
    with kw.init.precision("float64"), kw.init.seeded(2):
        net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(4), kw.relu, kw.nn.Dense(3))
        net(kw.input("images", (None, 2, 6, 6), "float64"))
    return net


def images(net, kind, amounts, **options):
    return kw.vision.distort(net, IMAGE, kind, amounts, **options).images


def test_moves_and_turns_are_those_of_numpy(net):
    right = np.zeros_like(IMAGE)
    right[:, :, 2:] = IMAGE[:, :, :-2]
    up = np.full_like(IMAGE, 0.5)
    up[:, :-1] = IMAGE[:, 1:]
    np.testing.assert_allclose(images(net, "translate_x", [0, 2]), [IMAGE, right], atol=1e-12)
    np.testing.assert_allclose(images(net, "translate_y", [-1], fill=0.5)[0], up, atol=1e-12)
    turned = images(net, "rotate", [0, 90, -90])
    inside = np.s_[..., 1:-1, 1:-1]  # the corners of a square turned by 90.000001 degrees leave it
    np.testing.assert_allclose(turned[inside][1], np.rot90(IMAGE, 1, (1, 2))[inside], atol=1e-9)
    np.testing.assert_allclose(turned[inside][2], np.rot90(IMAGE, -1, (1, 2))[inside], atol=1e-9)
    np.testing.assert_allclose(turned[0], IMAGE, atol=1e-12)


def test_scaling_samples_about_the_middle(net):
    ramp = np.broadcast_to(np.arange(6.0), (2, 6, 6)).copy()
    got = kw.vision.distort(net, ramp, "scale", [2.0]).images[0]
    np.testing.assert_allclose(got, np.broadcast_to(2.5 + (np.arange(6) - 2.5) / 2, (2, 6, 6)), atol=1e-12)


def test_contrast_and_covering(net):
    grey, same, strong = images(net, "contrast", [0, 1, 3])
    np.testing.assert_allclose(grey, IMAGE.mean())
    np.testing.assert_allclose(same, IMAGE, atol=1e-15)
    np.testing.assert_allclose([strong.mean(), strong.std()], [IMAGE.mean(), 3 * IMAGE.std()], rtol=1e-12)
    none, odd, whole = images(net, "occlude", [0, 3, 6], fill=0.25)
    np.testing.assert_array_equal(none, IMAGE)
    want = IMAGE.copy()
    want[:, 1:4, 1:4] = 0.25
    np.testing.assert_array_equal(odd, want)
    assert (whole == 0.25).all()


def test_probabilities_answers_and_distances_are_the_networks(net):
    w, b, v, c = map(kw.get_value, net.parameters())
    found = kw.vision.distort(net, IMAGE, "contrast", np.linspace(-8, 8, 9), layers=("flatten1", "dense1"))
    flat = found.images.reshape(9, -1)
    logits = np.maximum(flat @ w.T + b, 0) @ v.T + c
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, shares, rtol=1e-10)
    np.testing.assert_array_equal(found.answers, logits.argmax(1))
    assert found.label == (np.maximum(IMAGE.ravel() @ w.T + b, 0) @ v.T + c).argmax()
    np.testing.assert_array_equal(found.confidence, found.probabilities[:, found.label])
    np.testing.assert_allclose(found.distances["flatten1"], np.linalg.norm(flat - IMAGE.ravel(), axis=1), rtol=1e-10)
    moved = (flat - IMAGE.ravel()) @ w.T
    np.testing.assert_allclose(found.distances["dense1"], np.linalg.norm(moved, axis=1), rtol=1e-10, atol=1e-12)
    other = kw.vision.distort(net, IMAGE, "contrast", [1.0], label=(found.label + 1) % 3)
    np.testing.assert_allclose(other.confidence, other.probabilities[:, (found.label + 1) % 3])


@pytest.mark.parametrize(
    "kind, amounts, options, error, words",
    [
        ("shear", [1], {}, SettingError, "kind is one of translate_x, translate_y, scale, rotate, contrast, occlude"),
        ("rotate", 3, {}, InputError, "amounts are some finite numbers in a row"),
        ("rotate", [np.nan], {}, InputError, "amounts are some finite numbers in a row"),
        ("scale", [1, 0], {}, SettingError, "factors above 0, not 0"),
        ("occlude", [7], {}, SettingError, "whole numbers from 0 to 6"),
        ("rotate", [3], {"label": 3}, SettingError, "label is a whole number from 0 to 2, not 3"),
        ("rotate", [3], {"layers": ["dense3"]}, SettingError, "no layer 'dense3'"),
    ],
)
def test_mistakes_are_one_clear_error(net, kind, amounts, options, error, words):
    with pytest.raises(error, match=words):
        kw.vision.distort(net, IMAGE, kind, amounts, **options)
