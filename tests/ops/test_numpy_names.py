"""Functions and methods that NumPy's and PyTorch's users type, against NumPy; gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate

RNG = np.random.default_rng(11)
NORMAL = RNG.normal(size=(3, 5, 4))
INTEGERS = RNG.integers(-3, 3, size=(3, 5)).astype("int32")
EMPTY = np.zeros((0, 4))
FLAT = np.ones((2, 3))


def ours(functions, *arrays, device="cpu"):
    """What the functions give of these arrays, computed by one program."""
    inputs = [kw.input(f"a{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
    return kw.compile(inputs, [f(*inputs) for f in functions], device=device, threads=2).run(list(arrays))


def agree(cases, *arrays, device="cpu"):
    """Each (ours, NumPy's) pair of functions has the same shape, dtype kind and values."""
    for (_, numpys), got in zip(cases, ours([mine for mine, _ in cases], *arrays, device=device)):
        want = np.asarray(numpys(*arrays))
        assert got.shape == want.shape
        assert got.dtype.kind == want.dtype.kind
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def slopes(f, x, seed=0):
    """The first and second derivative of f along random directions, as (ours, those that differences say)."""
    rng = np.random.default_rng(seed)
    t = kw.input("t", x.shape, "float64")
    y, way, step = f(t), rng.normal(size=x.shape), 1e-5
    weighed = (y * kw.as_tensor(rng.normal(size=y.shape))).sum()
    first = kw.grad(weighed, t)
    bent = (first * kw.as_tensor(rng.normal(size=x.shape))).sum()
    second = kw.grad(bent, t)
    ends = [[float(evaluate([v], {t: x + s * way})[0]) for s in (step, -step)] for v in (weighed, bent)]
    got = [float((evaluate([g], {t: x})[0] * way).sum()) for g in (first, second)]
    return got, [(high - low) / (2 * step) for high, low in ends]


STATISTICS = [
    (lambda x: kw.var(x), lambda x: x.var()),
    (lambda x: x.var(1, ddof=1), lambda x: x.var(1, ddof=1)),
    (lambda x: x.var((0, 2), keepdims=True), lambda x: x.var((0, 2), keepdims=True)),
    (lambda x: x.std(-1, correction=1), lambda x: x.std(-1, ddof=1)),
    (lambda x: kw.logsumexp(x, (0, 1)), lambda x: np.log(np.exp(x).sum((0, 1)))),
    (lambda x: x.logsumexp(1, keepdims=True), lambda x: np.log(np.exp(x).sum(1, keepdims=True))),
    (lambda x: kw.norm(x), lambda x: np.linalg.vector_norm(x)),
    (lambda x: kw.norm(x, 1, 1), lambda x: np.linalg.vector_norm(x, ord=1, axis=1)),
    (lambda x: kw.norm(x, np.inf, -1, True), lambda x: np.linalg.vector_norm(x, ord=np.inf, axis=-1, keepdims=True)),
    (lambda x: kw.norm(x, -np.inf), lambda x: np.linalg.vector_norm(x, ord=-np.inf)),
    (lambda x: kw.norm(x, 3, 0), lambda x: np.linalg.vector_norm(x, ord=3, axis=0)),
    (lambda x: kw.norm(x, 0), lambda x: np.linalg.vector_norm(x, ord=0)),
    (lambda x: kw.ptp(x, 2), lambda x: np.ptp(x, 2)),
    (lambda x: kw.any(x > 1.5, 1), lambda x: (x > 1.5).any(1)),
    (lambda x: (x > -1).all(), lambda x: (x > -1).all()),
    (lambda x: (x > -1).all((0, 2), keepdims=True), lambda x: (x > -1).all((0, 2), keepdims=True)),
    (lambda x: kw.count_nonzero(x > 0, 0), lambda x: np.count_nonzero(x > 0, 0)),
]


def test_statistics():
    agree(STATISTICS, NORMAL)
    agree(STATISTICS[:6:2], np.full((1, 1, 1), 2.5))


def test_statistics_of_nothing_of_integers_and_of_an_unknown_count():
    agree([(lambda x: kw.any(x, 0), lambda x: x.any(0)), (lambda x: kw.all(x, 0), lambda x: x.all(0))], EMPTY)
    (v,) = ours([lambda x: kw.var(x, 1)], INTEGERS)
    assert v.dtype == np.float32
    np.testing.assert_allclose(v, INTEGERS.var(1), rtol=1e-6)
    x = kw.input("x", (None, 3), "float64")
    program = kw.compile([x], [kw.var(x, 0, ddof=1), kw.std(x)])
    for n in (1, 2, 7):
        a = RNG.normal(size=(n, 3))
        with np.errstate(all="ignore"), pytest.warns(RuntimeWarning) if n == 1 else np.errstate():
            want = a.var(0, ddof=1)
        np.testing.assert_allclose(program.run([a])[0], want, rtol=1e-12)
        np.testing.assert_allclose(program.run([a])[1], a.std(), rtol=1e-12)


def test_logsumexp_neither_overflows_nor_loses_infinities():
    x = np.array([[1000.0, 1000.0], [-1000.0, -1001.0], [-np.inf, -np.inf], [np.inf, 0.0]], "float32")
    (got,) = ours([lambda x: kw.logsumexp(x, 1)], x)
    np.testing.assert_allclose(got, [1000.6931472, -999.6867383, -np.inf, np.inf], rtol=1e-6)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.var(1, ddof=1),
        lambda x: x.std((0, 2)),
        lambda x: x.logsumexp(1),
        lambda x: kw.norm(x, 2, 1),
        lambda x: kw.norm(x, 3),
        lambda x: x.roll(2, 1) * x,
        lambda x: x.tile((2, 1, 3)) ** 2,
        lambda x: x.repeat(3, 1) ** 3,
        lambda x: x.diagonal(1, 1, 2) ** 2,
        lambda x: x.tril(-1) ** 2,
        lambda x: x.split([1, 2], 1)[1].exp(),
        lambda x: kw.outer(x[0, 0], x[1, 1]),
        lambda x: x.masked_fill(x > 0, 2.0) ** 2,
    ],
)
def test_gradients_of_both_orders(f):
    got, want = slopes(f, NORMAL)
    assert got == pytest.approx(want, rel=1e-6, abs=1e-6)


def test_gradients_at_the_corner_of_a_root_are_zero():
    x = kw.input("x", (2, 3), "float64")
    g, h = kw.compile([x], kw.grad(kw.std(x, 1).sum() + kw.norm(x - 1, 2, 1).sum(), [x]) + [kw.norm(x - 1)]).run([FLAT])
    assert (g == 0).all() and h == 0


ARRANGED = [
    (lambda x: x.ravel(), np.ravel),
    (lambda x: x.flatten(), np.ravel),
    (lambda x: x.flatten(1), lambda x: x.reshape(3, 20)),
    (lambda x: kw.swapaxes(x, 0, -1), lambda x: x.swapaxes(0, -1)),
    (lambda x: kw.moveaxis(x, 0, 2), lambda x: np.moveaxis(x, 0, 2)),
    (lambda x: kw.moveaxis(x, (0, -1), (1, 0)), lambda x: np.moveaxis(x, (0, -1), (1, 0))),
    (lambda x: kw.roll(x, 2), lambda x: np.roll(x, 2)),
    (lambda x: kw.roll(x, -7, 1), lambda x: np.roll(x, -7, 1)),
    (lambda x: kw.roll(x, (1, 2), (0, 2)), lambda x: np.roll(x, (1, 2), (0, 2))),
    (lambda x: kw.tile(x, 2), lambda x: np.tile(x, 2)),
    (lambda x: kw.tile(x, (2, 1, 3, 1)), lambda x: np.tile(x, (2, 1, 3, 1))),
    (lambda x: kw.repeat(x, 3), lambda x: np.repeat(x, 3)),
    (lambda x: kw.repeat(x, 2, -1), lambda x: np.repeat(x, 2, -1)),
    (lambda x: kw.split(x, 2, 2)[1], lambda x: np.split(x, 2, 2)[1]),
    (lambda x: kw.split(x, [1, -1], 1)[2], lambda x: np.split(x, [1, -1], 1)[2]),
    (lambda x: kw.chunk(x, 2, 1)[0], lambda x: x[:, :3]),
    (lambda x: kw.chunk(x, 2, 1)[1], lambda x: x[:, 3:]),
    (lambda x: kw.diagonal(x), np.diagonal),
    (lambda x: kw.diagonal(x, -1, 1, 2), lambda x: np.diagonal(x, -1, 1, 2)),
    (lambda x: kw.diagonal(x, 3, 2, 1), lambda x: np.diagonal(x, 3, 2, 1)),
    (lambda x: kw.diagonal(x, 9), lambda x: np.diagonal(x, 9)),
    (lambda x: kw.trace(x, 1), lambda x: np.trace(x, 1)),
    (lambda x: kw.tril(x), np.tril),
    (lambda x: kw.triu(x, 2), lambda x: np.triu(x, 2)),
    (lambda x: kw.tril(x > 0, -1), lambda x: np.tril(x > 0, -1)),
    (lambda x: kw.outer(x[0], x[1, :2]), lambda x: np.outer(x[0], x[1, :2])),
    (lambda x: kw.masked_fill(x, x > 0, -1), lambda x: np.where(x > 0, -1, x)),
]


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_arrangement(device):
    agree(ARRANGED, NORMAL, device=device)


def test_arrangement_of_an_unknown_count():
    x = kw.input("x", (None, 3), "float64")
    program = kw.compile([x], [kw.tile(x, (2, 1)), kw.repeat(x, 2, 0), kw.roll(x, 1, 0), kw.tril(x)])
    for n in (1, 4):
        a = RNG.normal(size=(n, 3))
        for got, want in zip(program.run([a]), [np.tile(a, (2, 1)), np.repeat(a, 2, 0), np.roll(a, 1, 0), np.tril(a)]):
            np.testing.assert_array_equal(got, want)


def test_makers():
    x = kw.input("x", (2, None), "int16")
    made = [
        (kw.ones((2, 3)), np.ones((2, 3), "float32")),
        (kw.full((2,), 7), np.full(2, 7, "int32")),
        (kw.full((2,), 0.5, "float64"), np.full(2, 0.5)),
        (kw.arange(5), np.arange(5, dtype="int32")),
        (kw.arange(9, 2, -3), np.arange(9, 2, -3, dtype="int32")),
        (kw.arange(200, 0, -60, "uint8"), np.arange(200, 0, -60).astype("uint8")),
        (kw.arange(0, 1, 0.1), np.arange(0, 1, 0.1).astype("float32")),
        (kw.arange(3, 3), np.zeros(0, "int32")),
        (kw.linspace(-1, 2, 7, "float64"), np.linspace(-1, 2, 7)),
        (kw.eye(3), np.eye(3, dtype="float32")),
        (kw.eye(2, 4, 1, "bool"), np.eye(2, 4, 1, dtype="bool")),
        (kw.full_like(x, 3), np.full((2, 5), 3, "int16")),
        (kw.ones_like(x, "float64"), np.ones((2, 5))),
        (kw.zeros_like(x), np.zeros((2, 5), "int16")),
        (kw.arange(x.shape[1]), np.arange(5, dtype="int32")),
        (kw.arange(2, x.shape[1]), np.arange(2, 5, dtype="int32")),
    ]
    got = kw.compile([x], [y for y, _ in made]).run([np.zeros((2, 5), "int16")])
    for y, (_, want) in zip(got, made):
        assert y.dtype == want.dtype
        np.testing.assert_array_equal(y, want)


def test_methods_are_the_functions_of_their_names():
    x = kw.input("x", (3, 4))
    for name in ("exp", "log", "sqrt", "abs", "round", "prod", "argmax", "argmin", "any", "all", "std", "lgamma"):
        assert getattr(x, name)() is getattr(kw, name)(x), name
        assert name in getattr(type(x), name).__doc__
    assert x.clip(0, 1) is kw.clip(x, 0, 1)
    assert x.argmax(1, True) is kw.argmax(x, 1, True)
    assert kw.arctan2(x, x) is kw.atan2(x, x) and kw.cat([x, x], 1) is kw.concatenate([x, x], 1) is kw.concat([x, x], 1)
    assert kw.clamp(x, 0, 1) is x.clamp(0, 1) is kw.clip(x, 0, 1) and x.amax(1) is kw.amax(x, 1) is x.max(1)
    y = x + 1
    operators = [kw.add(x, y), kw.subtract(x, y), kw.multiply(x, y), kw.divide(x, y), kw.power(x, y), kw.negative(x)]
    assert all(a is b for a, b in zip(operators, [x + y, x - y, x * y, x / y, x**y, -x], strict=True))
    assert x.detach() is kw.stop_gradient(x)
    assert x.unsqueeze(-1) is x[..., None] and x.view(4, 3) is x.reshape(4, 3) and x.permute(1, 0) is x.T


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: x[x[:, 0] > 0], ["mask", "(5,) bool", "kw.where", "(5, 4)"]),
        (lambda x: kw.nonzero(x > 0), ["nonzero", "(5, 4) bool", "kw.count_nonzero"]),
        (lambda x: kw.split(x, 2), ["split", "axis 0", "(5, 4)", "kw.chunk"]),
        (lambda x: kw.chunk(x, 0), ["chunk", "at least 1"]),
        (lambda x: kw.roll(x, (1, 2), 0), ["roll", "(1, 2)"]),
        (lambda x: kw.moveaxis(x, (0, 1), 0), ["moveaxis"]),
        (lambda x: kw.diagonal(x, 0, 1, 1), ["diagonal", "(5, 4)"]),
        (lambda x: kw.tril(x[0]), ["tril", "(4,)"]),
        (lambda x: kw.var(x, ddof=1, correction=1), ["var", "one of ddof and correction"]),
        (lambda x: kw.std(x, ddof=0.5), ["std", "0.5"]),
        (lambda x: kw.arange(0, 4, 0), ["arange", "step"]),
        (lambda x: kw.arange(0, kw.input("n", (None,)).shape[0], 2), ["arange", "batch", "step must be 1"]),
        (lambda x: kw.eye(3, k=0.5), ["eye", "0.5"]),
    ],
)
def test_misuse_is_refused_in_words(wrong, words):
    with pytest.raises((kw.ShapeError, kw.DTypeError)) as error:
        wrong(kw.input("x", (5, 4)))
    text = str(error.value)
    assert all(word in text for word in [*words, __file__]), text
