"""Historical networks: their published parameter counts, their own rules and losses, and that they learn."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw

RNG = np.random.default_rng(11)

COUNTS = {
    "perceptron": 7_850,
    "rosenblatt": 7_850,
    "mlp1986": 784 * 64 + 64 + 64 * 10 + 10,
    "linear_svm": 785,
    "svm": 7_850,
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    assert kw.models.build(name).size() == COUNTS[name]


def value_and_gradient(loss, scores, targets):
    s, t = kw.input("s", scores.shape, str(scores.dtype)), kw.input("t", targets.shape, "int32")
    value = loss(s, t)
    return kw.compile([s, t], [value, *kw.grad(value, [s])], device="reference")(scores, targets)


# ------------------------------------------------------------------ Rosenblatt's rule
def separable(count=60, classes=3, features=5):
    """Points that a linear rule separates by a margin, and their classes."""
    rule = RNG.standard_normal((classes, features))
    points = RNG.standard_normal((count * 20, features)).astype("float32")
    scores = points @ rule.T
    top = np.sort(scores, 1)
    clear = top[:, -1] - top[:, -2] > 0.8
    return points[clear][:count], scores.argmax(1)[clear][:count].astype("int32"), rule


def by_hand(points, labels, classes, passes):
    """Rosenblatt's rule in Kessler's form, example by example: weights, biases, and the mistakes of each pass."""
    w, b = np.zeros((classes, points.shape[1]), "float32"), np.zeros(classes, "float32")
    mistakes = []
    for p in range(passes):
        mistakes.append(0)
        for i in kw_order(len(points), p):
            won = int((points[i] @ w.T + b).argmax())
            if won != labels[i]:
                mistakes[-1] += 1
                w[labels[i]] += points[i]
                w[won] -= points[i]
                b[labels[i]] += 1
                b[won] -= 1
    return w, b, mistakes


def kw_order(count, epoch):
    from kernelwright.models import batches

    return batches.order(count, 0, epoch)


def test_rosenblatts_rule_is_the_recipe_and_converges_on_separable_data(device):
    points, labels, rule = separable()
    model = kw.models.rosenblatt(3, (5,))
    trainer = kw.Trainer(model, device=device, threads=1)
    history = trainer.fit((points, labels), epochs=15, progress=False)
    w, b, mistakes = by_hand(points, labels, 3, 15)
    for p, expected in zip(model.parameters(), (w, b), strict=True):
        np.testing.assert_allclose(kw.get_value(p), expected, rtol=1e-4, atol=1e-4)
    assert [round((1 - h["accuracy"]) * len(points)) for h in history] == mistakes
    assert mistakes[0] > 0 and mistakes[-1] == 0
    unit = rule / np.linalg.norm(rule)
    wins = points @ unit.T
    own = wins[np.arange(len(labels)), labels]
    margin = (own[:, None] - np.where(np.eye(3)[labels] > 0, -np.inf, wins)).min()
    radius = 2 * ((points**2).sum(1).max() + 1)
    assert sum(mistakes) <= radius / margin**2  # Novikoff's bound, in the space of Kessler's construction


def test_rosenblatts_rule_changes_nothing_without_a_mistake():
    scores = np.array([[3.0, 1.0, 2.0], [0.0, -1.0, -2.0], [1.0, 5.0, 2.0]])
    value, gradient = value_and_gradient(kw.losses.perceptron, scores, np.array([0, 0, 2], "int32"))
    assert value == pytest.approx((5 - 2) / 3)
    np.testing.assert_allclose(gradient, np.array([[0, 0, 0], [0, 0, 0], [0, 1, -1]]) / 3)


# ------------------------------------------------------------------ losses
def margins(scores, targets):
    rows = np.arange(len(targets))
    m = 1 + scores - scores[rows, targets][:, None]
    m[rows, targets] = 0
    return m


@pytest.mark.parametrize("squared", [False, True])
def test_hinges(squared):
    scores, targets = RNG.standard_normal((6, 4)), RNG.integers(0, 4, 6).astype("int32")
    power, m = 1 + squared, margins(scores, targets)
    value, gradient = value_and_gradient(lambda s, t: kw.losses.weston_watkins(s, t, squared), scores, targets)
    assert value == pytest.approx((np.maximum(m, 0) ** power).sum(1).mean())
    np.testing.assert_allclose(gradient.sum(1), 0, atol=1e-7)
    value, _ = value_and_gradient(lambda s, t: kw.losses.crammer_singer(s, t, squared), scores, targets)
    assert value == pytest.approx((np.maximum(m.max(1), 0) ** power).mean())
    sign = np.where(np.eye(4)[targets] > 0, 1, -1)
    value, _ = value_and_gradient(lambda s, t: kw.losses.hinge(s, t, squared), scores, targets)
    assert value == pytest.approx((np.maximum(0, 1 - sign * scores) ** power).sum(1).mean())


@pytest.mark.parametrize("squared", [False, True])
def test_hinges_agree_with_torch(squared):
    torch = pytest.importorskip("torch")
    scores, targets = RNG.standard_normal((6, 4)), RNG.integers(0, 4, 6).astype("int32")
    theirs = torch.tensor(scores, requires_grad=True)
    loss = torch.nn.functional.multi_margin_loss(theirs, torch.tensor(targets).long(), p=1 + squared) * 4
    loss.backward()
    value, gradient = value_and_gradient(lambda s, t: kw.losses.weston_watkins(s, t, squared), scores, targets)
    assert value == pytest.approx(loss.item(), rel=1e-6)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-6, atol=1e-7)


def test_squared_error_and_cross_entropy_with_rejection():
    y, t = RNG.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0], "int32")
    value, gradient = value_and_gradient(lambda s, c: kw.losses.squared_error(s, c, 1, -1), y, t)
    desired = np.where(np.eye(3)[t] > 0, 1.0, -1.0)
    assert value == pytest.approx(0.5 * ((y - desired) ** 2).sum(1).mean())
    np.testing.assert_allclose(gradient, (y - desired) / 5, rtol=1e-6)
    penalties = y**2
    value, _ = value_and_gradient(lambda s, c: kw.losses.cross_entropy_with_rejection(-s, c, 0.1), penalties, t)
    paper = penalties[np.arange(5), t] + np.log(np.exp(-0.1) + np.exp(-penalties).sum(1))
    assert value == pytest.approx(paper.mean(), rel=1e-6)


def test_losses_name_shapes_that_do_not_pair():
    s, t = kw.input("s", (None, 3)), kw.input("t", (None, 3), "int32")
    with pytest.raises(kw.ShapeError, match=r"perceptron: .*\(batch, 3\)"):
        kw.losses.perceptron(s, t)
    with pytest.raises(ValueError, match="one-vs-rest, weston-watkins"):
        kw.models.svm(margin="hard")
    with pytest.raises(ValueError, match=r"kw\.losses has no loss 'hubris'"):
        kw.models.Recipe(loss="hubris")


# ------------------------------------------------------------------ machines
@pytest.mark.parametrize("margin", ["one-vs-rest", "weston-watkins", "crammer-singer"])
@pytest.mark.parametrize("squared", [False, True])
def test_svm_learns(margin, squared, problem):
    model = kw.models.svm(4, (1, 8, 8), margin, squared)
    trainer = kw.Trainer(model, device="reference")
    history = trainer.fit(problem, epochs=40, progress=False)
    assert history[0]["loss"] > history[-1]["loss"] and history[-1]["accuracy"] > 0.95


def test_the_binary_svm_minimises_its_objective(device):
    """Against subgradient descent in NumPy from the same start."""
    points = RNG.standard_normal((20, 3)).astype("float32")
    labels = (points @ np.array([1.0, -2.0, 0.5]) > 0.2).astype("int32")
    y, decay, rate = labels * 2.0 - 1, 0.1, 0.05
    model = kw.models.linear_svm((3,))
    optimizer = kw.optim.SGD(rate, weight_decay=decay)
    trainer = kw.Trainer(model, optimizer, device=device, batch=20)
    w, b = np.zeros(3), 0.0
    for _ in range(8):
        value = trainer.step(points, labels)
        slack = 1 - y * (points @ w + b)
        assert value == pytest.approx(np.maximum(slack, 0).mean(), rel=1e-5, abs=1e-6)
        active = (slack > 0) * y
        w, b = w - rate * (decay * w - active @ points / 20), b - rate * (decay * b - active.mean())
    weight, bias = map(kw.get_value, model.parameters())
    np.testing.assert_allclose(np.append(weight[0], bias), np.append(w, b), rtol=1e-4, atol=1e-6)


def test_the_mlp_of_1986_learns_exclusive_or():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    model = kw.models.mlp1986(2, (2,), (4,), seed=1)
    trainer = kw.Trainer(model, kw.optim.SGD(2.0, momentum=0.9), device="reference", batch=4)
    history = trainer.fit((x, np.array([0, 1, 1, 0], "int32")), epochs=400, progress=False)
    assert history[-1]["accuracy"] == 1.0 and history[-1]["loss"] < 0.05
