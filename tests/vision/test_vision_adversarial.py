"""Attacks: bounds to the last bit, the known answers on linear networks, PyTorch's first step, and what they do."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError
from kernelwright.models.checks import SettingError
from kernelwright.models.vision import bounds

RNG = np.random.default_rng(8)
IMAGES = RNG.random((6, 1, 5, 7), dtype="float32")
IMAGES[0, 0, 0] = [0, 1, 0, 1, 0.5, 1e-9, 1]
WEIGHTS, SHIFT = RNG.normal(size=(35, 4)).astype("float32"), RNG.normal(size=4).astype("float32")


def linear(x):
    return x.reshape(-1, 35) @ WEIGHTS + SHIFT


def own():
    return (IMAGES.reshape(6, 35) @ WEIGHTS + SHIFT).argmax(1)


def kept(attack, epsilon, norm, images=IMAGES, box=(0, 1)):
    change = (attack.images.astype("float64") - images).reshape(len(images), -1)
    size = abs(change).max(1) if norm == "linf" else np.linalg.norm(change, axis=1)
    assert attack.images.dtype == images.dtype and attack.images.shape == images.shape
    assert attack.images.min() >= box[0] and attack.images.max() <= box[1]
    np.testing.assert_allclose(getattr(attack, norm), size, rtol=1e-12)
    assert (size <= epsilon).all()
    return size


def test_one_signed_step_by_numpy():
    found = kw.vision.fgsm(linear, IMAGES, 0.25)
    logits = IMAGES.reshape(6, 35) @ WEIGHTS + SHIFT
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    slope = ((p - np.eye(4)[own()]) @ WEIGHTS.T).reshape(IMAGES.shape)
    np.testing.assert_allclose(found.images, np.clip(IMAGES + 0.25 * np.sign(slope), 0, 1), atol=1e-6)
    assert (found.before == own()).all()
    kept(found, 0.25, "linf")


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("epsilon", [0.0, 0.003, 0.1, 0.3, 7.7])
def test_bounds_are_kept_to_the_last_bit(norm, epsilon):
    for found in (
        kw.vision.pgd(linear, IMAGES, epsilon, norm=norm, steps=7),
        kw.vision.random_noise(linear, IMAGES, epsilon, norm),
    ):
        size = kept(found, epsilon, norm)
        if epsilon < 1:
            assert (size > 0.5 * epsilon * (epsilon > 0) - 1e-9).all()  # and used


def test_limits_are_the_last_numbers_that_keep_them():
    x = RNG.random((50, 1, 20, 20), dtype="float32")
    low, high = bounds.ball(x, 0.1, (-1.0, 2.0))
    for end, beyond in ((low, -9), (high, 9)):
        assert (abs(end.astype("float64") - x) <= 0.1).all()
        assert (abs(np.nextafter(end, np.float32(beyond)).astype("float64") - x) > 0.1).all()


def test_a_box_that_no_float_hits_is_kept():
    found = kw.vision.pgd(linear, IMAGES * 0.1 + 0.15, 0.5, steps=3, box=(0.1, 0.3))
    assert found.images.astype("float64").min() >= 0.1 and found.images.astype("float64").max() <= 0.3


def test_projected_steps_reach_the_best_corner_of_a_linear_loss():
    """Two classes with opposite scores: the loss rises along one direction only, and the best change is known."""
    w = RNG.normal(size=35).astype("float32")

    def two(x):
        y = x.reshape(-1, 35) @ w.reshape(35, 1)
        return kw.concat([y, -y], 1)

    labels = np.zeros(6, int)
    away = kw.vision.pgd(two, IMAGES, 0.125, labels, steps=30)
    want = np.clip(IMAGES - 0.125 * np.sign(w).reshape(5, 7), 0, 1)
    np.testing.assert_allclose(away.images, want, atol=1e-6)
    towards = kw.vision.pgd(two, IMAGES, 0.125, labels, targeted=True, steps=30)
    np.testing.assert_allclose(towards.images, np.clip(IMAGES + 0.125 * np.sign(w).reshape(5, 7), 0, 1), atol=1e-6)
    inner = IMAGES * 0.5 + 0.25  # so far inside the box that it does not matter
    straight = kw.vision.pgd(two, inner, 0.2, labels, norm="l2", steps=20, step=0.2)
    np.testing.assert_allclose(straight.images, inner - 0.2 * (w / np.linalg.norm(w)).reshape(5, 7), atol=1e-5)


def test_deepfool_of_a_linear_network_is_the_distance_to_the_nearest_border():
    inner = IMAGES * 0.2 + 0.4
    logits = inner.reshape(6, 35).astype("float64") @ WEIGHTS + SHIFT
    mine = logits.argmax(1)
    found = kw.vision.deepfool(linear, inner, overshoot=0.02, box=(-100, 100))
    gaps = logits[np.arange(6), mine][:, None] - logits
    ways = np.linalg.norm(WEIGHTS.T[mine][:, None] - WEIGHTS.T, axis=2)
    distances = np.where(ways == 0, np.inf, gaps / np.where(ways == 0, 1, ways))
    np.testing.assert_allclose(found.l2, 1.02 * distances.min(1), rtol=1e-3)
    assert (found.before == mine).all() and (found.after == distances.argmin(1)).all()


def test_deepfool_goes_on_where_pixels_are_at_the_edge_of_the_box():
    found = kw.vision.deepfool(linear, np.round(IMAGES))
    assert (found.after != found.before).all() and found.images.min() == 0 and found.images.max() == 1


def test_same_seed_same_images():
    first = kw.vision.pgd(linear, IMAGES, 0.2, steps=1, step=0.01, seed=3).images
    assert (first == kw.vision.pgd(linear, IMAGES, 0.2, steps=1, step=0.01, seed=3).images).all()
    assert abs(first - kw.vision.pgd(linear, IMAGES, 0.2, steps=1, step=0.01, seed=4).images).max() > 0.05


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"images": IMAGES * 255}, InputError, "outside of box"),
        ({"images": IMAGES * np.nan}, InputError, "outside of box"),
        ({"images": IMAGES[0]}, InputError, r"images\[None\]"),
        ({"classes": [1, 2]}, InputError, r"integers \(6,\)"),
        ({"epsilon": -1}, SettingError, "at least 0"),
        ({"norm": "l1"}, SettingError, "linf, l2"),
        ({"box": (1, 0)}, SettingError, "least, greatest"),
        ({"box": 1}, SettingError, "least, greatest"),
        ({"targeted": True}, SettingError, "targeted needs classes"),
    ],
)
def test_mistakes_are_one_clear_error(change, error, words):
    with pytest.raises(error, match=words):
        kw.vision.pgd(linear, **({"images": IMAGES, "epsilon": 0.1} | change))


@pytest.mark.slow
def test_signed_steps_fool_a_plain_network_and_noise_of_their_size_does_not():
    data = kw.data.digits()
    model = kw.models.build("mlp")
    kw.Trainer(model).fit(data, 5, progress=False)
    images, labels = data.test.images, data.test.labels
    error = {
        "none": (kw.vision.random_noise(model, images, 0.0).after != labels).mean(),
        "noise": (kw.vision.random_noise(model, images, 0.25).after != labels).mean(),
        "fgsm": (kw.vision.fgsm(model, images, 0.25, labels).after != labels).mean(),
        "pgd": (kw.vision.pgd(model, images, 0.25, labels, steps=10).after != labels).mean(),
    }
    assert error["none"] < 0.1 and error["noise"] < 0.25, error
    assert error["fgsm"] > 0.5 and error["pgd"] >= error["fgsm"], error
