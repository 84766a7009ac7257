"""Elementary functions and predicates against NumPy: edges, float64, and what no row's samples say."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kernelwright as kw

INF, NAN = math.inf, math.nan
EDGES = np.array([0.0, -0.0, 1.0, -1.0, 0.3, -2.5, 1e-30, -1e30, 88.9, 89.3, 710.2, INF, -INF, NAN])
WIDE = np.concatenate([EDGES, np.random.default_rng(0).normal(size=500), np.geomspace(1e-12, 1e12, 100)])
NUMPYS = {
    **{name: getattr(np, name) for name in ("log2", "log10", "exp2", "tan", "sinh", "cosh", "trunc", "square")},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "reciprocal": np.reciprocal,
}


def run(functions, *arrays):
    inputs = [kw.input(f"a{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
    return kw.compile(inputs, [f(*inputs) for f in functions], threads=1).run(list(arrays))


def test_float64_over_the_range():
    with np.errstate(all="ignore"):
        for name, got in zip(NUMPYS, run([getattr(kw, name) for name in NUMPYS], WIDE)):
            want = NUMPYS[name](WIDE)
            np.testing.assert_allclose(got, want, rtol=4e-15, atol=1e-300, err_msg=name)
            if name in ("trunc", "sinh", "atan", "asinh", "atanh", "asin"):
                np.testing.assert_array_equal(np.signbit(got[:2]), [False, True], err_msg=name)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 2e-15)])
def test_angles_of_points(dtype, tolerance):
    points = np.array([*EDGES, 3.0, -1e-3, 7e4], dtype)
    y, x = (each.ravel() for each in np.meshgrid(points, points))
    (got,) = run([kw.atan2], y, x)
    np.testing.assert_allclose(got, np.arctan2(y, x), rtol=tolerance, atol=1e-37)
    zero = np.arctan2(y, x) == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(np.arctan2(y, x)[zero]))


def test_integers_become_floats():
    n = np.array([1, 2, 8], "int32")
    for got, want in zip(run([kw.log2, kw.sinh, kw.reciprocal], n), (np.log2(n), np.sinh(n), 1 / n)):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-6)
    assert run([kw.square], n)[0].tolist() == [1, 4, 64]


PREDICATES = ("isnan", "isinf", "isfinite", "logical_not")
PAIRS = ("less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_predicates(dtype):
    x = np.array([0, 1, -3, 0, 7, 2, 5, 1], dtype)
    if dtype.startswith("float"):
        x[3:6] = NAN, INF, -INF
    y = np.roll(x, 1)
    functions = [getattr(kw, name) for name in PREDICATES] + [getattr(kw, name) for name in PAIRS]
    unary = [lambda a, b, f=f: f(a) for f in functions[: len(PREDICATES)]]
    got = run([*unary, *functions[len(PREDICATES) :]], x, y)
    want = [getattr(np, name)(x) for name in PREDICATES] + [getattr(np, name)(x, y) for name in PAIRS]
    for name, a, b in zip((*PREDICATES, *PAIRS), got, want):
        assert a.dtype == np.bool_
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_numbers_in_place_of_what_is_none():
    x = np.array([NAN, INF, -INF, 2.5], "float32")
    plain, given = run([kw.nan_to_num, lambda x: kw.nan_to_num(x, 1.0, 9.0, -9.0)], x)
    np.testing.assert_array_equal(plain, np.nan_to_num(x))
    assert given.tolist() == [1.0, 9.0, -9.0, 2.5]
    t = kw.input("t", (4,))
    (g,) = kw.compile([t], [kw.grad((kw.nan_to_num(t) * 3).sum(), t)]).run([x])
    assert g.tolist() == [0, 0, 0, 3]
