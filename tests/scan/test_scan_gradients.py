"""First and second derivatives through `kw.scan`: against PyTorch's of the unrolled loop, and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kernelwright as kw


def loss_of(h: Any, x: Any, w: Any, u: Any, reverse: bool) -> Any:
    final, ys = kw.scan(lambda h, x: (kw.tanh(h @ w + x @ u), h * h), h, x, reverse=reverse)
    return (final * final).sum() + (ys * ys * ys).sum()


def loss_in_torch(torch: Any, h: Any, x: Any, w: Any, u: Any, reverse: bool) -> Any:
    loss = 0.0
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        loss, h = loss + (h**6).sum(), torch.tanh(h @ w + x[t] @ u)
    return loss + (h * h).sum()


@pytest.mark.parametrize("reverse", [False, True])
def test_first_and_second_derivatives_are_those_of_the_unrolled_loop(reverse: bool) -> None:
    torch = pytest.importorskip("torch")
    shapes: dict[str, Any] = {"h": (None, 4), "x": ("time", None, 3), "w": (4, 4), "u": (3, 4)}
    given = [kw.input(name, shape, "float64") for name, shape in shapes.items()]
    loss = loss_of(*given, reverse)
    first = kw.grad(loss, given)
    second = kw.grad(sum((g * g).sum() for g in first), given)
    program = kw.compile(given, [loss, *first, *second], threads=2)
    rng = np.random.default_rng(0)
    for turns, batch in ((0, 2), (1, 3), (6, 2)):
        sizes = {"time": turns, None: batch}
        arrays = [rng.standard_normal([sizes.get(d, d) for d in shape]) for shape in shapes.values()]
        leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
        total = loss_in_torch(torch, *leaves, reverse)
        by = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True, materialize_grads=True)
        squares = sum((g * g).sum() for g in by)
        again = torch.autograd.grad(squares, leaves, allow_unused=True, materialize_grads=True)
        for got, wanted in zip(program(*arrays), [total, *by, *again], strict=True):
            np.testing.assert_allclose(got, wanted.detach().numpy(), 1e-9, 1e-9)


def test_a_state_that_is_no_float_and_an_output_that_nobody_reads() -> None:
    x = kw.input("x", (5, 3), "float64")

    def step(states: list[Any], p: Any) -> tuple[list[Any], list[Any]]:
        turn, s = states
        return [turn + 1, s * 0.5 + kw.sin(p) * turn.astype("float64")], [s, kw.exp(s)]

    start = [kw.as_tensor(np.int64(0)), kw.as_tensor(np.zeros(3))]
    (turns, s), _ = kw.scan(step, start, x)
    got_turns, got = kw.compile([x], [turns, kw.grad((s * s).sum(), x)])(xs := np.random.default_rng(0).random((5, 3)))
    assert got_turns == 5

    def value(a: np.ndarray) -> float:
        s = np.zeros(3)
        for t, row in enumerate(a):
            s = s * 0.5 + np.sin(row) * t
        return float((s * s).sum())

    for place in np.ndindex(5, 3):
        step_up, step_down = xs.copy(), xs.copy()
        step_up[place] += 1e-6
        step_down[place] -= 1e-6
        slope = (value(step_up) - value(step_down)) / 2e-6
        np.testing.assert_allclose(got[place], slope, 1e-6, 1e-8)


def test_one_loop_back_for_all_results() -> None:
    x, w = kw.input("x", (8, 3)), kw.input("w", (3, 3))
    (a, b), ys = kw.scan(lambda s, p: ((kw.tanh(s[0] @ w + p), s[1] + s[0]), s[0] * s[1]), (x[0], x[1]), x)
    loss = (a * a).sum() + b.sum() + ys.sum()
    program = kw.compile([x, w], [loss, *kw.grad(loss, [x, w])])
    assert len(program.program.loops) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("kept, inside", [(True, 2), (False, 3)])
def test_what_the_loops_multiply(kept: bool, inside: int) -> None:
    """The weight's gradient is one product after the loop; the forward loop's is made again unless kept."""
    x, w = kw.input("x", (9, None, 4)), kw.input("w", (4, 4))

    def step(h: Any, p: Any) -> Any:
        new = kw.tanh(h @ w + p)
        return new, new if kept else None

    final, _ = kw.scan(step, kw.zeros((x.shape[1], 4)), x)
    program = kw.compile([x, w], kw.grad((final * final).sum(), [x, w]))
    products = [k.times for k in program.kernels if "contract" in k.fused]
    assert (products.count(9), products.count(None)) == (inside, 1)


def test_training_through_time_learns() -> None:
    """A running parity of two bits back, which needs the state, from steps of gradient descent in one native call."""
    rng = np.random.default_rng(0)
    u, w, v = (
        kw.variable(n, rng.standard_normal(s) / 2, "float32")
        for n, s in (("u", (1, 16)), ("w", (16, 16)), ("v", (16, 1)))
    )
    x = kw.input("x", ("time", 32, 1))
    _, hs = kw.scan(lambda h, p: (new := kw.tanh(p @ u + h @ w), new), kw.as_tensor(np.zeros((32, 16), "f")), x)
    error = ((hs @ v)[2:] - x[:-2]) ** 2
    loss = error.mean()
    rate = 0.05
    updates = {p: p - rate * g for p, g in zip((u, w, v), kw.grad(loss, [u, w, v]))}
    step = kw.compile([x], [loss], updates)
    losses = step.run([rng.standard_normal((600, 9, 32, 1)).astype("f")], steps=600, per_step=[0])[0]
    assert losses[-20:].mean() < 0.5 * losses[:20].mean()
