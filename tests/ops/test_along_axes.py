"""Padding by modes, einsum, positions along an axis, running sums: against NumPy; gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate

RNG = np.random.default_rng(4)
X = RNG.normal(size=(2, 3, 4))
ZEROS = np.where(RNG.random((3, 7)) < 0.3, 0.0, RNG.normal(size=(3, 7)))
AT = RNG.integers(0, 3, size=(2, 5, 4)).astype("int32")


def run(functions, *arrays):
    inputs = [kw.input(f"a{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
    return kw.compile(inputs, [f(*inputs) for f in functions], threads=2).run(list(arrays))


def check_slopes(f, *arrays):
    """First and second derivatives by each float array along random directions agree with differences."""
    inputs = [kw.input(f"t{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
    floats = [x for x in inputs if x.dtype == "float64"]
    feed, y = dict(zip(inputs, arrays)), f(*inputs)
    rng = np.random.default_rng(1)
    value = (y * kw.as_tensor(rng.normal(size=y.shape))).sum()
    for _ in range(2):
        gradients = kw.grad(value, floats)
        for x, g in zip(floats, gradients):
            way = rng.normal(size=x.shape)
            ends = [float(evaluate([value], {**feed, x: feed[x] + s * way})[0]) for s in (1e-5, -1e-5)]
            got = float((evaluate([g], feed)[0] * way).sum())
            assert got == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-6)
        value = sum((g * kw.as_tensor(rng.normal(size=g.shape))).sum() for g in gradients)


MODES = ("reflect", "symmetric", "edge", "wrap")
WIDTHS = ([1, (0, 2), (3, 1)], [0, (2, 0), 0])


def test_padding_by_modes():
    cases = [(mode, widths) for mode in MODES for widths in WIDTHS]
    for (mode, widths), got in zip(cases, run([lambda x, m=m, w=w: kw.pad(x, w, mode=m) for m, w in cases], X)):
        pairs = [(w, w) if isinstance(w, int) else w for w in widths]
        np.testing.assert_array_equal(got, np.pad(X, pairs, mode), err_msg=f"{mode} {widths}")
    x = kw.input("x", (2, 5))
    assert kw.pad(x, [0, 2], mode="circular") is kw.pad(x, [0, 2], mode="wrap")
    assert kw.pad(x, [0, 2], mode="replicate") is kw.pad(x, [0, 2], mode="edge")


def test_padding_an_unknown_count():
    x = kw.input("x", (None, 2), "float64")
    program = kw.compile([x], [kw.pad(x, [(2, 1), 0], mode=m) for m in MODES])
    for n in (3, 6):
        a = RNG.normal(size=(n, 2))
        for got, mode in zip(program.run([a]), MODES):
            np.testing.assert_array_equal(got, np.pad(a, [(2, 1), (0, 0)], mode))
    with pytest.raises(kw.KernelwrightError, match="slice"):
        program.run([np.zeros((1, 2))])


@pytest.mark.parametrize("mode", MODES)
def test_gradients_of_padding(mode):
    check_slopes(lambda x: kw.pad(x, [1, 2, (1, 3)], mode=mode) ** 3, X)


A, B, C, D = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 4, 5)), RNG.normal(size=(5, 4)), RNG.normal(size=(3, 4, 3))
SUMS = [
    ("bij,bjk->bik", (A, B)),
    ("bij,bjk,km->bm", (A, B, C)),
    ("...ij,...jk->...k", (A, B)),
    ("bij,bjk", (A, B)),
    ("ijk->k", (A,)),
    ("ij->ji", (C,)),
    ("i,j", (A[0, 0], A[0, :, 0])),
    ("bij,kj->kbi", (A, C)),
    ("ii->i", (C[:4],)),
    ("ii", (C[:4],)),
    ("iji->j", (D,)),
    ("iji,kj->ik", (D, C)),
    ("bij,bij->b", (A, A)),
    ("ij,ij->", (C, C)),
    ("a...,...->a...", (A, A[0])),
    (" i j , k -> j ", (C, A[0, 0])),
    ("ij,jk->ik", (np.zeros((0, 4)), RNG.normal(size=(4, 1)))),
    ("ij,jk->ik", (np.arange(6, dtype="int32").reshape(2, 3), np.arange(3, dtype="int32").reshape(3, 1))),
]


def test_sums_by_letters():
    arrays = [a for _, operands in SUMS for a in operands]
    inputs = [kw.input(f"a{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
    rest = iter(inputs)
    outputs = [kw.einsum(text, *(next(rest) for _ in operands)) for text, operands in SUMS]
    for (text, operands), got in zip(SUMS, kw.compile(inputs, outputs).run(arrays)):
        want = np.einsum(text, *operands)
        assert (got.shape, got.dtype) == (want.shape, want.dtype), text
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12, err_msg=text)


@pytest.mark.parametrize("text", ["bij,bjk,km->bm", "iji,kj->ik"])
def test_gradients_of_sums_by_letters(text):
    operands = (A, B, C) if text.startswith("b") else (D, C)
    check_slopes(lambda *xs: kw.einsum(text, *xs) ** 2, *operands)


def test_a_batch_of_any_size_in_sums_by_letters():
    x, w = kw.input("x", (None, 3, 4), "float64"), kw.input("w", (None, 4), "float64")
    (got,) = kw.compile([x, w], [kw.einsum("bij,bj->bi", x, w)]).run([A, A[:, 0]])
    np.testing.assert_allclose(got, np.einsum("bij,bj->bi", A, A[:, 0]), rtol=1e-12)


def test_one_contraction_is_the_matrix_product():
    x, w = kw.input("x", (6, 5)), kw.input("w", (5, 4))
    assert kw.einsum("ij,jk->ik", x, w) is x @ w


def test_positions_along_an_axis():
    taken, added = run(
        [lambda x, i: kw.take_along_axis(x, i, 1), lambda x, i: kw.add_along_axis(x, i[:, :3], x * 2, 1)], X, AT
    )
    np.testing.assert_array_equal(taken, np.take_along_axis(X, AT, 1))
    want = X.copy()
    for b, k, j in np.ndindex(2, 3, 4):
        want[b, AT[b, k, j], j] += 2 * X[b, k, j]
    np.testing.assert_allclose(added, want, rtol=1e-12)
    check_slopes(lambda x, i: kw.take_along_axis(x, i, 1) ** 2, X, AT)
    x, i = kw.input("x", (2, 3)), kw.input("i", (2, 1), "int32")
    program = kw.compile([x, i], [kw.take_along_axis(x, i)])
    with pytest.raises(kw.IndexLimitError, match=r"'i' holds 3 at position \[1, 0\].*from 0 to 2"):
        program.run([np.zeros((2, 3), "float32"), np.array([[0], [3]], "int32")])


@pytest.mark.parametrize("length", [0, 1, 2, 5, 8, 13])
def test_running_sums_and_products(length):
    x = RNG.normal(size=(3, length))
    for got, want in zip(run([lambda x: x.cumsum(1), kw.cumsum, lambda x: kw.cumprod(x, -1)], x), (1, None, -1)):
        np.testing.assert_allclose(got, np.cumprod(x, -1) if want == -1 else np.cumsum(x, want), rtol=1e-12)


def test_running_sums_of_integers_and_beside_infinity():
    n = np.full((4,), 200, "uint8")
    (total,) = run([kw.cumsum], n)
    assert total.dtype == np.int64 and total.tolist() == [200, 400, 600, 800]
    x = np.array([1.0, 2.0, np.inf, 1.0, -np.inf, 3.0])
    np.testing.assert_array_equal(run([kw.cumsum], x)[0], [1, 3, np.inf, np.inf, np.nan, np.nan])


def test_gradients_of_running_sums_and_of_products_with_zeros():
    check_slopes(lambda x: kw.cumsum(x, 1) ** 2, ZEROS)
    check_slopes(lambda x: kw.cumprod(x, 1), ZEROS)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: kw.pad(x, 1, mode="mirror"), ["pad", "reflect", "mirror"]),
        (lambda x: kw.pad(x, [5, 0], mode="reflect"), ["pad", "4 elements", "axis 0", "(5, 4)"]),
        (lambda x: kw.pad(x, [1], mode="wrap"), ["pad", "one per axis", "(5, 4)"]),
        (lambda x: kw.einsum("ij,jk->ik", x, x), ["einsum", "'j'", "4 and 5", "(5, 4), (5, 4)"]),
        (lambda x: kw.einsum("ijk->i", x), ["einsum", "'ijk'", "(5, 4)"]),
        (lambda x: kw.einsum("ij->ik", x), ["einsum", "'ik'"]),
        (lambda x: kw.einsum("ij,ij->i", x), ["einsum", "2 operands, and there are 1"]),
        (lambda x: kw.einsum("ii->i", x), ["einsum", "'i'", "(5, 4)"]),
        (lambda x: kw.take_along_axis(x, np.zeros((5, 3, 1), "int32")), ["(5, 3, 1)", "(5, 4)"]),
        (lambda x: kw.take_along_axis(x, np.zeros((5, 3))), ["int32", "float64"]),
        (lambda x: kw.take_along_axis(x, np.full((5, 3), 7)), ["position 7", "[0, 4)"]),
        (lambda x: kw.cumsum(kw.input("n", (None,)), 0), ["cumsum", "(batch,)", "run time"]),
    ],
)
def test_misuse_is_refused_in_words(wrong, words):
    with pytest.raises(kw.KernelwrightError) as error:
        wrong(kw.input("x", (5, 4)))
    text = str(error.value)
    assert all(word in text for word in [*words, __file__]), text
