"""L-BFGS on functions whose minima are known, and its line search's conditions."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.line_search import CURVATURE, DECREASE, Point, strong_wolfe


def rosenbrock(start):
    """The sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2, which is 0 at ones (Rosenbrock 1960)."""
    x = kw.variable("x", np.array(start, "float64"), "float64")
    return x, (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize("start", [[-1.2, 1.0], [-1.2, 1.0] * 5, [3.0, -4.0, 2.5]])
def test_rosenbrock(start):
    x, loss = rosenbrock(start)
    optimizer = kw.optim.LBFGS(loss, [x])
    losses = optimizer.minimize(iterations=200)
    np.testing.assert_allclose(kw.get_value(x), 1, atol=1e-5)
    assert losses[-1] < 1e-10 and np.all(np.diff(losses) <= 0) and optimizer.calls < 250


def test_a_quadratic_reaches_what_linear_algebra_gives():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(20, 20))
    matrix, b = root @ root.T + np.eye(20), rng.normal(size=20)
    x = kw.variable("x", np.zeros(20), "float64")
    loss = 0.5 * (x * (kw.as_tensor(matrix) @ x)).sum() - (x * kw.as_tensor(b)).sum()
    kw.optim.LBFGS(loss, [x], history=20).minimize(iterations=200, tolerance=0)
    np.testing.assert_allclose(kw.get_value(x), np.linalg.solve(matrix, b), rtol=1e-5, atol=1e-7)


def test_several_variables_and_inputs_in_float32():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(200, 3)).astype("float32")
    truth = points @ np.array([[1.0], [-2.0], [0.5]], "float32") + 3
    x, t = kw.input("x", (None, 3)), kw.input("t", (None, 1))
    w, b = kw.variable("w", np.zeros((3, 1), "float32")), kw.variable("b", np.zeros(1, "float32"))
    optimizer = kw.optim.LBFGS(((x @ w + b - t) ** 2).mean(), [w, b], [x, t])
    seen = []
    losses = optimizer.minimize(points, truth, watch=lambda step, loss: seen.append((step, loss)))
    np.testing.assert_allclose(kw.get_value(w)[:, 0], [1, -2, 0.5], atol=1e-3)
    np.testing.assert_allclose(kw.get_value(b), 3, atol=1e-3)
    assert seen == list(enumerate(losses, 1))


def test_a_function_with_walls_of_infinity():
    """-log x - log(1 - x) is infinite or NaN outside of (0, 1): steps end inside, at 1/2."""
    x = kw.variable("x", np.array(1e-3), "float64")
    kw.optim.LBFGS(-kw.log(x) - kw.log(1 - x), [x]).minimize()
    np.testing.assert_allclose(kw.get_value(x), 0.5, atol=1e-6)


def test_a_start_that_is_not_finite_and_wrong_arguments():
    x = kw.variable("x", np.array(-1.0), "float64")
    with pytest.raises(kw.InputError, match="loss is nan"):
        kw.optim.LBFGS(kw.log(x), [x]).step()
    with pytest.raises(ValueError, match="the loss is a scalar"):
        kw.optim.LBFGS(kw.variable("y", np.zeros(3)) * 2, [x])
    with pytest.raises(ValueError, match="variables of floats"):
        kw.optim.LBFGS(x * 2, [x * 3])
    with pytest.raises(ValueError, match="LBFGS is for one batch"):
        kw.Trainer(kw.models.build("perceptron"), optimizer=kw.optim.LBFGS(x * x, [x]))


@pytest.mark.parametrize("first", [1e-3, 0.3, 1.0, 50.0])
@pytest.mark.parametrize(
    "function",
    [
        lambda a: ((a - 2) ** 2, 2 * (a - 2)),
        lambda a: (-a / (a * a + 2), (a * a - 2) / (a * a + 2) ** 2),  # More and Thuente 1994, function 1
        lambda a: (np.cosh(a - 1), np.sinh(a - 1)),
    ],
)
def test_the_line_search_meets_both_conditions(function, first):
    start = Point(0.0, *function(0.0))
    found = strong_wolfe(lambda a: Point(a, *function(a)), start, first, 50)
    assert found.value <= start.value + DECREASE * found.length * start.slope
    assert abs(found.slope) <= -CURVATURE * start.slope


def test_what_was_evaluated_where_a_step_ended_is_not_evaluated_again():
    """Steps one by one know nothing of each other; `minimize` goes the same way in fewer evaluations, unless `watch`
    moves the variables."""
    x, loss = rosenbrock([-1.2, 1.0])
    alone = kw.optim.LBFGS(loss, [x])
    losses = [alone.step() for _ in range(12)]
    kw.set_value(x, [-1.2, 1.0])
    together = kw.optim.LBFGS(loss, [x])
    assert together.minimize(iterations=12) == losses
    assert together.calls == alone.calls - 11
    kw.set_value(x, [-1.2, 1.0])
    moved = kw.optim.LBFGS(loss, [x])
    start = [float(loss_at) for loss_at in moved.minimize(iterations=2, watch=lambda *_: kw.set_value(x, [1.0, 1.0]))]
    assert start == [losses[0], 0.0]


def test_a_step_that_is_interrupted_leaves_the_variables_where_they_were(monkeypatch):
    x, loss = rosenbrock([-1.2, 1.0])
    optimizer = kw.optim.LBFGS(loss, [x])
    optimizer.step()
    before, evaluate = kw.get_value(x), optimizer._evaluate

    def interrupted(place, arrays):
        result = evaluate(place, arrays)
        if optimizer.calls % 5 == 0:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(optimizer, "_evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        for _ in range(5):
            before = kw.get_value(x)
            optimizer.step()
    np.testing.assert_array_equal(kw.get_value(x), before)
