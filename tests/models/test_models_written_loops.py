"""Training loops written by hand: statistics and masks move without being asked for, where training is what is run."""

import gc

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph import companions

nn = kw.nn
DEVICES = ("cpu", "reference")
X = np.array([[1, 2], [3, 6]], "float32")  # means 2 and 4, unbiased variances 2 and 8


def program(layer, x, outputs=None, updates=None, device="reference"):
    return kw.compile([x], outputs or [layer(x, training=True)], updates, device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_running_statistics_move(device):
    x, layer = kw.input("x", (None, 2)), nn.BatchNorm()
    program(layer, x, device=device)(X)
    np.testing.assert_allclose(kw.get_value(layer.mean), [0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(kw.get_value(layer.var), [1.1, 1.7], rtol=1e-6)
    kw.compile([x], [layer(x)], device=device)(X)  # inference moves nothing
    np.testing.assert_allclose(kw.get_value(layer.mean), [0.2, 0.4], rtol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_an_empty_batch_leaves_the_statistics(device):
    x, layer = kw.input("x", (None, 2)), nn.BatchNorm()
    step = program(layer, x, device=device)
    step(X)
    assert step(X[:0]).shape == (0, 2)
    np.testing.assert_allclose(kw.get_value(layer.mean), [0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(kw.get_value(layer.var), [1.1, 1.7], rtol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_masks_change(device):
    x, layer = kw.input("x", (None, 64)), nn.Dropout(0.5, seed=3)
    step = program(layer, x, device=device)
    first, second = step(np.ones((2, 64), "float32")), step(np.ones((2, 64), "float32"))
    assert (first != second).any() and kw.get_value(layer.generator.state).tolist() == [3, 2]


def test_a_loop_with_an_optimizer_alone():
    x, t = kw.input("x", (None, 2)), kw.input("t", (None,), "int32")
    net = nn.Sequential(nn.Dense(4), nn.BatchNorm(), kw.relu, nn.Dropout(0.5), nn.Dense(2))
    loss = kw.losses.cross_entropy(net(x, training=True), t)
    updates = kw.optim.SGD(0.1).updates(net.parameters(), kw.grad(loss, net.parameters()))
    for outputs in ([loss], []):  # without the loss, the gradients alone have the training pass
        step = kw.compile([x, t], outputs, updates, device="reference")
        assert set(step.updates) == {*updates, *net.buffers()}
        before = [kw.get_value(b) for b in net.buffers()]
        step(X, np.array([0, 1], "int32"))
        assert all((kw.get_value(b) != old).any() for b, old in zip(net.buffers(), before))


def test_updates_that_are_given_are_kept():
    x, layer = kw.input("x", (None, 2)), nn.BatchNorm()
    y = layer(x, training=True)
    program(layer, x, [y], {layer.mean: layer.mean, layer.var: layer.var + 1.0})(X)
    assert kw.get_value(layer.mean).tolist() == [0, 0] and kw.get_value(layer.var).tolist() == [2, 2]
    explicit = program(layer, x, [y], layer.updates())
    assert explicit.updates == layer.updates()


def test_the_later_of_two_calls_moves_the_statistics():
    x, layer = kw.input("x", (None, 2)), nn.BatchNorm()
    once = layer(x, training=True)
    twice = layer(x * 10.0, training=True)
    program(layer, x, [twice, once])(X)
    np.testing.assert_allclose(kw.get_value(layer.mean), [2, 4], rtol=1e-6)


def test_other_programs_over_the_same_moments_move_nothing():
    x, layer = kw.input("x", (None, 2)), nn.BatchNorm()
    layer(x, training=True)
    assert not kw.compile([x], [kw.mean(x, 0)], device="reference").updates


def test_augmentation_moves_on():
    x = kw.input("x", (None, 1, 6, 6))
    augment = kw.images.Augment(kw.images.Translate(2), seed=1)
    step = kw.compile([x], [kw.sum(augment(x, training=True), (1, 2))], device="reference")
    images = np.arange(72, dtype="float32").reshape(2, 1, 6, 6)
    assert any((step(images) != step(images)).any() for _ in range(3))
    still = kw.images.Augment(seed=1)
    assert not kw.compile([x], [still(x, training=True) * 2.0], device="reference").updates


def test_nothing_is_kept_of_layers_that_are_gone():
    gc.collect()
    before = len(companions._NOTED)
    for _ in range(3):
        nn.Sequential(nn.BatchNorm(), nn.Dropout(0.5))(kw.input("x", (None, 2)), training=True)
    gc.collect()
    assert len(companions._NOTED) == before
