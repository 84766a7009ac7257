"""Smallest changes: quadratics in a box, the distance of a linear network's border, and less than signed steps need."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError
from kernelwright.models.checks import SettingError
from kernelwright.models.vision.boxed_lbfgs import minimised

RNG = np.random.default_rng(5)
IMAGES = RNG.random((5, 1, 4, 6), dtype="float32")
WEIGHTS, SHIFT = RNG.normal(size=(24, 3)).astype("float32"), RNG.normal(size=3).astype("float32")


def linear(x):
    return x.reshape(-1, 24) @ WEIGHTS + SHIFT


def test_quadratics_come_to_their_minimum_inside_the_box_each_by_itself():
    """For a diagonal quadratic the minimum in a box is the free one clipped, number by number."""
    scales, middle = 10 ** RNG.uniform(-1, 1, (4, 12)), RNG.uniform(-0.5, 1.5, (4, 12))

    def objective(points):
        away = points - middle
        return (scales * away**2).sum(1), 2 * scales * away

    start = RNG.random((4, 12))
    found = minimised(objective, start, 0.0, 1.0, 80)
    np.testing.assert_allclose(found, np.clip(middle, 0, 1), atol=1e-6)
    scales, middle = scales[2:3], middle[2:3]
    np.testing.assert_array_equal(minimised(objective, start[2:3], 0.0, 1.0, 80)[0], found[2])


def test_a_curved_valley_is_followed_to_its_end():
    """Rosenbrock's function, whose minimum (1, 1) lies inside the box, and (0.5, 0.25) at the edge of a smaller one."""

    def objective(points):
        x, y = points.T
        slope = np.stack([-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)], 1)
        return 100 * (y - x * x) ** 2 + (1 - x) ** 2, slope

    start = np.array([[-1.2, 1.0]])
    np.testing.assert_allclose(minimised(objective, start, -2.0, 2.0, 200), [[1, 1]], atol=1e-5)
    np.testing.assert_allclose(minimised(objective, start, -2.0, 0.5, 200), [[0.5, 0.25]], atol=1e-5)


def test_a_linear_network_is_fooled_at_the_distance_of_its_border():
    """Two classes: |w.x + b| / |w| away, along w, where w and b are the difference of the classes' rows."""

    def two(x):
        return linear(x)[:, :2]

    inner = IMAGES * 0.2 + 0.4
    w, b = (WEIGHTS[:, 0] - WEIGHTS[:, 1]).astype("float64"), float(SHIFT[0]) - float(SHIFT[1])
    gap = inner.reshape(5, 24) @ w + b
    found = kw.vision.lbfgs_attack(two, inner, searches=16, box=(-50, 50))
    assert (found.before == (gap < 0)).all() and (found.after == (gap >= 0)).all()
    far = abs(gap) / np.linalg.norm(w)
    np.testing.assert_allclose(found.l2, far, rtol=2e-3)
    np.testing.assert_allclose(found.distortion, far / np.sqrt(24), rtol=2e-3)
    foot = inner.reshape(5, 24) - (gap / (w @ w))[:, None] * w
    np.testing.assert_allclose(found.images.reshape(5, 24), foot, atol=5e-3)


def test_images_keep_to_the_box_and_to_themselves():
    images = np.round(IMAGES)
    targets = np.full(5, 2)
    found = kw.vision.lbfgs_attack(linear, images, targets)
    assert (found.after == 2).all() and found.images.dtype == np.float32
    assert found.images.min() == 0 and found.images.max() == 1  # edges were met, and kept
    change = (found.images.astype("float64") - images).reshape(5, -1)
    np.testing.assert_allclose(found.l2, np.linalg.norm(change, axis=1), rtol=1e-12)
    alone = kw.vision.lbfgs_attack(linear, images[3:4], targets[3:4])
    np.testing.assert_allclose(alone.images, found.images[3:4], atol=1e-4)
    again = kw.vision.lbfgs_attack(linear, images, targets)
    np.testing.assert_array_equal(again.images, found.images)


def test_an_image_that_cannot_be_fooled_stays_as_it_is():
    def sure(x):
        return kw.concat([x.reshape(-1, 24).sum(1, keepdims=True) + 100, x.reshape(-1, 24).sum(1, keepdims=True)], 1)

    found = kw.vision.lbfgs_attack(sure, IMAGES, searches=2, evaluations=5)
    assert (found.after == 0).all() and (found.images == IMAGES).all() and (found.l2 == 0).all()


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"images": IMAGES * 255}, InputError, "outside of box"),
        ({"targets": [1]}, InputError, r"integers \(5,\)"),
        ({"start": 0}, SettingError, "above 0"),
        ({"searches": 0}, SettingError, "searches"),
        ({"evaluations": 1.5}, SettingError, "evaluations"),
    ],
)
def test_mistakes_are_one_clear_error(change, error, words):
    with pytest.raises(error, match=words):
        kw.vision.lbfgs_attack(linear, **({"images": IMAGES} | change))


def test_less_than_signed_steps_need():
    """On a network trained on digits: all images are fooled, by less than the smallest signed step that fools each."""
    data = kw.data.digits()
    model = kw.models.build("perceptron")
    kw.Trainer(model).fit(data, 3, progress=False)
    images = data.test.images[:12]
    found = kw.vision.lbfgs_attack(model, images)
    assert (found.after != found.before).all()
    least = np.full(12, np.inf)
    for epsilon in (0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5):
        signed = kw.vision.fgsm(model, images, epsilon)
        least = np.where(signed.after != signed.before, np.minimum(least, signed.l2), least)
    assert np.isfinite(least).sum() >= 8 and (found.l2 < least).all()
