"""Gradients where there is more than one answer (kinks, ties, NaN, powers of 0): those of PyTorch 2.13, written out."""

import math

import numpy as np
import pytest

import kernelwright as kw

NAN, INF, LOG2 = math.nan, math.inf, math.log(2)
X, Y = [1.0, 1.0, 2.0, NAN, 1.0, NAN], [1.0, 2.0, 1.0, 1.0, NAN, NAN]
BASE = [0.0, 0.0, 0.0, 0.0, 0.0, -2.0, -2.0, -2.0, 2.0, NAN, 0.0]
EXPONENT = [0.0, 1.0, 2.0, 0.5, -1.0, 2.0, 3.0, 0.5, 0.0, 0.0, NAN]
BY_BASE = [0.0, 1.0, 0.0, INF, -INF, -4.0, 12.0, NAN, 0.0, 0.0, NAN]
BY_EXPONENT = [0.0, 0.0, 0.0, 0.0, -INF, NAN, NAN, NAN, LOG2, NAN, NAN]

CASES = {  # function, operands, the gradient of the sum of its results by each
    "clip": (lambda x: kw.clip(x, -1, 1), [[-2.0, -1.0, 0.0, 1.0, 2.0, NAN]], [[0.0, 1.0, 1.0, 1.0, 0.0, 0.0]]),
    "clip, low above high": (lambda x: kw.clip(x, 1, -1), [[-2.0, -1.0, 0.0, 1.0, NAN]], [[0.0] * 5]),
    "clip by bounds": (
        kw.clip,
        [[0.0, 1.0, 2.0, 3.0, 4.0], [1.0] * 5, [3.0] * 5],
        [[0.0, 1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]],
    ),
    "maximum": (kw.maximum, [X, Y], [[0.5, 0.0, 1.0, 1.0, 1.0, 1.0], [0.5, 1.0, 0.0, 1.0, 1.0, 1.0]]),
    "minimum": (kw.minimum, [X, Y], [[0.5, 1.0, 0.0, 1.0, 1.0, 1.0], [0.5, 0.0, 1.0, 1.0, 1.0, 1.0]]),
    "root of maximum": (
        lambda x, y: kw.sqrt(kw.maximum(x, y)),
        [[-1.0, 0.0, 4.0], [0.0, -1.0, 1.0]],
        [[0.0, INF, 0.25], [INF, 0.0, 0.0]],
    ),
    "root of minimum": (
        lambda x, y: kw.sqrt(kw.minimum(x, y)),
        [[1.0, 0.0, 4.0], [0.0, 1.0, 9.0]],
        [[0.0, INF, 0.25], [INF, 0.0, 0.0]],
    ),
    "abs": (kw.abs, [[-1.0, -0.0, 0.0, 1.0, NAN]], [[-1.0, 0.0, 0.0, 1.0, 0.0]]),
    "sign": (kw.sign, [[NAN, 0.0, 1.0]], [[0.0, 0.0, 0.0]]),
    "relu": (kw.relu, [[-1.0, 0.0, 1.0, NAN]], [[0.0, 0.0, 1.0, 1.0]]),
    "sqrt": (kw.sqrt, [[0.0, 1.0, -1.0, NAN]], [[INF, 0.5, NAN, NAN]]),
    "rsqrt": (kw.rsqrt, [[0.0, 1.0, -1.0]], [[-INF, -0.5, NAN]]),
    "log": (kw.log, [[0.0, -1.0]], [[INF, -1.0]]),
    "x ** y": (lambda x, y: x**y, [BASE, EXPONENT], [BY_BASE, BY_EXPONENT]),
    "x ** 0": (lambda x: x**0, [[0.0, -2.0, 2.0, NAN]], [[0.0, 0.0, 0.0, 0.0]]),
    "x ** 0.5": (lambda x: x**0.5, [[0.0, -2.0, 4.0, NAN]], [[INF, NAN, 0.25, NAN]]),
    "x ** 1": (lambda x: x**1, [[0.0, -2.0, 2.0, NAN]], [[1.0, 1.0, 1.0, 1.0]]),
    "x ** 3": (lambda x: x**3, [[0.0, -2.0, 2.0, NAN]], [[0.0, 12.0, 12.0, NAN]]),
    "x ** -1": (lambda x: x**-1, [[0.0, -2.0, 2.0, NAN]], [[-INF, -0.25, -0.25, NAN]]),
    "0 ** y": (lambda y: 0.0**y, [[-1.0, 0.0, 1.0, 2.0]], [[-INF, 0.0, 0.0, 0.0]]),
    "(-2) ** y": (lambda y: (-2.0) ** y, [[0.0, 1.0, 2.0, 0.5]], [[NAN] * 4]),
    "max": (lambda x: x.max(0), [[1.0, 3.0, 3.0, 2.0]], [[0.0, 0.5, 0.5, 0.0]]),
    "max of NaN": (lambda x: x.max(0), [[1.0, NAN, 3.0]], [[NAN, NAN, NAN]]),
    "where": (lambda x: kw.where(x > 0, x, 0.0), [[NAN, -1.0, 1.0]], [[0.0, 0.0, 1.0]]),
    "prod, one 0": (kw.prod, [[0.0, 2.0, 3.0]], [[6.0, 0.0, 0.0]]),
    "prod, two 0": (kw.prod, [[0.0, 0.0, 3.0]], [[0.0, 0.0, 0.0]]),
    "division by 0": (lambda x, y: x / y, [[1.0, 0.0], [0.0, 0.0]], [[INF, INF], [-INF, NAN]]),
    "sigmoid": (kw.sigmoid, [[INF, -INF, NAN]], [[0.0, 0.0, NAN]]),
    "tanh": (kw.tanh, [[INF, -INF, NAN]], [[0.0, 0.0, NAN]]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_gradients_follow_pytorch(device, dtype):
    inputs, outputs, arrays, names, wanted = [], [], [], [], []
    for name, (function, operands, gradients) in CASES.items():
        xs = [kw.input(f"{name} {i}", (len(values),), dtype) for i, values in enumerate(operands)]
        inputs += xs
        outputs += kw.grad(function(*xs).sum(), xs)
        arrays += [np.array(values, dtype) for values in operands]
        names += [name] * len(xs)
        wanted += gradients
    got = kw.compile(inputs, outputs, device=device).run(arrays)
    for name, found, want in zip(names, got, wanted, strict=True):
        np.testing.assert_allclose(found, np.array(want, dtype), rtol=1e-6, err_msg=name)


def test_these_are_pytorchs():
    torch = pytest.importorskip("torch")
    theirs = {
        "clip": lambda x: x.clamp(-1, 1),
        "clip, low above high": lambda x: x.clamp(1, -1),
        "clip by bounds": torch.clamp,
        "abs": torch.abs,
        "root of maximum": lambda x, y: torch.maximum(x, y).sqrt(),
        "root of minimum": lambda x, y: torch.minimum(x, y).sqrt(),
        **{
            n: getattr(torch, n)
            for n in ("maximum", "minimum", "sign", "relu", "sqrt", "rsqrt", "log", "sigmoid", "tanh")
        },
        "0 ** y": lambda y: torch.tensor(0.0, dtype=y.dtype) ** y,
        "(-2) ** y": lambda y: torch.tensor(-2.0, dtype=y.dtype) ** y,
        "max": lambda x: x.amax(0),
        "max of NaN": lambda x: x.amax(0),
        "where": lambda x: torch.where(x > 0, x, 0.0),
        "prod, one 0": torch.prod,
        "prod, two 0": torch.prod,
    }
    for name, (function, operands, gradients) in CASES.items():
        xs = [torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in operands]
        found = torch.autograd.grad(theirs.get(name, function)(*xs).sum(), xs)
        for ours, each in zip(gradients, found, strict=True):
            np.testing.assert_allclose(ours, each.numpy(), rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_values_of_clip(device):
    x = kw.input("x", (None,))
    values = np.array([-2.0, -1.0, 0.5, 1.0, 2.0, NAN, INF], "float32")
    inside, crossed = kw.compile([x], [kw.clip(x, -1, 1), kw.clip(x, 1, -1)], device=device).run([values])
    np.testing.assert_array_equal(inside, np.array([-1.0, -1.0, 0.5, 1.0, 1.0, NAN, 1.0], "float32"))
    np.testing.assert_array_equal(crossed, np.array([-1.0] * 5 + [NAN, -1.0], "float32"))


@pytest.mark.parametrize(
    ("dtype", "least", "want"), [("float32", 2.0**-149, 1.5 * 2.0**-74.5), ("float64", 2.0**-1074, 1.5 * 2.0**-537)]
)
def test_the_gradient_of_a_root_keeps_the_least_numbers(dtype, least, want):
    x = kw.input("x", (1,), dtype)
    (gradient,) = kw.compile([x], [kw.grad((x * kw.sqrt(x)).sum(), x)]).run([np.array([least], dtype)])
    np.testing.assert_allclose(gradient, want, rtol=1e-6)  # half of `least`, before the division, would be 0
