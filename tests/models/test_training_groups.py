"""Clipping, parameter groups, schedules and losses against PyTorch and NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models import snapshot

RNG = np.random.default_rng(5)
SHAPES = {"conv.weight": (4, 3), "conv.bias": (4,), "norm.scale": (4,)}
START = {name: RNG.standard_normal(shape).astype("float32") for name, shape in SHAPES.items()}
TARGET = {name: RNG.standard_normal(shape).astype("float32") * 3 for name, shape in SHAPES.items()}


def ours(make, change=lambda g: g, steps=4, device="reference"):
    """The parameters after some steps on the squared distance to TARGET."""
    p = [kw.variable(name, value) for name, value in START.items()]
    loss = sum((((v - kw.as_tensor(t)) ** 2).sum() for v, t in zip(p, TARGET.values())), start=kw.as_tensor(0.0))
    step = kw.compile([], [loss], make().updates(p, change(kw.grad(loss, p))), device=device)
    for _ in range(steps):
        step()
    return [kw.get_value(v) for v in p]


def theirs(torch, make, change=lambda p: None, steps=4):
    p = {name: torch.tensor(value, requires_grad=True) for name, value in START.items()}
    optimizer = make(p)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(((v - torch.tensor(TARGET[name])) ** 2).sum() for name, v in p.items()).backward()
        change(list(p.values()))
        optimizer.step()
    return [v.detach().numpy() for v in p.values()]


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_clipping_agrees_with_torch(limit, device):
    torch = pytest.importorskip("torch")
    clip = torch.nn.utils
    assert_same(
        ours(lambda: kw.optim.SGD(0.1), lambda g: kw.optim.clip_by_global_norm(g, limit), device=device),
        theirs(torch, lambda p: torch.optim.SGD(p.values(), 0.1), lambda p: clip.clip_grad_norm_(p, limit)),
    )
    assert_same(
        ours(lambda: kw.optim.SGD(0.1), lambda g: kw.optim.clip_by_value(g, limit), device=device),
        theirs(torch, lambda p: torch.optim.SGD(p.values(), 0.1), lambda p: clip.clip_grad_value_(p, limit)),
    )


@pytest.mark.parametrize("name", ["SGD", "AdamW", "Adam"])
def test_groups_agree_with_torch(name):
    torch = pytest.importorskip("torch")
    groups = [kw.optim.NO_DECAY, kw.optim.Group("*.weight", rate=0.5)]
    theirs_groups = lambda p: [  # noqa: E731
        {"params": [p["conv.bias"], p["norm.scale"]], "weight_decay": 0.0},
        {"params": [p["conv.weight"]], "lr": 0.05},
    ]
    assert_same(
        ours(lambda: getattr(kw.optim, name)(0.1, weight_decay=0.3, groups=groups)),
        theirs(torch, lambda p: getattr(torch.optim, name)(theirs_groups(p), lr=0.1, weight_decay=0.3)),
    )


def test_a_predicate_chooses_and_a_rate_of_zero_freezes():
    frozen = kw.optim.Group(lambda p: len(p.shape) == 1, rate=0.0)
    after = ours(lambda: kw.optim.SGD(0.1, momentum=0.9, groups=frozen))
    assert (after[0] != START["conv.weight"]).all()
    assert (after[1] == START["conv.bias"]).all() and (after[2] == START["norm.scale"]).all()


def test_what_cannot_be_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"chooses no parameter; there are conv\.weight, conv\.bias"):
        ours(lambda: kw.optim.SGD(0.1, groups=kw.optim.Group("*.biass")))
    with pytest.raises(ValueError, match="at least 0"):
        kw.optim.Group("*.bias", weight_decay=-1.0)
    with pytest.raises(ValueError, match="patterns such as"):
        kw.optim.Group([])
    with pytest.raises(ValueError, match="dict"):
        kw.optim.SGD(0.1, groups=[{"params": "x"}])
    with pytest.raises(ValueError, match="number above 0"):
        kw.optim.clip_by_global_norm([], 0)
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        kw.losses.CrossEntropy(1.0)


def test_label_smoothing_agrees_with_torch():
    torch = pytest.importorskip("torch")
    logits, labels = RNG.standard_normal((6, 5)).astype("float32"), RNG.integers(0, 5, 6).astype("int32")
    x, t = kw.input("x", (None, 5)), kw.input("t", (None,), "int32")
    value = kw.compile([x, t], [kw.losses.CrossEntropy(0.1)(x, t)], device="reference")(logits, labels)
    expected = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(torch.tensor(logits), torch.tensor(labels).long())
    np.testing.assert_allclose(value, expected.numpy(), rtol=1e-5)


def test_multi_step_agrees_with_torch():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    rates, expected = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5], 0.2), []
    for _ in range(8):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rates.step()
    schedule = kw.optim.MultiStep(0.1, (3, 5), 0.2)
    np.testing.assert_allclose([schedule.at(i) for i in range(8)], expected, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"cooldown": 2}, {"min_lr": 0.02}, {"mode": "max"}])
def test_a_plateau_agrees_with_torch(options):
    torch = pytest.importorskip("torch")
    values = [1.0, 0.9, 0.9, 0.95, 0.91, 0.89995, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    given = {"factor": 0.5, "patience": 1, "threshold": 1e-4}
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, threshold_mode="abs", **given, **options)
    mine = {"minimum" if k == "min_lr" else k: v for k, v in options.items()}
    schedule, expected, got = kw.optim.Plateau(0.1, monitor="loss", **given, **mine), [], []
    for value in values:
        reference.step(value)
        schedule.observe({"loss": value})
        expected.append(optimizer.param_groups[0]["lr"])
        got.append(schedule.at(0))
    assert len(set(expected)) > 2
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_optimizers_are_described_as_plain_data_and_made_again():
    rate = kw.optim.WarmUp(3, kw.optim.Plateau(kw.optim.MultiStep(0.1, (3, 5)), patience=2))
    optimizer = kw.optim.AdamW(rate, groups=[kw.optim.NO_DECAY, kw.optim.Group("a.*", rate=2.0)])
    again = snapshot.revive(snapshot.describe(optimizer))
    assert (again.learning_rate, again.groups) == (optimizer.learning_rate, optimizer.groups)
    assert [v.attrs.name for v in again.state()] == ["optimizer.step", "plateau.scale", "plateau.counts"]
    assert snapshot.describe(kw.optim.SGD(groups=kw.optim.Group(lambda p: True))) is None
