"""Images that excite a unit, and dreams: against optima that are known, and the same from the same seed."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.vision.ascent import ascend
from kernelwright.models.vision.pictures import resized


def test_ascent_of_a_linear_function_ends_at_the_corner_of_the_box():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1, 1, 5, 6)).astype("float32")
    start = np.full((1, 1, 5, 6), 0.5, "float32")
    image, values = ascend(lambda x: (x * weights).sum(), start, steps=200, rate=0.05)
    np.testing.assert_array_equal(image, weights > 0)
    assert np.all(np.diff(values) >= -1e-6)
    np.testing.assert_allclose(values[0], 0.5 * weights.sum(), rtol=1e-5)
    np.testing.assert_allclose(values[-1], weights[weights > 0].sum(), rtol=1e-5)


def test_variation_draws_neighbours_together():
    image = kw.variable("v", np.array([[[[0.0, 1.0], [3.0, 7.0]]]]), "float64")
    loss = kw.vision.total_variation(image)
    value, gradient = kw.compile([], [loss, kw.grad(loss, image)]).run([])
    assert value == (9 + 36) / 2 + (1 + 16) / 2  # down, across
    np.testing.assert_array_equal(gradient[0, 0], [[-3 - 1, -6 + 1], [3 - 4, 6 + 4]])


def test_jitter_shifts_the_image_around_its_edges():
    seen = []
    start = np.arange(36, dtype="float32").reshape(1, 1, 6, 6) / 36
    weights = np.zeros((1, 1, 6, 6), "float32")
    weights[0, 0, 2, 3] = 1
    for seed in range(6):
        _, values = ascend(lambda x: (x * weights).sum(), start, 1, 0.0, jitter=2, seed=seed)
        seen.append(round(float(values[0]) * 36))
    allowed = {((2 + i) % 6) * 6 + (3 + j) % 6 for i in range(-2, 3) for j in range(-2, 3)}
    assert set(seen) <= allowed and len(set(seen)) > 2


def network():
    with kw.init.seeded(0):
        net = kw.nn.Sequential(kw.nn.Conv(4, 3, pad=1, name="first"), kw.relu, kw.nn.Conv(6, 3, pad=1, name="second"))
        net(kw.input("x", (None, 1, 12, 12)))
    return net


def test_a_unit_responds_more_in_the_end_and_the_same_seed_gives_the_same_image():
    net = network()
    image, responses = kw.vision.unit(net, (1, 12, 12), "second", 3, steps=60)
    assert image.shape == (1, 12, 12) and image.min() >= 0 and image.max() <= 1
    assert responses[-10:].mean() > responses[0] + 0.1
    again, _ = kw.vision.unit(net, (1, 12, 12), "second", 3, steps=60)
    np.testing.assert_array_equal(image, again)
    assert not np.array_equal(image, kw.vision.unit(net, (1, 12, 12), "second", 3, steps=60, seed=1)[0])
    with pytest.raises(ValueError, match="second has channels 0 to 5, not 6"):
        kw.vision.unit(net, (1, 12, 12), "second", 6)
    with pytest.raises(ValueError, match="did you mean 'second'"):
        kw.vision.unit(net, (1, 12, 12), "secnd", 0)


def test_a_dream_excites_its_layer_and_stays_in_the_box():
    net, rng = network(), np.random.default_rng(0)
    photo = rng.random((1, 30, 40), "float32")
    dreamt = kw.vision.dream(net, photo, "second", octaves=2, steps=8)
    x = kw.input("x", (1, 1, 30, 40))
    value = kw.vision.features(net, x, "second")
    strength = kw.compile([x], [(value * value).mean()])
    assert dreamt.shape == photo.shape and dreamt.min() >= 0 and dreamt.max() <= 1
    assert strength(dreamt[None]) > 1.2 * strength(photo[None])
    with pytest.raises(ValueError, match="scale is above 1"):
        kw.vision.dream(net, photo, "second", scale=1.0)


def test_resizing_is_bilinear_between_centres():
    row = np.array([[[0.0, 1.0]]], "float32")
    np.testing.assert_allclose(resized(row, (1, 4))[0, 0], [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(resized(row, (2, 1))[0, :, 0], [0.5, 0.5])
    ramp = np.linspace(0, 1, 9, dtype="float32").reshape(1, 3, 3)
    np.testing.assert_array_equal(resized(ramp, (3, 3)), ramp)
