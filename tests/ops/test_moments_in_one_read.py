"""Mean and variance in one read are as good as in two: right values from NumPy in float64.

That one kernel reads the tensor for both sums is seen in the kernels' text.
"""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph import functions
from kernelwright.compiler.targets.cuda import program as cuda

EPS = np.finfo(np.float32).eps
CHANNELS = 6
SHAPE = (5, CHANNELS, 37, 41)
SPACE = (0, 2, 3)


def compiled(shape, axes=SPACE, dtype="float32"):
    x = kw.input("x", shape, dtype)
    return kw.compile([x], list(functions.moments(x, axes)))


@pytest.fixture(scope="module")
def images():
    """The moments of each channel of images, whose number and size are known at a run only."""
    return compiled((None, CHANNELS, "height", "width"))


@pytest.fixture(scope="module")
def in_two_reads():
    """The same with squares that are not seen to be a variance."""
    x = kw.input("x", (None, CHANNELS, "height", "width"))
    mean = x.mean(SPACE)
    d = kw.abs(x - mean.reshape((1, CHANNELS, 1, 1)))
    return kw.compile([x], [mean, (d * d).mean(SPACE)])


def exact(x):
    x = np.asarray(x, np.float64)
    return x.mean(SPACE), x.var(SPACE)


def normal(mean=0.0, deviation=1.0, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(mean, deviation, shape).astype(np.float32)


def whole_reads(program, name="x"):
    """How many kernels read an input, but for that of the sample."""
    reads = [k.name for k in program.kernels if re.search(rf"\b{name}\[", k.source)]
    return sum(not name.endswith("_shift") for name in reads)


def test_one_kernel_reads_the_tensor(images, in_two_reads):
    assert whole_reads(in_two_reads) == 2
    assert whole_reads(images) == 1


def test_short_sums_are_left_as_they_are():
    program = compiled((None, 300), 1)
    assert not any(k.name.endswith("_shift") for k in program.kernels)


@pytest.mark.parametrize("mean", [0.0, 1.0, -30.0, 1e4])
def test_normal_data_to_a_few_units_in_the_last_place(images, mean):
    x = normal(mean)
    want_mean, want_var = exact(x)
    got_mean, got_var = images(x)
    np.testing.assert_allclose(got_mean, want_mean, rtol=2 * EPS, atol=4 * EPS)
    np.testing.assert_allclose(got_var, want_var, rtol=8 * EPS)


@pytest.mark.parametrize("mean", [0.0, 1.0, 1e4])
def test_no_worse_than_in_two_reads_on_ordinary_data(images, in_two_reads, mean):
    def error(program):
        found = []
        for seed in range(4):
            x = normal(mean, seed=seed)
            want = exact(x)[1]
            found.append(np.abs(program(x)[1] - want) / want)
        return np.sqrt(np.mean(np.square(found)))

    assert error(images) <= max(2 * error(in_two_reads), EPS)


def test_constant_channels(images):
    x = np.empty(SHAPE, np.float32)
    x[:] = np.array([0, 1, -3, 0.1, 1e4 / 3, 1e15], np.float32)[:, None, None]
    mean, var = images(x)
    np.testing.assert_allclose(mean, x[0, :, 0, 0], rtol=2 * EPS)
    assert np.all(var >= 0) and np.all(var[:3] == 0)
    assert np.all(var <= (2 * EPS * x[0, :, 0, 0].astype(np.float64)) ** 2)


@pytest.mark.parametrize("place", [(0, 0, 0), (2, 18, 20), (4, 36, 40)])
def test_an_outlier_in_the_sample_or_beside_it(images, place):
    x = normal(3.0)
    n, h, w = place
    x[n, :, h, w] = 1e6
    got_mean, got_var = images(x)
    want_mean, want_var = exact(x)
    np.testing.assert_allclose(got_mean, want_mean, rtol=4 * EPS)
    np.testing.assert_allclose(got_var, want_var, rtol=8 * EPS)


def test_a_border_of_zeros(images):
    x = normal(100.0)
    x[:, :, [0, -1]] = 0
    x[:, :, :, [0, -1]] = 0
    got_mean, got_var = images(x)
    want_mean, want_var = exact(x)
    np.testing.assert_allclose(got_mean, want_mean, rtol=4 * EPS)
    np.testing.assert_allclose(got_var, want_var, rtol=32 * EPS)


@pytest.mark.parametrize("place", [(0, 0, 0), (2, 17, 3), (0, 9, 10)])
def test_what_is_not_finite_stays_in_its_channel(images, place):
    x = normal()
    n, h, w = place
    x[n, 0, h, w], x[n, 1, h, w], x[n, 2, h, w] = np.inf, -np.inf, np.nan
    mean, var = images(x)
    np.testing.assert_array_equal(mean[:3], [np.inf, -np.inf, np.nan])
    assert np.all(np.isnan(var[:3]))
    want_mean, want_var = exact(x[:, 3:])
    np.testing.assert_allclose(mean[3:], want_mean, atol=4 * EPS)
    np.testing.assert_allclose(var[3:], want_var, rtol=8 * EPS)


@pytest.mark.parametrize("shape", [(1, CHANNELS, 1, 1), (1, CHANNELS, 1, 2), (2, CHANNELS, 3, 1), (70, CHANNELS, 5, 9)])
def test_any_size_at_a_run(images, shape):
    x = normal(7.0, shape=shape)
    want_mean, want_var = exact(x)
    mean, var = images(x)
    np.testing.assert_allclose(mean, want_mean, rtol=4 * EPS)
    np.testing.assert_allclose(var, want_var, rtol=8 * EPS, atol=(4 * EPS) ** 2)


def test_nothing_to_sum_gives_nan(images):
    mean, var = images(np.zeros((0, CHANNELS, 4, 4), np.float32))
    assert np.all(np.isnan(mean)) and np.all(np.isnan(var))


def test_float64_keeps_its_digits():
    x = np.random.default_rng(1).normal(1e8, 1.0, SHAPE)
    mean, var = compiled((None, CHANNELS, 37, 41), dtype="float64")(x)
    np.testing.assert_allclose(mean, x.mean(SPACE), rtol=1e-15)
    np.testing.assert_allclose(var, (x - 1e8).var(SPACE), rtol=1e-9)  # x - 1e8 is exact


def test_bfloat16_in_memory_is_summed_in_float32():
    x = kw.input("x", (None, CHANNELS, 37, 41))
    near = kw.cast(x, "bfloat16")
    mean, var = functions.moments(kw.cast(near, "float32"), SPACE)
    value = normal(2.0)
    got = kw.compile([x], [near, mean, var])(value)
    want_mean, want_var = exact((np.asarray(got[0]).view(np.uint16).astype(np.uint32) << 16).view(np.float32))
    np.testing.assert_allclose(got[1], want_mean, rtol=4 * EPS)
    np.testing.assert_allclose(got[2], want_var, rtol=8 * EPS)


def test_the_statistics_of_a_batch_normalisation():
    """The mean and the variance have several readers: the result, the gradients and the running statistics."""
    layer = kw.nn.BatchNorm()
    x = kw.input("x", (None, CHANNELS, 40, 40))
    y = layer(x, training=True)
    (gradient,) = kw.grad((y * y * y).sum(), [x])
    step = kw.compile([x], [y, gradient], updates=layer.updates())
    assert any("_and_" in k.name for k in step.kernels)  # the gradient's two sums
    value = normal(50.0, 3.0, (8, CHANNELS, 40, 40))
    got, slope = step(value)
    mean, var = exact(value)
    wide = value.astype(np.float64)
    factor = 1 / np.sqrt(var + 1e-5)[:, None, None]
    want = (wide - mean[:, None, None]) * factor
    np.testing.assert_allclose(got, want, atol=2e-5)
    g = 3 * want * want
    by_hand = factor * (g - g.mean(SPACE)[:, None, None] - want * (g * want).mean(SPACE)[:, None, None])
    np.testing.assert_allclose(slope, by_hand, atol=2e-4)
    count = value.size // CHANNELS
    np.testing.assert_allclose(kw.get_value(layer.mean), 0.1 * mean, rtol=1e-6)
    np.testing.assert_allclose(kw.get_value(layer.var), 0.9 + 0.1 * var * count / (count - 1), rtol=1e-6)


@pytest.mark.parametrize("order", ["channels first", "channels last"])
def test_the_same_on_cuda(order):
    """In lockstep: both sums of a thread, a warp or a strip in one loop, and in parts."""
    last = order == "channels last"
    shape, axes = ((3, 33, 35, 8), (0, 1, 2)) if last else ((3, 8, 33, 35), SPACE)
    x = kw.input("x", shape)
    built = cuda.build_kernels([x], list(functions.moments(x, axes)), {})
    assert sum(b.name == "x" for k in built.kernels for b in k.kernel.reads()) == 2  # the sample's and one other
    value = normal(20.0, shape=shape)
    mean, var = cuda.run_program(built, [value])
    np.testing.assert_allclose(mean, value.astype(np.float64).mean(axes), rtol=4 * EPS)
    np.testing.assert_allclose(var, value.astype(np.float64).var(axes), rtol=16 * EPS)


def test_sums_over_the_same_elements_are_one_loop():
    x, y = kw.input("x", (None, 50)), kw.input("y", (None, 50))
    program = kw.compile([x, y], [x.sum(1) + (x * y).sum(1)])
    value = normal(shape=(2, 9, 50))
    np.testing.assert_allclose(program(*value), (value[0] + value[0] * value[1]).sum(1), atol=1e-4)
    assert sum(k.source.count("x[") for k in program.kernels) == 1
