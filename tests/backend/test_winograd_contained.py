"""What Winograd's way may not spread: a result depends on what it reads, whatever else lies in its tile."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.rewriting.same_values import difference
from kernelwright.compiler.targets.cpu import winograd

CASES = {
    "even": (2, 32, 32, 16, 16, 1, 1),
    "ragged": (3, 16, 20, 14, 9, 1, 1),
    "wide padding": (1, 5, 3, 7, 7, 2, 1),
    "no padding": (1, 16, 16, 9, 8, 0, 1),
    "groups": (1, 8, 6, 9, 8, 1, 2),
}
WITHIN = 1e-3
"""Of the greatest result of all filters (channels) at a place: how far a value far above the rest may move one."""


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Every convolution that can go this way does, however small."""
    monkeypatch.setattr(winograd, "WORTH", 1e9)


def taps(x, w, dy, pad):
    """For each element of the window: where it and the pixels that it meets lie in the image and in the result."""
    for r in range(3):
        for s in range(3):
            h0, w0 = max(0, pad - r), max(0, pad - s)
            h1, w1 = min(dy.shape[2], x.shape[2] + pad - r), min(dy.shape[3], x.shape[3] + pad - s)
            here = slice(h0, h1), slice(w0, w1)
            there = slice(h0 + r - pad, h1 + r - pad), slice(w0 + s - pad, w1 + s - pad)
            yield r, s, (..., *here), (..., *there)


def direct(x, w, dy, pad):
    """NumPy: the convolution and its gradients by image and filters, in which padding takes part in no product."""
    x, w, dy = (a.astype("float64") for a in (x, w, dy))
    y, dx, dw = np.zeros(dy.shape), np.zeros(x.shape), np.zeros(w.shape)
    with np.errstate(all="ignore"):
        for r, s, here, there in taps(x, w, dy, pad):
            tap = w[None, :, :, r, s, None, None]
            y[here] += (x[there][:, None] * tap).sum(2)
            dx[there] += (dy[here][:, :, None] * tap).sum(1)
            dw[:, :, r, s] += (x[there][:, None] * dy[here][:, :, None]).sum((0, 3, 4))
    return y, dx, dw


def split(x, w, dy, pad, groups):
    """`direct` of every group by itself."""
    parts = [np.split(x, groups, 1), np.split(w, groups, 0), np.split(dy, groups, 1)]
    found = [direct(*each, pad) for each in zip(*parts)]
    return [np.concatenate(each, axis) for each, axis in zip(zip(*found), (1, 1, 0))]


def programs(n, c, k, h, w, pad, groups, threads=(1, 2)):
    """(the convolution with both gradients for every number of threads, arrays to give it)."""
    x, weight = kw.input("x", (None, c, h, w)), kw.input("w", (k, c // groups, 3, 3))
    y = kw.conv(x, weight, pad=pad, groups=groups)
    dy = kw.input("dy", (None, *y.shape[1:]))
    outputs = [y, *kw.grad((y * dy).sum(), [x, weight])]
    rng = np.random.default_rng(3)
    shapes = (n, c, h, w), weight.shape, (n, *y.shape[1:])
    arrays = [rng.standard_normal(shape).astype("float32") for shape in shapes]
    return [kw.compile([x, weight, dy], outputs, threads=t) for t in threads], arrays


def place(which, shape, corner):
    return (0,) * 4 if corner else (min(1, shape[0] - 1), 1, 2, 1) if which == 1 else (0, 1, 5, 4)


def results(compiled, arrays):
    """Those with one thread, which those with two must be to the last bit."""
    one, two = (program(*arrays) for program in compiled)
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a, b)
    return one


def filters_last(found):
    """The results with the axis along which vectors lie at the end: of filters, channels, filters."""
    return [np.moveaxis(a, axis, -1) for a, axis in zip(found, (1, 1, 0))]


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_finite_reaches_only_what_reads_it(case):
    compiled, arrays = programs(*CASES[case])
    pad, groups = CASES[case][5:]
    for value in (np.nan, np.inf, -np.inf):
        for which in range(3):
            for corner in (True, False):
                given = [a.copy() for a in arrays]
                given[which][place(which, given[which].shape, corner)] = value
                for found, wanted in zip(results(compiled, given), split(*given, pad, groups)):
                    finite = np.isfinite(wanted)
                    np.testing.assert_array_equal(found[~finite], wanted[~finite])
                    np.testing.assert_allclose(found[finite], wanted[finite], rtol=0, atol=1e-4 * scale(wanted))


def scale(a):
    return np.abs(a[np.isfinite(a)]).max()


@pytest.mark.parametrize("size", [1e2, 1e3, 1e4, 1e6, 1e30, 1e38])
@pytest.mark.parametrize("case", CASES)
def test_a_large_value_moves_no_result_by_more_than_is_said(case, size):
    compiled, arrays = programs(*CASES[case])
    pad, groups = CASES[case][5:]
    for which in range(3):
        for corner in (True, False):
            given = [a.copy() for a in arrays]
            given[which][place(which, given[which].shape, corner)] = size
            wanted = filters_last(split(*given, pad, groups))
            for found, exact in zip(filters_last(results(compiled, given)), wanted):
                inside = np.abs(exact) < np.finfo("float32").max
                greatest = np.where(inside, np.abs(exact), 0).max(-1, keepdims=True)
                error = np.where(inside, np.abs(found - exact), 0) / greatest
                assert error.max() < WITHIN, (which, corner)


def test_a_network_of_nan_gives_nan():
    compiled, arrays = programs(2, 16, 16, 9, 9, 1, 1)
    for found in results(compiled, [np.full_like(a, np.nan) for a in arrays]):
        assert np.isnan(found).all()


def test_where_nothing_is_read_there_is_nothing():
    """Half of the image is black: what reads only that is 0, not what rounding left of its neighbours."""
    compiled, (x, w, dy) = programs(2, 16, 16, 13, 12, 1, 1)
    x[..., 6:] = 0
    y, _, _ = results(compiled, [x, w, dy])
    assert (y[..., 7:] == 0).all() and (y[..., :7] != 0).any()


def test_the_rewriting_means_the_same_for_extreme_inputs():
    x, w = kw.input("x", (2, 4, 7, 6)), kw.input("w", (3, 4, 3, 3))
    y = kw.conv(x, w, pad=1)
    outputs = [y, *kw.grad((y * y).sum(), [x, w])]
    fast, report = winograd.fast_convolutions(outputs)
    assert sum(report.hits.values()) == 3
    assert difference([y], fast[:1]) == ""
