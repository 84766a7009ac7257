"""Gradient ascent and images that excite a unit: against optima that are known, and the same from the same seed."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.vision.ascent import Ascent, Climb, Pixels
from kernelwright.models.vision.shaken import Shaking


def ascend(objective, start, steps, rate, seed=0, decay=0.0, **shaking):
    """(image, the objective before each step)."""
    held = Pixels(start, (0.0, 1.0))
    ascent = Ascent(objective, held, Climb("test", rate, Shaking("test", **shaking), decay=decay))
    values = ascent.climb(steps, np.random.default_rng(seed))
    return held.picture()[None], values


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


def test_decay_weighs_against_the_objective():
    """Where 0.1 x - decay (x - 0.5)^2 / 20 is greatest, 0.1 = decay (x - 0.5) / 10: x is 0.75 for a decay of 4."""
    start = np.full((1, 1, 4, 5), 0.5, "float32")
    image, _ = ascend(lambda x: 0.1 * x.sum(), start, 400, 0.002, decay=4.0)
    np.testing.assert_allclose(image, 0.75, atol=0.004)


def test_turned_and_scaled_images_are_those_of_the_matrix_that_was_drawn():
    """Two dots, seen at places that a rotation and a change of size put them, in NumPy."""
    shaking, size = Shaking("test", rotate=30.0, scale=0.5), (21, 21)
    rows, columns, matrices = shaking.drawn(np.random.default_rng(3), size, 200, "float64")
    assert (rows == np.arange(21)).all() and (columns == np.arange(21)).all()
    linear, middle = matrices[:, 0, :, :2], np.array([10.0, 10.0])
    factors = np.sqrt(np.linalg.det(linear))
    angles = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    assert 1 / 1.5 <= factors.min() < 0.75 and 1.4 < factors.max() <= 1.5
    assert -30 <= angles.min() < -27 and 27 < angles.max() <= 30
    np.testing.assert_allclose(matrices[:, 0] @ [10.0, 10.0, 1.0], np.broadcast_to(middle, (200, 2)), atol=1e-12)
    x = kw.input("x", (1, 1, *size), "float64")
    inputs, seen = shaking.shaken(x, 0.25)
    image = np.zeros((1, 1, *size))
    image[0, 0, 10, 10] = 1.0
    given = [rows[0], columns[0], matrices[0]]
    found = kw.compile([x, *inputs], [seen]).run([image, *given])[0][0, 0]
    assert found[10, 10] == pytest.approx(1.0)  # the middle stays
    ones = kw.compile([x, *inputs], [seen]).run([np.full_like(image, 0.25), *given])[0]
    np.testing.assert_allclose(ones, 0.25)  # outside is the fill


def network():
    with kw.init.seeded(0):
        net = kw.nn.Sequential(kw.nn.Conv(4, 3, pad=1, name="first"), kw.relu, kw.nn.Conv(6, 3, pad=1, name="second"))
        net(kw.input("x", (None, 1, 12, 12)))
    return net


FOURIER = {"basis": "fourier", "rate": 0.1}


@pytest.mark.parametrize("options, gain", [({}, 0.1), (FOURIER, 0.07), ({"rotate": 10.0, "scale": 0.1}, 0.08)])
def test_a_unit_responds_more_in_the_end_and_the_same_seed_gives_the_same_image(options, gain):
    net = network()
    image, responses = kw.vision.unit(net, (1, 12, 12), "second", 3, steps=60, **options)
    assert image.shape == (1, 12, 12) and image.min() >= 0 and image.max() <= 1
    assert responses[-10:].mean() > responses[0] + gain
    again, _ = kw.vision.unit(net, (1, 12, 12), "second", 3, steps=60, **options)
    np.testing.assert_array_equal(image, again)
    assert not np.array_equal(image, kw.vision.unit(net, (1, 12, 12), "second", 3, steps=60, seed=1, **options)[0])


def test_progress_does_not_change_the_image_and_mistakes_are_named():
    net, seen = network(), []
    image, responses = kw.vision.unit(net, (1, 12, 12), "second", 1, steps=7)
    shown = {"shown": lambda *told: seen.append(told), "every": 3}
    again, _ = kw.vision.unit(net, (1, 12, 12), "second", 1, steps=7, **shown)
    np.testing.assert_array_equal(image, again)
    assert [(step, value) for step, _, value in seen] == [(step, responses[step - 1]) for step in (3, 6, 7)]
    np.testing.assert_array_equal(seen[-1][1], image)
    with pytest.raises(ValueError, match="second has channels 0 to 5, not 6"):
        kw.vision.unit(net, (1, 12, 12), "second", 6)
    with pytest.raises(ValueError, match="did you mean 'second'"):
        kw.vision.unit(net, (1, 12, 12), "secnd", 0)
    with pytest.raises(ValueError, match="rotate is a number from 0 to 180"):
        kw.vision.unit(net, (1, 12, 12), "second", 0, rotate=-1.0)
    with pytest.raises(ValueError, match="basis is one of pixels, fourier"):
        kw.vision.unit(net, (1, 12, 12), "second", 0, basis="wavelets")
