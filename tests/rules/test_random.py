"""Random graphs of what rules look at (numbers, naive exponentials, movement, sums): values stay, twice is once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.rewriting.rules import simplify
from kernelwright.compiler.rewriting.same_values import difference

X, Y = kw.input("x", (2, 3), "float64"), kw.input("y", (2, 3), "float64")
NUMBERS = (0.0, 1.0, -1.0, 0.5, 2.0, -3.0)

UNARY = [
    lambda a: -a,
    lambda a: kw.exp(a * 0.25),
    lambda a: kw.exp(a) / (1 + kw.exp(a)),
    lambda a: kw.exp(a) / kw.exp(a).sum(-1, keepdims=True),
    lambda a: kw.log(1 + kw.exp(a)),
    lambda a: kw.log(kw.sigmoid(a)),
    lambda a: kw.sqrt(a * a + 0.5),
    lambda a: kw.flip(a, 0),
    lambda a: kw.tanh(a.reshape(6)).reshape(2, 3),
    lambda a: a.T.reshape(2, 3),
    lambda a: kw.pad(a, [0, (1, 0)])[:, 1:],
    lambda a: a - a.sum(0, keepdims=True) * 0.5,
    lambda a: kw.broadcast_to(a, (4, 2, 3)).sum(0),
]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (kw.abs(b) + 1),
    lambda a, b: kw.maximum(a, b),
    lambda a, b: kw.where(a < b, a * 2, 0.0),
]


@st.composite
def graphs(draw):
    pool = [X, Y]
    for _ in range(draw(st.integers(1, 7))):
        a = pool[draw(st.integers(0, len(pool) - 1))]
        kind = draw(st.sampled_from(["unary", "binary", "number"]))
        if kind == "unary":
            pool.append(draw(st.sampled_from(UNARY))(a))
        else:
            b = pool[draw(st.integers(0, len(pool) - 1))] if kind == "binary" else draw(st.sampled_from(NUMBERS))
            pool.append(draw(st.sampled_from(BINARY[:3] if kind == "number" else BINARY))(a, b))
    return pool[-1]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(graphs(), st.integers(0, 1000))
def test_simplifying_keeps_values_and_gradients(graph, seed):
    before = [graph, *kw.grad(graph.sum() + X.sum() + Y.sum(), [X, Y])]  # a way to both: some only reach a condition
    after, _ = simplify(before)
    again, report = simplify(after)
    assert all(a is b for a, b in zip(after, again)) and not report.hits
    assert not difference([graph], after[:1], scaled=3)
    rng = np.random.default_rng(seed)
    feed = {v: rng.normal(size=(2, 3)) * rng.choice([1.0, 0.0, 1e-8], (2, 3)) for v in (X, Y)}
    for old, new in zip(evaluate(before, feed), evaluate(after, feed)):
        scale = max(1.0, float(np.abs(old[np.isfinite(old)]).max(initial=0)))
        finite = np.isfinite(old)
        np.testing.assert_allclose(new[finite], old[finite], rtol=1e-7, atol=1e-8 * scale)
