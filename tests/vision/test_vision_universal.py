"""One change for many images, and images of noise: bounds to the last bit, known answers, same seed same result."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError
from kernelwright.models.checks import SettingError

RNG = np.random.default_rng(11)
IMAGES = RNG.random((8, 1, 5, 4), dtype="float32") * np.float32(0.2) + np.float32(0.4)
SLOPE = RNG.normal(size=20).astype("float32")


def side(x):
    """Two classes, by the side of a plane through the middle of the box."""
    away = (x.reshape(-1, 20) - 0.5) @ SLOPE.reshape(20, 1)
    return kw.concat([away, -away], 1)


@pytest.fixture(scope="module")
def positive():
    """Images on one side: one change can take all of them to the other."""
    away = (IMAGES.reshape(8, 20) - 0.5) @ SLOPE
    return IMAGES - ((away.clip(max=0) - 0.05) / (SLOPE @ SLOPE))[:, None, None, None] * SLOPE.reshape(1, 5, 4)


@pytest.mark.parametrize("norm, epsilon", [("linf", 0.3), ("linf", 0.013), ("l2", 0.7), ("l2", 0.031)])
def test_the_change_keeps_its_bound_to_the_last_bit(positive, norm, epsilon):
    found = kw.vision.universal(side, positive, epsilon, norm, rate=1.0, passes=3)
    exact = found.change.astype("float64")
    assert (abs(exact).max() if norm == "linf" else np.linalg.norm(exact)) <= epsilon
    on = found.on(side, positive)
    assert (getattr(on, norm) <= epsilon).all()
    assert (on.after != on.before).mean() == max(found.rates)
    np.testing.assert_allclose(on.images, positive + found.change, atol=1e-6)  # far from the box's edges


def test_one_change_takes_all_of_one_side_across_the_plane_along_its_slope(positive):
    found = kw.vision.universal(side, positive, 5.0, "l2", rate=1.0)
    assert found.rates[-1] == 1.0
    along = found.change.ravel() @ SLOPE / np.linalg.norm(found.change) / np.linalg.norm(SLOPE)
    assert along < -0.999
    furthest = ((positive.reshape(8, 20) - 0.5) @ SLOPE).max() / np.linalg.norm(SLOPE)
    np.testing.assert_allclose(np.linalg.norm(found.change), furthest, rtol=0.03)  # and no longer than it need be


def test_images_with_it_stay_in_the_box_and_it_is_the_same_for_the_same_seed():
    images = np.round(RNG.random((6, 1, 5, 4), dtype="float32"))
    first = kw.vision.universal(side, images, 0.4, rate=1.0, passes=2, seed=3)
    again = kw.vision.universal(side, images, 0.4, rate=1.0, passes=2, seed=3)
    assert (first.change == again.change).all() and first.rates == again.rates
    on = first.on(side, images)
    assert on.images.min() == 0 and on.images.max() == 1 and on.images.dtype == np.float32


def test_noise_becomes_what_is_asked_for():
    weights = RNG.normal(size=(35, 4)).astype("float32")
    found = kw.vision.rubbish(lambda x: x.reshape(-1, 35) @ weights, (1, 5, 7), np.arange(4), seed=2)
    assert found.images.shape == (4, 1, 5, 7) and found.images.dtype == np.float32
    assert found.images.min() >= 0 and found.images.max() <= 1
    assert (abs(found.images - found.noise) <= 20 * 0.02 + 1e-5).all()
    for images, said in ((found.noise, found.doubt), (found.images, found.confidence)):
        p = np.exp(images.reshape(4, 35).astype("float64") @ weights)
        np.testing.assert_allclose(said, np.diag(p) / p.sum(1), rtol=1e-4)
    assert (found.confidence > np.maximum(found.doubt, 0.9)).all()
    again = kw.vision.rubbish(lambda x: x.reshape(-1, 35) @ weights, (1, 5, 7), np.arange(4), seed=2)
    np.testing.assert_array_equal(again.images, found.images)
    other = kw.vision.rubbish(lambda x: x.reshape(-1, 35) @ weights, (1, 5, 7), np.arange(4), seed=3)
    assert abs(other.noise - found.noise).max() > 0.5


def test_one_step_of_rubbish_is_the_sign_of_the_gradient():
    found = kw.vision.rubbish(side, (1, 5, 4), [0, 1], steps=1, step=0.1)
    want = found.noise + 0.1 * np.sign(SLOPE).reshape(5, 4) * np.array([1, -1]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(found.images, np.clip(want, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: kw.vision.universal(side, IMAGES, 0.1, "l1"), SettingError, "linf, l2"),
        (lambda: kw.vision.universal(side, IMAGES, 0.1, rate=1.5), SettingError, "rate"),
        (lambda: kw.vision.universal(side, IMAGES, -0.1), SettingError, "at least 0"),
        (lambda: kw.vision.universal(side, IMAGES * 9, 0.1), InputError, "outside of box"),
        (lambda: kw.vision.rubbish(side, (1, 5, 4), [0, 2]), InputError, "no class 2"),
        (lambda: kw.vision.rubbish(side, (1, 5, 4), [0.5]), InputError, "integers"),
    ],
)
def test_mistakes_are_one_clear_error(call, error, words):
    with pytest.raises(error, match=words):
        call()
