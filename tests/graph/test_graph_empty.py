"""Tensors without elements, and of one element, behave as in NumPy on every device."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.runtime.sizes import evaluate

DEVICES = ("reference", "cpu")
FUNCTIONS = [
    lambda x: x + 1,
    lambda x: kw.exp(x) * x,
    lambda x: x.sum(),
    lambda x: x.sum(0),
    lambda x: x.sum(1),
    lambda x: kw.prod(x, 0),
    lambda x: x @ x.T,
    lambda x: x.T @ x,
    lambda x: x.reshape(-1),
    lambda x: x[::-1],
    lambda x: x[:, 0:0],
    lambda x: kw.concat([x, x], 0),
    lambda x: kw.stack([x, x], -1),
    lambda x: kw.pad(x, [1, 2], 3.0),
    lambda x: kw.where(x > 0, x, 0.0),
    lambda x: kw.broadcast_to(x, (2, *x.shape)),
    lambda x: kw.gather(x, np.zeros(0, "int32"), 1),
    lambda x: kw.scatter_add(x[:, :0], np.zeros(0, "int32"), 3, 1),
    lambda x: kw.flip(x),
    lambda x: kw.iota(0).astype("float64"),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (1, 1)])
def test_values_and_gradients(shape, device):
    if device == "reference" or shape == (1, 1):
        functions = [f for f in FUNCTIONS if shape[1] or f is not FUNCTIONS[16]]
    else:
        functions = FUNCTIONS
    x = kw.input("x", shape, "float64")
    array = np.full(shape, 2.0)
    outputs = [f(x) for f in functions]
    gradients = [kw.grad(y.sum(), x) for y in outputs]
    program = kw.compile([x], outputs + gradients, device=device, threads=2)
    results = program.run([array])
    for y, got in zip(outputs + gradients, results):
        assert (got.shape, got.dtype) == (y.shape, y.dtype)
    assert results[2] == array.sum()
    np.testing.assert_array_equal(results[3], array.sum(0))
    np.testing.assert_array_equal(results[5], array.prod(0))
    np.testing.assert_array_equal(results[6], array @ array.T)
    np.testing.assert_array_equal(results[13], np.pad(array, ((1, 1), (2, 2)), constant_values=3.0))


@pytest.mark.parametrize("device", DEVICES)
def test_a_batch_of_nothing(device):
    x, t = kw.input("x", (None, 1, 4, 4)), kw.input("t", (None,), "int32")
    net = kw.nn.Sequential(kw.nn.Conv(2, 3), kw.relu, kw.nn.MaxPool(2), kw.nn.Flatten(), kw.nn.Dense(3))
    y = net(x)
    loss = kw.cross_entropy(y, t)
    g = kw.grad(loss, net.parameters())
    program = kw.compile([x, t], [y, kw.argmax(y, 1), y.sum(0), loss, *g], device=device)
    got = program.run([np.zeros((0, 1, 4, 4), "float32"), np.zeros(0, "int32")])
    assert got[0].shape == (0, 3) and got[1].shape == (0,)
    np.testing.assert_array_equal(got[2], np.zeros(3))
    assert np.isnan(got[3])
    again = program.run([np.ones((2, 1, 4, 4), "float32"), np.zeros(2, "int32")])
    assert np.isfinite(again[3])


@pytest.mark.parametrize("f", [kw.max, kw.min, kw.argmax, kw.argmin])
def test_the_extreme_of_nothing_is_refused(f):
    x = kw.input("x", (0, 3))
    assert f(x, 1).shape == (0,)
    for axis in (0, None, (0, 1)):
        with pytest.raises(kw.ShapeError, match="no elements") as error:
            f(x, axis)
        assert __file__ in str(error.value)


def test_the_mean_of_nothing_is_not_a_number():
    x = kw.input("x", (0, 3))
    for device in DEVICES:
        total, columns = kw.compile([x], [x.mean(), x.mean(0)], device=device).run([np.zeros((0, 3), "float32")])
        assert np.isnan(total) and np.isnan(columns).all() and columns.shape == (3,)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("f", [kw.max, kw.min, kw.argmax, kw.argmin])
def test_the_extreme_of_nothing_is_refused_in_a_run(f, device):
    x = kw.input("x", (None, 3))
    program = kw.compile([x], [f(x, 0)], device=device)
    program(np.ones((1, 3), "float32"))
    with pytest.raises(kw.KernelwrightError, match=r"no elements.*batch = 0"):
        program(np.ones((0, 3), "float32"))
    assert kw.compile([x], [f(x, 1)], device=device)(np.ones((0, 3), "float32")).shape == (0,)


def test_a_constant_of_no_columns_meets_a_batch():
    x = kw.input("x", (None, 0))
    for device in DEVICES:
        got = kw.compile([x], [kw.tanh(x) * 2 + 1], device=device)(np.zeros((3, 0), "float32"))
        assert got.shape == (3, 0)


def test_positions_beyond_int32_are_refused():
    with pytest.raises(kw.ShapeError, match="int32"):
        kw.argmax(kw.input("x", (2**16, 2**15)), None)
    x = kw.input("x", (None, 2**30))
    checks = kw.compile([x], [kw.argmax(x)]).program.size_checks
    assert any("int32" in check.what and evaluate(check.room, {"batch": 2}) < 0 for check in checks)


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("shape", [(0, 6, 7, 7), (2, 6, 7, 7)])
def test_convolutions_of_no_images_have_shapes_and_gradients_of_zero(shape, groups):
    x, w = kw.input("x", shape), kw.input("w", (6, 6 // groups, 3, 3))
    y = kw.conv(kw.conv(x, w, pad=1, groups=groups), w, groups=groups)
    program = kw.compile([x, w], [y, *kw.grad((y * y).sum(), [x, w])], threads=2)
    results = program(np.ones(shape, "float32"), np.ones(w.shape, "float32"))
    assert [r.shape for r in results] == [(shape[0], 6, 5, 5), shape, w.shape]
    if not shape[0]:
        np.testing.assert_array_equal(results[2], 0)
