"""sort, argsort and topk against NumPy: ties, NaN, infinities, both orders, short and empty axes; their gradients."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw

RNG = np.random.default_rng(8)
TIES = RNG.integers(0, 4, size=(3, 9)).astype("float32")
HARD = np.array([[np.nan, 1, -np.inf, np.inf, np.nan, 0, -np.inf, -0.0]], "float32")


def run(functions, x):
    t = kw.input("t", x.shape, x.dtype)
    return kw.compile([t], [f(t) for f in functions]).run([x])


@pytest.mark.parametrize("x", [TIES, HARD, TIES[:, :1], TIES[:, :0], TIES.astype("uint8"), TIES > 1, TIES[0]])
def test_order_is_numpys(x):
    places, values, down = run([lambda t: t.argsort(), kw.sort, lambda t: kw.sort(t, descending=True)], x)
    np.testing.assert_array_equal(places, np.argsort(x, -1, kind="stable"))
    assert places.dtype == np.int32 and values.dtype == x.dtype
    np.testing.assert_array_equal(values, np.sort(x, -1))
    np.testing.assert_array_equal(down, np.sort(x, -1)[..., ::-1])


def test_other_axes_and_a_count_known_at_run_time():
    x = kw.input("x", (None, 2, 3), "float64")
    program = kw.compile([x], [kw.sort(x, 0), kw.argsort(x, 1), kw.argsort(x, 2, descending=True)])
    for n in (1, 5):
        a = RNG.normal(size=(n, 2, 3))
        for got, want in zip(program.run([a]), (np.sort(a, 0), np.argsort(a, 1), np.argsort(-a, 2))):
            np.testing.assert_array_equal(got, want)


def test_the_greatest_and_the_least():
    x = kw.input("x", TIES.shape)
    values, places = kw.topk(x, 4)
    least, where = kw.topk(x, 2, 0, largest=False)
    got = kw.compile([x], [values, places, least, where]).run([TIES])
    order = np.argsort(-TIES, -1, kind="stable")[:, :4]
    for mine, want in zip(got, (np.take_along_axis(TIES, order, 1), order, np.sort(TIES, 0)[:2])):
        np.testing.assert_array_equal(mine, want)
    np.testing.assert_array_equal(got[3], np.argsort(TIES, 0, kind="stable")[:2])


def test_gradients_go_back_to_where_elements_stood():
    x = kw.input("x", (2, 3))
    g, h = kw.compile(
        [x],
        [kw.grad((kw.sort(x) * np.array([1, 10, 100], "float32")).sum(), x), kw.grad((kw.topk(x, 1)[0] ** 2).sum(), x)],
    ).run([np.array([[3, 1, 2], [5, 6, 4]], "float32")])
    np.testing.assert_array_equal(g, [[100, 1, 10], [10, 100, 1]])
    np.testing.assert_array_equal(h, [[6, 0, 0], [0, 12, 0]])


@pytest.mark.parametrize("k", [4, -1, 1.5])
def test_counts_that_do_not_fit_are_refused(k):
    with pytest.raises(kw.ShapeError, match=r"topk: axis 1 of \(2, 3\)"):
        kw.topk(kw.input("x", (2, 3)), k)
