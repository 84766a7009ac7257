"""The logarithm of the gamma function and its derivatives: values of SciPy 1.17 written out, poles, PyTorch's over a
range, and that float32 is rounded once."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kernelwright as kw

INF, NAN = math.inf, math.nan
X = np.array([1e-3, 0.3, 1, 1.5, 2, 7.25, 40, -0.5, -1.25, -3.7, -12.5])
VALUES = {
    "lgamma": [
        *(6.907178885383853, 1.0957979948180756, 0.0, -0.12078223763524526, 0.0, 7.0521854507385395),
        *(106.63176026064345, 1.2655121234846454, 1.366431761236976, -1.3797399049658245, -20.1153462703953),
    ],
    0: [
        *(-1000.5755719318103, -3.502524222200133, -0.5772156649015329, 0.03648997397857652, 0.42278433509846713),
        *(1.9104535268837362, 3.6763273740348428, 0.03648997397857651, 3.7141391202135283, -0.8450768588704185),
        2.565195651274912,
    ],
    1: [
        *(1000001.6425331959, 12.245364546107734, 1.6449340668482266, 0.9348022005446793, 0.6449340668482266),
        *(0.1478792331589322, 0.025315103841291032, 8.934802200544679, 19.181879647671604, 14.84242186412428),
        9.79271917648778,
    ],
    2: [
        *(-2000000002.3976321, -75.27253658872601, -2.404113806319188, -0.8287966442343201, -0.4041138063191886),
        *(-0.021828952295197733, -0.0006408202718352985, -0.8287966442343201, 123.72136678366235, -68.89345468867353),
        -0.005908436585788241,
    ],
}
POLES = np.array([0.0, -0.0, -1, -2, INF, -INF, NAN])
AT_POLES = {
    "lgamma": [INF, INF, INF, INF, INF, INF, NAN],
    0: [-INF, INF, NAN, NAN, INF, NAN, NAN],
    1: [INF, INF, INF, INF, 0, NAN, NAN],
    2: [-INF, INF, -INF, -INF, 0, NAN, NAN],
}


def run(x, *orders, threads=1):
    v = kw.input("x", (None,), x.dtype)
    outputs = [kw.lgamma(v) if n == "lgamma" else kw.polygamma(n, v) for n in orders]
    return kw.compile([v], outputs, threads=threads).run([x])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 3e-14), ("float32", 1.2e-7)])
def test_values_and_poles(dtype, tolerance):
    x = np.concatenate([X, POLES]).astype(dtype)
    exact = np.isin(x, np.concatenate([X, POLES])) | np.isnan(x)  # of those that are float32 numbers
    for n, got in zip(VALUES, run(x, *VALUES)):
        want = np.array([*VALUES[n], *AT_POLES[n]])
        assert got.dtype == dtype
        np.testing.assert_allclose(got[exact], want[exact], rtol=tolerance, err_msg=str(n))


def test_float32_is_rounded_once_and_threads_do_not_matter():
    x = np.concatenate([np.random.default_rng(0).uniform(-30, 30, 40_000), np.geomspace(1e-6, 1e6, 999)]).astype("f")
    orders = ("lgamma", 0, 1, 2, 5)
    narrow, wide = run(x, *orders), run(x.astype("float64"), *orders)
    for n, a, b in zip(orders, narrow, wide):
        normal = np.abs(b) > 2.0**-120
        np.testing.assert_allclose(a[normal], b[normal], rtol=6.1e-8, err_msg=str(n))
    for a, b in zip(narrow, run(x, *orders, threads=2)):
        np.testing.assert_array_equal(a, b)


def test_pytorchs_over_a_range():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).uniform(0.01, 60, 5000)
    x = np.concatenate([x, -x[np.abs(x - np.round(x)) > 0.01]])
    t = torch.tensor(x)
    wanted = [torch.lgamma(t), torch.digamma(t), *(torch.polygamma(n, t) for n in (2, 3, 4))]
    for n, got, want in zip(("lgamma", 0, 2, 3, 4), run(x, "lgamma", 0, 2, 3, 4), wanted):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-11, atol=1e-12, err_msg=str(n))


def test_each_is_the_derivative_of_the_one_before():
    x = kw.input("x", (11,), "float64")
    derivatives = [kw.lgamma(x)]
    for _ in range(3):
        derivatives.append(kw.grad(derivatives[-1].sum(), x))
    for n, got in zip(VALUES, kw.compile([x], derivatives).run([X])):
        np.testing.assert_allclose(got, VALUES[n], rtol=3e-14, err_msg=str(n))
    assert x.digamma() is kw.digamma(x) is kw.polygamma(0, x)
    assert kw.lgamma(kw.input("n", (2,), "int32")).dtype == "float32"


@pytest.mark.parametrize("n", [-1, 21, 1.5, True])
def test_orders_that_there_are_not(n):
    with pytest.raises(kw.ShapeError, match="polygamma: n must be a whole number from 0 to 20"):
        kw.polygamma(n, kw.input("x", (2,)))
