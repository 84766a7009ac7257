"""Inversion: a layer that can be inverted gives its image back; the loss by NumPy; what is refused."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError
from kernelwright.models.checks import SettingError

RNG = np.random.default_rng(8)
IMAGE = RNG.uniform(0.1, 0.9, size=(2, 7, 6)).astype("float32")


@pytest.fixture(scope="module")
def net():
    with kw.init.seeded(2):
        net = kw.nn.Sequential(
            kw.nn.Conv(16, 3, pad=1, name="wide"), kw.relu, kw.nn.MaxPool(2), kw.nn.Flatten(), kw.nn.Dense(3)
        )
        net(kw.input("x", (None, *IMAGE.shape)))
    return net


def test_an_invertible_layer_gives_the_image_back(net):
    """16 channels from 2 x 9 numbers, where each number is in 9 of the windows: far more equations than unknowns."""
    found = kw.vision.invert(net, IMAGE, "wide", steps=100, variation=0.0, norm=0.0)
    np.testing.assert_allclose(found.image, IMAGE, atol=2e-3)
    assert found.losses[-1] < 1e-5 * found.losses[0]
    assert (np.diff(found.losses) <= 0).all()


def twice(x):
    with kw.scope("twice"):
        return x * 2.0


def dead(x):
    with kw.scope("dead"):
        return kw.relu(x - 9.0)


@pytest.mark.parametrize("alpha", [6.0, 2.5])
def test_the_loss_is_the_docstrings(alpha):
    """Of a network that doubles its image, with pixels in [-1, 3]: the last loss is that of what is returned."""
    box, image = (-1.0, 3.0), IMAGE.astype("float64") * 2
    options = {"variation": 0.7, "norm": 0.3, "alpha": alpha, "box": box, "method": "adam", "rate": 0.1}
    seen = []
    found = kw.vision.invert(twice, image, "twice", 4, **options, shown=lambda *told: seen.append(told), every=2)
    assert [step for step, _, _ in seen] == [2, 4] and len(found.losses) == 5
    unit = (found.image - 1) / 2
    apart = ((found.image - image) ** 2).sum() / (image**2).sum()
    rough = (np.diff(unit, axis=1) ** 2).mean() + (np.diff(unit, axis=2) ** 2).mean()
    want = apart + 0.7 * rough + 0.3 * (np.abs(unit) ** alpha).mean()
    np.testing.assert_allclose(found.losses[-1], want, rtol=1e-9)


def test_costs_draw_the_image_to_grey_and_smooth(net):
    plain = kw.vision.invert(net, IMAGE, "relu1", steps=30, variation=0.0, norm=0.0).image
    smooth = kw.vision.invert(net, IMAGE, "relu1", steps=30, variation=3.0, norm=0.0).image
    grey = kw.vision.invert(net, IMAGE, "relu1", steps=30, variation=0.0, norm=3.0, alpha=2.0).image
    assert np.abs(np.diff(smooth)).mean() < 0.5 * np.abs(np.diff(plain)).mean()
    assert np.abs(grey - 0.5).mean() < 0.8 * np.abs(plain - 0.5).mean()


def test_the_seed_decides_and_what_does_not_fit_is_refused(net):
    def made(**options):
        return kw.vision.invert(net, **{"image": IMAGE, "layer": "maxpool1", "steps": 5, **options}).image

    np.testing.assert_array_equal(made(), made())
    assert not np.array_equal(made(), made(seed=1))
    with pytest.raises(SettingError, match="did you mean 'wide'"):
        made(layer="wid")
    with pytest.raises(SettingError, match="alpha is a number of at least 1"):
        made(alpha=0.5)
    with pytest.raises(InputError, match="invert: a picture is"):
        made(image=IMAGE[None])
    with pytest.raises(InputError, match="is 0 throughout"):
        kw.vision.invert(dead, IMAGE, "dead", steps=1)
