"""Projections of one activation: switches and rectification by hand, and a whole network's by NumPy."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError

RNG = np.random.default_rng(5)


def made(shape, weights, *layers):
    with kw.init.precision("float64"):
        net = kw.nn.Sequential(*layers)
        net(kw.input("images", (None, *shape), "float64"))
    for variable, value in zip(net.parameters(), weights, strict=True):
        kw.set_value(variable, np.asarray(value, "float64"))
    return net


def test_unpooling_puts_the_value_where_the_maximum_was():
    """A pooling of 3 by 3 with steps of 2, whose windows share a row and a column: 5 is the maximum of two of them."""
    net = made((1, 5, 5), [np.ones((1, 1, 1, 1))], kw.nn.Conv(1, 1, bias=False), kw.nn.MaxPool(3, stride=2))
    image = np.array([[1, 2, 0, 0, 4], [0, 0, 5, 0, 0], [0, 0, 0, 0, 1], [3, 0, 0, 0, 0], [0, 0, 0, 2, 0]], "float64")[
        None, None
    ]
    for position, switch, value in (((0, 0), (1, 2), 5), ((0, 1), (1, 2), 5), ((1, 0), (3, 0), 3), ((1, 1), (4, 3), 2)):
        found = kw.vision.project(net, image, "maxpool1", 0, position)
        want = np.zeros((5, 5))
        want[switch] = value
        np.testing.assert_array_equal(found.maps[0, 0], want)
        assert found.values[0] == value and tuple(found.positions[0]) == position
    found = kw.vision.project(net, image, "maxpool1", 0)
    assert tuple(found.positions[0]) == (0, 0)  # the first of the greatest


def test_rectification_goes_by_what_comes_back_and_not_by_what_went_forward():
    """Two units below 0 going forward: the gradient stops there, the projection does not; but where what comes back is
    below 0 it stops."""
    first, second = np.diag([-1.0, 1.0, -1.0, 1.0]), np.array([[2.0, 3.0, -5.0, -7.0]])
    net = made(
        (1, 2, 2), [first, second], kw.nn.Flatten(), kw.nn.Dense(4, bias=False), kw.relu, kw.nn.Dense(1, bias=False)
    )
    image = np.array([1.0, 2.0, 3.0, 0.5]).reshape(1, 1, 2, 2)  # relu gives 0, 2, 0, 0.5: the unit is 6 - 3.5
    found = kw.vision.project(net, image, "dense2", 0)
    assert found.values[0] == 2.5 and found.positions.shape == (1, 0)
    np.testing.assert_array_equal(found.maps.ravel(), 2.5 * np.array([-2, 3, 0, 0]))


def convolved(x, w):
    views = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (1, 2))
    return np.einsum("chwij,ocij->ohw", views, w)


def deconvolved(y, w, shape):
    x = np.zeros(shape)
    for (o, i, j), value in np.ndenumerate(y):
        x[:, i : i + w.shape[2], j : j + w.shape[3]] += value * w[o]
    return x


def test_a_networks_projection_is_that_of_a_deconvolutional_network_in_numpy():
    w1, b1, w2, b2 = (
        RNG.normal(size=(4, 2, 3, 3)),
        RNG.normal(size=4),
        RNG.normal(size=(3, 4, 2, 2)),
        RNG.normal(size=3),
    )
    layers = (kw.nn.Conv(4, 3), kw.relu, kw.nn.MaxPool(2), kw.nn.Conv(3, 2), kw.relu)
    net = made((2, 10, 8), [w1, b1, w2, b2], *layers)
    images = RNG.normal(size=(5, 2, 10, 8))
    for channel in range(3):
        found = kw.vision.project(net, images, "relu2", channel, batch=2)
        for image, map_, position, value in zip(images, found.maps, found.positions, found.values, strict=True):
            up = np.maximum(convolved(image, w1) + b1[:, None, None], 0)
            windows = up.reshape(4, 4, 2, 3, 2).transpose(0, 1, 3, 2, 4).reshape(4, 4, 3, 4)
            top = np.maximum(convolved(windows.max(-1), w2) + b2[:, None, None], 0)[channel]
            assert tuple(position) == np.unravel_index(top.argmax(), top.shape)
            np.testing.assert_allclose(value, top.max(), rtol=1e-12)
            alone = np.zeros((3, *top.shape))
            alone[(channel, *position)] = top.max()
            pooled = deconvolved(alone, w2, (4, 4, 3))
            switches = np.eye(4)[windows.argmax(-1)] * pooled[..., None]
            unpooled = switches.reshape(4, 4, 3, 2, 2).transpose(0, 1, 3, 2, 4).reshape(4, 8, 6)
            want = deconvolved(np.maximum(unpooled, 0), w1, image.shape)
            np.testing.assert_allclose(map_, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"position": (1,)}, r"position in conv1 is \(row, column\), not \(1,\)"),
        ({"position": (0, 28)}, "position in conv1 is a whole number from 0 to 27, not 28"),
        ({"channel": -1}, "channel of conv1 is a whole number from 0 to 5, not -1"),
        ({"layer": "flat"}, "there is no layer 'flat'; did you mean 'flatten1'"),
    ],
)
def test_mistakes_are_one_clear_error(changes, words):
    images = np.zeros((1, 1, 28, 28), "float32")
    with pytest.raises(SettingError, match=words):
        kw.vision.project(kw.models.build("lenet5"), **({"images": images, "layer": "conv1", "channel": 0} | changes))
