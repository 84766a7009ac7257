"""grad, vjp and hvp: against finite differences and PyTorch, linear in the cotangent, and refused where none exist."""

from itertools import pairwise

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate

RNG = np.random.default_rng(5)
X, W = kw.input("x", (5, 3), "float64"), kw.input("w", (3, 4), "float64")
FEED = {X: RNG.normal(size=(5, 3)), W: RNG.normal(size=(3, 4))}


def network(x=X, w=W):
    return kw.tanh(x @ w) * kw.softmax(x @ w, 1) + kw.exp(-kw.abs(x[:, :1]))


def run(*outputs):
    return evaluate(outputs, FEED)


def test_vector_jacobian_products_agree_with_torch():
    torch = pytest.importorskip("torch")
    x, w = (torch.tensor(FEED[t], requires_grad=True) for t in (X, W))
    y = torch.tanh(x @ w) * torch.softmax(x @ w, 1) + torch.exp(-torch.abs(x[:, :1]))
    c = RNG.normal(size=(5, 4))
    want = torch.autograd.grad(y, [x, w], torch.tensor(c))
    for got, theirs in zip(run(*kw.vjp(network(), [X, W], c)), want):
        np.testing.assert_allclose(got, theirs, rtol=1e-12, atol=1e-14)


def test_hessian_vector_products_agree_with_torch():
    torch = pytest.importorskip("torch")
    v = [RNG.normal(size=FEED[t].shape) for t in (X, W)]

    def loss(x, w):
        y = torch.tanh(x @ w) * torch.softmax(x @ w, 1) + torch.exp(-torch.abs(x[:, :1]))
        return (y**2).sum()

    _, want = torch.autograd.functional.hvp(
        loss, tuple(torch.tensor(FEED[t]) for t in (X, W)), tuple(map(torch.tensor, v))
    )
    y = network()
    for got, theirs in zip(run(*kw.hvp((y * y).sum(), [X, W], v)), want):
        np.testing.assert_allclose(got, theirs, rtol=1e-10, atol=1e-12)


def test_hessian_is_symmetric():
    y = (network() ** 2).sum()
    u, v = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
    hu, hv = run(kw.hvp(y, W, u), kw.hvp(y, W, v))
    assert (hu * v).sum() == pytest.approx((hv * u).sum(), rel=1e-10)


def test_third_derivatives_by_finite_differences():
    x = kw.input("s", (), "float64")
    y = kw.sin(x * x) * kw.exp(x)
    derivatives = [y]
    for _ in range(3):
        derivatives.append(kw.grad(derivatives[-1], x))
    at, h = 0.7, 1e-5
    for lower, higher in pairwise(derivatives):
        up, down = (float(evaluate([lower], {x: np.asarray(at + d)})[0]) for d in (h, -h))
        assert float(evaluate([higher], {x: np.asarray(at)})[0]) == pytest.approx((up - down) / (2 * h), rel=1e-7)


def test_several_outputs_add_up_and_cotangents_are_linear():
    y, z = network(), (X * X).sum(1)
    c, d = RNG.normal(size=(5, 4)), RNG.normal(size=5)
    both, first, second, scaled = run(
        kw.vjp([y, z], X, [c, d]), kw.vjp(y, X, c), kw.vjp(z, X, d), kw.vjp([y, z], X, [c * 3, d * 3])
    )
    np.testing.assert_allclose(both, first + second, rtol=1e-12)
    np.testing.assert_allclose(scaled, both * 3, rtol=1e-12)


def test_one_tensor_for_one_and_a_list_for_a_list():
    y = (X * X).sum()
    assert isinstance(kw.grad(y, X), kw.Tensor)
    assert isinstance(kw.hvp(y, X, X), kw.Tensor) and len(kw.hvp(y, [X, W], [X, W])) == 2
    assert [g.shape for g in kw.grad(y, [X, W])] == [X.shape, W.shape]
    assert isinstance(kw.grad(y, (X,)), list)
    assert kw.grad(y, []) == []


def test_gradients_by_something_on_the_way():
    middle = kw.tanh(X)
    by_middle, by_x = kw.grad((middle * middle).sum(), [middle, X])
    a, b = run(by_middle, by_x)
    np.testing.assert_allclose(a, 2 * np.tanh(FEED[X]), rtol=1e-12)
    np.testing.assert_allclose(b, a * (1 - np.tanh(FEED[X]) ** 2), rtol=1e-12)


def test_what_an_output_does_not_depend_on_has_a_zero_gradient():
    positive = kw.stop_gradient((W > 0).astype("float64"))
    for y in (X.sum(), kw.stop_gradient(W * 2).sum() + X.sum(), kw.floor(W).sum(), positive.sum() + X.sum()):
        np.testing.assert_array_equal(run(kw.grad(y, W))[0], np.zeros((3, 4)))


@pytest.mark.parametrize(
    "op, y",
    [
        ("lt", lambda: (W > 0).astype("float64").sum() + X.sum()),
        ("lt", lambda: kw.where(kw.tanh(W) > 0, 1.0, 0.0).sum()),
        ("cast", lambda: W.astype("int32").astype("float64").sum()),
        ("cast", lambda: (kw.floor(W) * 2).astype("int32").sum().astype("float64")),
        ("argmax", lambda: kw.argmax(W, 1).astype("float64").sum()),
        ("argmax", lambda: kw.gather(X, kw.argmax(W, 0), 0).sum()),
    ],
)
def test_a_gradient_that_no_way_leads_to_is_refused(op, y):
    """PyTorch says that the result does not require grad, or that the tensor was not used."""
    with pytest.raises(kw.GradientError, match=rf"only through {op} .*no derivative.*stop_gradient") as error:
        kw.grad(y(), W)
    assert __file__ in str(error.value) and "\n" not in str(error.value)


def test_one_differentiable_way_is_enough():
    y = (kw.where(X > 0, X, 0.0) + (X > 1).astype("float64")).sum()
    np.testing.assert_array_equal(run(kw.grad(y, X))[0], FEED[X] > 0)


def test_second_derivatives_of_kinks_are_zero_and_not_refused():
    """The first derivatives are masks, which gradients make of comparisons."""
    v = np.ones((5, 3))
    for y in (kw.relu(X), kw.maximum(X, 0.1), kw.abs(X), X.max(1), kw.clip(X, -0.5, 0.5)):
        np.testing.assert_array_equal(run(kw.hvp(y.sum(), X, v))[0], 0 * v)


def test_the_gradient_of_a_tensor_by_itself_is_one():
    s = kw.input("s", ())
    assert kw.grad(s, s) is kw.as_tensor(1.0)


def test_gradients_keep_dtype_and_shape_through_casts():
    x = kw.input("x", (None, 3), "float32")
    g = kw.grad((x.astype("float64") * 0.1).sum(), x)
    assert (g.dtype, g.shape) == ("float32", x.shape)


@pytest.mark.parametrize("shape", [(3,), (None,), (1,), (1, 1)])
def test_the_gradient_of_more_than_a_number_is_refused(shape):
    y = kw.input("y", shape) * 2
    with pytest.raises(kw.ShapeError, match=r"scalar.*\.sum\(\).*kw\.vjp") as error:
        kw.grad(y, y)
    assert __file__ in str(error.value)


def test_integers_have_no_gradient():
    n = kw.input("n", (3,), "int32")
    with pytest.raises(kw.GradientError, match="not a float"):
        kw.grad(n.sum(), n)
    with pytest.raises(kw.GradientError, match=r"respect to.*not a float"):
        kw.grad((n * 1.5).sum(), n)
    with pytest.raises(kw.GradientError, match="not a float"):
        kw.grad((X > 0).astype("int32").sum(), X)
    with pytest.raises(kw.GradientError, match="not a float"):
        kw.vjp(kw.argmax(X, 1), X, np.ones(5, "int32"))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: kw.vjp(network(), X, np.ones((5, 3))),
        lambda: kw.vjp(network(), X, np.ones((5, 4, 1))),
        lambda: kw.vjp([network()], X, [np.ones((5, 4)), np.ones(3)]),
        lambda: kw.hvp((X * X).sum(), [X, W], [X]),
        lambda: kw.hvp((X * X).sum(), X, np.ones(2)),
        lambda: kw.hvp((W * W).sum(), W, np.ones(4)),
        lambda: kw.grad(1.0, X),
        lambda: kw.grad(X.sum(), "x"),
        lambda: kw.grad(X.sum(), [X, 1.0]),
    ],
)
def test_arguments_that_do_not_fit(wrong):
    with pytest.raises(kw.KernelwrightError) as error:
        wrong()
    assert __file__ in str(error.value)
