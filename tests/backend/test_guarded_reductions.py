"""Reductions that only some lanes need: sums and extremes inside concatenations, stacks and padding."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate

CASES = {
    "concat of one sum twice": lambda x: kw.concat([x.sum(0), x.sum(0)]),
    "concat of different reductions": lambda x: kw.concat([x.sum(0), x.max(0), x.mean(0) * 2]),
    "concat of concatenated": lambda x: kw.concat([kw.concat([x, x * 2], 1).sum(0)] * 2),
    "stack": lambda x: kw.stack([x.sum(0), x.min(0)], 1),
    "pad": lambda x: kw.pad(x.sum(0), [(2, 3)]) * 2,
    "pad of a pad": lambda x: kw.pad(kw.pad(x, [(1, 0), (0, 2)]).sum(0), [(2, 1)]),
    "positions": lambda x: kw.concat([kw.argmax(x, 0), kw.argmin(x, 0)]),
    "nested rows": lambda x: kw.concat([(x - x.mean(0)).max(0), (x * x).sum(0) - x.sum(0)]),
    "softmax": lambda x: kw.concat([kw.softmax(x, 0), x], 1),
}


@pytest.mark.parametrize("columns", [3, None])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name, columns):
    x = kw.input("x", (5, columns), "float64")
    y = CASES[name](x)
    outputs = [y] if y.dtype == "int32" else [y, kw.grad((y * y).sum(), x)]
    program = kw.compile([x], outputs, threads=2)
    for n in (3,) if columns else (1, 17, 130):
        array = np.random.default_rng(n).normal(size=(5, n))
        for got, want in zip(program.run([array]), evaluate(outputs, {x: array})):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
