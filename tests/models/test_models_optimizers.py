"""Optimizers and schedules against PyTorch, initialisers by their moments."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kernelwright as kw

RULES = [
    ("SGD", {}, {}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.01}, {}),
    ("SGD", {"momentum": 0.9, "nesterov": True}, {}),
    ("RMSprop", {"weight_decay": 0.01}, {}),
    ("RMSprop", {"momentum": 0.9}, {}),
    ("Adagrad", {"weight_decay": 0.1}, {}),
    ("Adam", {"weight_decay": 0.01}, {}),
    ("AdamW", {"weight_decay": 0.1}, {}),
    ("Adadelta", {"weight_decay": 0.1}, {}),
    ("Adamax", {"weight_decay": 0.1}, {}),
    ("NAdam", {"weight_decay": 0.1}, {}),
    ("RAdam", {"weight_decay": 0.1}, {}),
    ("RAdam", {"betas": (0.8, 0.6)}, {}),
]


@pytest.mark.parametrize("name, options, extra", RULES)
def test_five_steps_agree_with_torch(name, options, extra, device):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    start, target = rng.standard_normal((2, 3, 5)).astype("float32")
    p = kw.variable("p", start)
    optimizer = getattr(kw.optim, name)(0.05, **options)
    loss = ((p - kw.as_tensor(target)) ** 2).sum()
    step = kw.compile([], [loss], optimizer.updates([p], kw.grad(loss, [p])), device=device)
    theirs = torch.tensor(start, requires_grad=True)
    reference = getattr(torch.optim, name)([theirs], lr=0.05, **options)
    for _ in range(5):
        step()
        reference.zero_grad()
        ((theirs - torch.tensor(target)) ** 2).sum().backward()
        reference.step()
    np.testing.assert_allclose(kw.get_value(p), theirs.detach().numpy(), rtol=2e-5, atol=2e-6)
    assert kw.get_value(optimizer.state()[0]) == 5


@pytest.mark.parametrize("name, options, extra", RULES)
def test_ten_steps_in_float64_agree_with_torch(name, options, extra):
    """A rate that float32 has exactly, and no weight decay: what is left are the corrections of Adam's family, by
    float32 numbers of steps."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    start, target = rng.standard_normal((2, 3, 5))
    options = {**options, "weight_decay": 0.0}
    p = kw.variable("p", start)
    optimizer = getattr(kw.optim, name)(0.0625, **options)
    loss = ((p - kw.as_tensor(target)) ** 2).sum()
    step = kw.compile([], [loss], optimizer.updates([p], kw.grad(loss, [p])), device="reference")
    theirs = torch.tensor(start, requires_grad=True)
    reference = getattr(torch.optim, name)([theirs], lr=0.0625, **options)
    for _ in range(10):
        step()
        reference.zero_grad()
        ((theirs - torch.tensor(target)) ** 2).sum().backward()
        reference.step()
    moved = np.abs(theirs.detach().numpy() - start).max()
    assert moved > 1e-4
    np.testing.assert_allclose(kw.get_value(p), theirs.detach().numpy(), rtol=0, atol=2e-7 * moved)


def test_lion_takes_steps_of_one_size():
    """Chen et al. 2023, algorithm 2, in NumPy."""
    rng = np.random.default_rng(2)
    value, target = rng.standard_normal((2, 3, 5)).astype("float32")
    p = kw.variable("p", value)
    loss = ((p - kw.as_tensor(target)) ** 2).sum()
    step = kw.compile([], [loss], kw.optim.Lion(0.1, weight_decay=0.5).updates([p], kw.grad(loss, [p])))
    momentum = np.zeros_like(value)
    for _ in range(8):
        step()
        g = 2 * (value - target)
        value = value * (1 - 0.1 * 0.5) - 0.1 * np.sign(0.9 * momentum + 0.1 * g)
        momentum = 0.99 * momentum + 0.01 * g
    np.testing.assert_allclose(kw.get_value(p), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["Lion", "NAdam", "RAdam", "Adadelta", "Adamax"])
def test_a_resumed_run_goes_on_with_the_same_bits(name, tmp_path):
    rng = np.random.default_rng(0)
    data = rng.random((48, 1, 2, 3), dtype="float32"), rng.integers(0, 2, 48).astype("int32")

    def trainer():
        net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(2))
        with kw.init.seeded(1):
            model = kw.models.Model("small", net, (1, 2, 3), 2)
        return kw.Trainer(model, getattr(kw.optim, name)(0.01), batch=16, device="reference")

    whole, first = trainer(), trainer()
    whole.fit(data, epochs=3, progress=False)
    path = tmp_path / "run.safetensors"
    first.fit(data, epochs=2, checkpoint=path, progress=False)
    again = kw.Trainer.resume(path, trainer().model, device="reference")
    again.fit(data, epochs=3, progress=False)
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert (kw.get_value(one) == kw.get_value(other)).all()


def test_optimizers_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="momentum"):
        kw.optim.SGD(nesterov=True)
    with pytest.raises(ValueError, match="learning rate"):
        kw.optim.SGD(-1.0)
    with pytest.raises(ValueError, match="gradients"):
        kw.optim.SGD().updates([kw.variable("p", np.zeros(2, "float32"))], [])


def test_schedules_agree_with_torch():
    torch = pytest.importorskip("torch")
    rates = torch.optim.lr_scheduler
    pairs = [
        (kw.optim.Step(0.1, 3, 0.5), lambda o: rates.StepLR(o, 3, 0.5)),
        (kw.optim.MultiStep(0.1, (6, 2), 0.5), lambda o: rates.MultiStepLR(o, [2, 6], 0.5)),
        (kw.optim.Exponential(0.1, 0.9), lambda o: rates.ExponentialLR(o, 0.9)),
        (kw.optim.Cosine(0.1, 9), lambda o: rates.CosineAnnealingLR(o, 9)),
        (kw.optim.Polynomial(0.1, 9, 2.0), lambda o: rates.PolynomialLR(o, 9, 2.0)),
        (kw.optim.OneCycle(0.1, 10), lambda o: rates.OneCycleLR(o, 0.1, total_steps=10)),
    ]
    for ours, make in pairs:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        theirs, expected = make(optimizer), []
        for _ in range(9):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            theirs.step()
        np.testing.assert_allclose([ours.at(i) for i in range(9)], expected, rtol=1e-4, atol=1e-7, err_msg=str(ours))


def test_warm_up_rises_to_the_schedule_that_follows():
    schedule = kw.optim.WarmUp(4, kw.optim.Cosine(1.0, 10))
    np.testing.assert_allclose([schedule.at(i) for i in range(5)], [0.2, 0.4, 0.6, 0.8, 1.0], rtol=1e-6)
    assert schedule.at(9) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    "name, variance",
    [
        ("fan_in_uniform", 1 / (3 * 72)),
        ("glorot_uniform", 2 / (72 + 1440)),
        ("glorot_normal", 2 / (72 + 1440)),
        ("he_uniform", 2 / 72),
        ("he_normal", 2 / 72),
        ("lecun_uniform", 1 / 72),
        ("lecun_normal", 1 / 72),
    ],
)
def test_initialisers_have_the_variance_of_their_formula(name, variance):
    values = getattr(kw.init, name)((160, 8, 3, 3), np.random.default_rng(3))
    assert values.dtype == np.float32
    assert abs(values.mean()) < 4 * math.sqrt(variance / values.size)
    assert values.var() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 2, 3, 3)])
def test_orthogonal(shape):
    w = kw.init.orthogonal(2.0)(shape, np.random.default_rng(4)).reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_seeds_decide_the_parameters():
    values = [kw.get_value(kw.models.mlp(seed=seed).parameters()[0]) for seed in (1, 1, 2)]
    assert (values[0] == values[1]).all() and (values[0] != values[2]).any()
