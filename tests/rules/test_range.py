"""Factors stay where they are written: what is finite in the written order is finite and right when compiled.

Each program is one that overflows, underflows or loses its digits where a factor, a number or a division is moved.
"""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.functions import batch_norm, moments
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.rewriting.rules import simplify


def run(build, *arrays):
    inputs = [kw.input(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
    return np.asarray(kw.compile(inputs, [build(*inputs)], threads=1)(*arrays))


# name: (program, exponents of its inputs, exponent of the result), in units of 10^20 for float32, 10^200 for float64
SCALED = {
    "scaled up, then squared": (lambda x, u: (x * u(1)) * (x * u(1)), [-1.25], -0.5),
    "scaled down, then squared": (lambda x, u: (x * u(-1)) * (x * u(-1)), [1.25], 0.5),
    "scaled down, then multiplied": (lambda x, y, u: (x * u(-1)) * y, [1.5, 1.0], 1.5),
    "multiplied by what is scaled down": (lambda x, y, u: y * (x * u(-1)), [1.5, 1.0], 1.5),
    "scaled up, then multiplied": (lambda x, y, u: (x * u(1)) * y, [-1.5, -1.0], -1.5),
    "divided, then multiplied": (lambda x, y, u: (x / u(1)) * y, [1.5, 1.0], 1.5),
    "a number over a quotient": (lambda x, y, u: u(1.5) / (x / y), [1.0, 1.0], 1.5),
    "a quotient over a quotient": (lambda x, y, u: (x / y) / (y / x), [-1.25, -1.25], 0.0),
    "a product over a product": (lambda x, y, u: (x * u(-1)) / (y * u(-1)), [1.25, 1.25], 0.0),
    "divided by two numbers": (lambda x, y, u: x / u(1) / u(-1) * y, [0.25, 1.0], 1.25),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SCALED)
def test_products_and_quotients_keep_their_order(name, dtype):
    build, given, want = SCALED[name]
    unit = 20 if dtype == "float32" else 200
    arrays = [np.full(37, 10.0 ** (unit * e), dtype) for e in given]
    got = run(lambda *x: build(*x, lambda e: 10.0 ** (unit * e)), *arrays)
    np.testing.assert_allclose(got, np.full(37, 10.0 ** (unit * want)), rtol=1e-5 if dtype == "float32" else 1e-12)


SUMS = {
    "sum of eighths": (lambda x, row: kw.sum(x / 8.0, 0), 1e38, 1.0, 1e38),
    "sum of tenths": (lambda x, row: kw.sum(x * 0.1, 0), 1e38, 1.0, 8e37),
    "sum of tenths by division": (lambda x, row: kw.sum(x / 10.0, 0), 1e38, 1.0, 8e37),
    "negative factor": (lambda x, row: kw.sum(x * -0.1, 0), 1e38, 1.0, -8e37),
    "a factor that repeats": (lambda x, row: kw.sum(x * row, 0), 1e38, 1e-10, 8e28),
    "a divisor that repeats": (lambda x, row: kw.sum(x / row, 0), 1e38, 100.0, 8e36),
    "a large factor": (lambda x, row: kw.sum(x * 1e20, 0), 1e-38, 1.0, 8e-18),
    "a large factor that repeats": (lambda x, row: kw.sum(x * row, 0), 1e-38, 1e20, 8e-18),
    "a sum of exponentials as divisor": (lambda x, row: kw.sum(x / kw.exp(x * 0.0).sum(0), 0), 1e38, 1.0, 1e38),
    "a mean of quotients": (lambda x, row: kw.mean(x / 8.0, 0), 1e38, 1.0, 1.25e37),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SUMS)
def test_factors_stay_inside_sums(name, dtype):
    build, x, row, want = SUMS[name]
    up = 1e270 if dtype == "float64" and x > 1 else 1e-270 if dtype == "float64" else 1.0
    got = run(build, np.full((8, 5), x * up, dtype), np.full(5, row, dtype))
    np.testing.assert_allclose(got, np.full(5, want * up), rtol=1e-5)


CONTRACTIONS = {
    "left, small": (lambda a, b: (a * 1e-20) @ b, 1e25, 1e20, 4e25),
    "right, small": (lambda a, b: a @ (b * 1e-20), 1e25, 1e20, 4e25),
    "both, small": (lambda a, b: (a * 1e-20) @ (b * 1e-20), 1e25, 1e25, 4e10),
    "left, large": (lambda a, b: (a * 1e20) @ b, 1e-25, 1e-25, 4e-30),
    "right, large": (lambda a, b: a @ (b * 1e20), 1e-25, 1e-25, 4e-30),
    "a power of two": (lambda a, b: (a * 0.125) @ b, 1e19, 1e19, 5e37),
    "divided": (lambda a, b: (a / 8.0) @ b, 1e19, 1e19, 5e37),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONTRACTIONS)
def test_factors_stay_inside_contractions(name, dtype):
    build, a, b, want = CONTRACTIONS[name]
    if dtype == "float64":  # the same in the middle of the range, and products of 10^320 where they are large
        up = 1e135 if a > 1 else 1e-135
        a, b, want = a * up, b * up, want * up * up
    got = run(build, np.full((4, 4), a, dtype), np.full((4, 4), b, dtype))
    np.testing.assert_allclose(got, np.full((4, 4), want), rtol=1e-5)


def test_numbers_merge_only_on_one_side_of_one_or_near_it():
    x = np.array([1e30, 1e-30], "float32")
    np.testing.assert_allclose(run(lambda v: (v * 0.5) * 0.25, x), np.array([1.25e29, 1.25e-31], "float32"), rtol=1e-6)
    assert run(lambda v: (v * 1e-20) * 1e20, x)[1] == 0  # 1e-50 is no float
    assert run(lambda v: (v * 1e20) * 1e-20, x)[0] == np.inf


def test_sums_of_numbers_keep_the_roundings_of_the_text():
    halves = np.array([0.4, 1.6, -2.7, 100.2], "float32")
    rounding = run(lambda v: (v + 12582912.0) - 12582912.0, halves)  # 1.5 * 2^23
    np.testing.assert_array_equal(rounding, [0, 2, -3, 100])
    np.testing.assert_array_equal(run(lambda v: (v + 1e8) + 1.0, np.full(3, -1e8, "float32")), [1, 1, 1])
    np.testing.assert_array_equal(run(lambda v: (v - 1e8) + -1.0, np.full(3, 1e8, "float32")), [-1, -1, -1])


@pytest.mark.parametrize("number", [3.0, 10.0, 255.0, 1e-3, -7.0, 8.0, 2.0**-20, 2.0**126, 2.0**127, 1e-39])
def test_division_by_a_number_is_division(number):
    x = np.random.default_rng(0).normal(size=999).astype("float32")
    with np.errstate(all="ignore"):
        want = x / np.float32(number)
    np.testing.assert_array_equal(run(lambda v: v / number, x), want)


def test_division_by_a_row_is_division():
    x, row = np.random.default_rng(0).normal(size=(2, 50, 40)).astype("float32")
    np.testing.assert_array_equal(run(lambda v, r: v / r, x, row[:, :1]), x / row[:, :1])


def test_batch_normalisation_has_the_derivatives_of_its_formula():
    """Its mean is held constant in part of it, which must show in no derivative: both orders against differences."""
    x, w = kw.input("x", (5, 2, 3), "float64"), kw.input("w", (5, 2, 3), "float64")
    ones = kw.as_tensor(np.array([1.5, 0.5])), kw.as_tensor(np.array([0.25, -1.0]))
    y = batch_norm(x, *ones, *moments(x, (0, 2)))
    first = kw.grad(kw.sum(y * w), x)
    total = kw.sum(first * first * w)
    rng = np.random.default_rng(0)
    value, weights, way = rng.normal(size=(3, 5, 2, 3))

    def at(step, *outputs):
        return evaluate(simplify(outputs)[0], {x: value + step * way, w: weights})

    for scalar in (kw.sum(y * w), total):
        (slope,) = at(0, kw.sum(kw.grad(scalar, x) * kw.as_tensor(way)))
        difference = (at(1e-5, scalar)[0] - at(-1e-5, scalar)[0]) / 2e-5
        np.testing.assert_allclose(slope, difference, rtol=1e-7)
