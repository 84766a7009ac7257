"""Stability: what overflows as written is finite after rewriting, and so is its gradient."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.node import toposort
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.rewriting.rules import simplify

VALUES = np.array([[1000.0, 0.5, -1000.0], [-800.0, 90.0, 3.0]], "float32")
WEIGHTS = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
WIDE = VALUES.astype("float64")


def row_sum(x, axis=-1):
    return np.exp(x - x.max(axis, keepdims=True)).sum(axis, keepdims=True)


def lse(x, axis=-1):
    return x.max(axis, keepdims=True) + np.log(row_sum(x, axis))


def logistic(x):
    return np.exp(-np.logaddexp(0, -x))


def through_softmax(p, w, axis=-1):
    return p * (w - (w * p).sum(axis, keepdims=True))


def naive_softmax(x, axis=-1):
    e = kw.exp(x)
    return e / e.sum(axis, keepdims=True)


def soft(axis=-1):
    return np.exp(WIDE - lse(WIDE, axis))


# name: (as written, value, gradient of (value * WEIGHTS).sum())
CASES = {
    "softplus": (lambda x: kw.log(1 + kw.exp(x)), np.logaddexp(0, WIDE), WEIGHTS * logistic(WIDE)),
    "softplus by log1p": (lambda x: kw.log1p(kw.exp(x)), np.logaddexp(0, WIDE), WEIGHTS * logistic(WIDE)),
    "log sigmoid": (lambda x: kw.log(kw.sigmoid(x)), -np.logaddexp(0, -WIDE), WEIGHTS * logistic(-WIDE)),
    "log(1 - sigmoid)": (lambda x: kw.log(1 - kw.sigmoid(x)), -np.logaddexp(0, WIDE), -WEIGHTS * logistic(WIDE)),
    "sigmoid": (lambda x: 1 / (1 + kw.exp(-x)), logistic(WIDE), WEIGHTS * logistic(WIDE) * logistic(-WIDE)),
    "log softmax": (
        lambda x: kw.log(kw.softmax(x)),
        WIDE - lse(WIDE),
        WEIGHTS - soft() * WEIGHTS.sum(-1, keepdims=True),
    ),
    "naive log softmax": (
        lambda x: kw.log(naive_softmax(x)),
        WIDE - lse(WIDE),
        WEIGHTS - soft() * WEIGHTS.sum(-1, keepdims=True),
    ),
    "naive log softmax of columns": (
        lambda x: kw.log(naive_softmax(x, 0)),
        WIDE - lse(WIDE, 0),
        WEIGHTS - soft(0) * WEIGHTS.sum(0, keepdims=True),
    ),
    "naive softmax": (naive_softmax, soft(), through_softmax(soft(), WEIGHTS)),
    "naive softmax of columns": (lambda x: naive_softmax(x, 0), soft(0), through_softmax(soft(0), WEIGHTS, 0)),
    "log sum exp": (
        lambda x: kw.log(kw.exp(x).sum(-1, keepdims=True)) + 0 * x,
        lse(WIDE) + 0 * WIDE,
        soft() * WEIGHTS.sum(-1, keepdims=True),
    ),
    "norm": (lambda x: kw.sqrt(x * x), np.abs(WIDE), WEIGHTS * np.sign(WIDE)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("weighted", [True, False])
def test_overflow_is_gone_in_value_and_gradient(name, weighted):
    f, want, slope = CASES[name]
    x, w = kw.input("x", (2, 3)), kw.input("w", (2, 3))
    y = f(x)
    outputs, _ = simplify([y, kw.grad((y * w if weighted else y).sum(), x)])
    value, gradient = evaluate(outputs, {x: VALUES, w: WEIGHTS})
    np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-6)
    assert np.isfinite(gradient).all()
    if weighted:
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["softplus", "naive log softmax"])
def test_kernels_are_finite_too(name):
    f, want, slope = CASES[name]
    x, w = kw.input("x", (2, 3)), kw.input("w", (2, 3))
    value, gradient = kw.compile([x, w], [f(x), kw.grad((f(x) * w).sum(), x)], threads=1)(
        VALUES, WEIGHTS.astype("float32")
    )
    np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def test_cross_entropy_written_naively_is_as_small_as_ours():
    x, t = kw.input("logits", (5, 7)), kw.input("weights", (5, 7))

    def count(log_p):
        loss = -(t * log_p).sum(-1).mean()
        return len(toposort(simplify([loss, kw.grad(loss, x)])[0]))

    ours = count(kw.log_softmax(x))
    assert count(kw.log(kw.softmax(x))) <= ours + 2
    assert ours <= 30


def test_rows_of_nothing_and_of_minus_infinity():
    x, none = kw.input("x", (2, 3)), kw.input("none", (2, 0))
    outputs, report = simplify([kw.log(kw.exp(x).sum(-1)), kw.log(kw.exp(none).sum(-1)), naive_softmax(none)])
    rows = np.array([[-np.inf] * 3, [np.inf, 0.0, 1.0]])
    values = evaluate(outputs, {x: rows, none: np.zeros((2, 0))})
    assert report.hits["log(sum(exp(x)))"] == 1
    assert values[0].tolist() == [-np.inf, np.inf] and values[1].tolist() == [-np.inf] * 2
    assert values[2].shape == (2, 0)
