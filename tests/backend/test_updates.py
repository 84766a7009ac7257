"""Variables are all read before any is written, whatever reads and updates share kernels, on any number of threads."""

import numpy as np
import pytest

import kernelwright as kw

N = (16, 16)


def run(make, device, threads, steps=3):
    """Outputs of three runs, then of three steps in one call, and the variables' values in the end."""
    rng = np.random.default_rng(0)
    variables = [kw.variable(name, rng.normal(size=N)) for name in "abc"]
    x = kw.input("x", N, "float64")
    outputs, updates = make(x, *variables)
    program = kw.compile([x], outputs, updates, device=device, threads=threads)
    results = [y for _ in range(steps) for y in program.run([rng.normal(size=N)])]
    results += program.run([rng.normal(size=(steps, *N))], steps=steps, per_step=[0])
    return results + [kw.get_value(v) for v in variables]


CASES = {
    "swap": lambda x, a, b, c: ([a], {a: b, b: a}),
    "rotate": lambda x, a, b, c: ([], {a: b, b: c, c: a}),
    "old value and its reader": lambda x, a, b, c: ([b], {a: b * 2}),
    "old values and their update": lambda x, a, b, c: ([a, b], {a: a + b, b: a - b}),
    "an output and another variable's copy": lambda x, a, b, c: ([a + b - b.sum()], {a: a - 1.0, b: a}),
    "transposed": lambda x, a, b, c: ([a.T], {a: a.T}),
    "flipped and summed": lambda x, a, b, c: ([a.sum(0)], {a: kw.flip(a, 0) * 0.5 + x, b: a.sum(1, keepdims=True) + b}),
    "product of itself": lambda x, a, b, c: ([], {a: kw.tanh(a @ a), b: kw.tanh(a.T @ b), c: b + a}),
    "one value for two": lambda x, a, b, c: ([a * x], {a: a * x, b: a * x}),
    "unchanged": lambda x, a, b, c: ([a, x], {a: a, b: x}),
    "the same output twice": lambda x, a, b, c: ([a + x, a + x, a], {a: a + x}),
    "chained": lambda x, a, b, c: ([(a + x) @ b], {a: a + x, b: (a + x).T * 0.1, c: (a + x)[::-1]}),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_updates_agree_with_the_reference(name, threads):
    for got, want in zip(run(CASES[name], "cpu", threads), run(CASES[name], "reference", None), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_each_weight_is_updated_as_soon_as_its_gradient_can_be_made():
    weights = [kw.variable(f"w{i}", np.ones((32, 32), "float32")) for i in range(5)]
    x = y = kw.input("x", (None, 32))
    for w in weights:
        y = kw.tanh(y @ w)
    loss = (y * y).sum()
    updates = {w: w - 0.1 * g for w, g in zip(weights, kw.grad(loss, weights))}
    names = [k.name for k in kw.compile([x], loss, updates).kernels]
    updating = [i for i, name in enumerate(names) if "sub" in name]
    passing = [i for i, name in enumerate(names) if "mul" in name and "contract" in name]
    assert len(updating) == 5 and updating[-3] < passing[-1]
