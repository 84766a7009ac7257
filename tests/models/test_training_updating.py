"""Averages, accumulation and clipping in the training program, against NumPy, PyTorch and bigger batches."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from small_network import small

import kernelwright as kw
from kernelwright.models import batches
from kernelwright.models.diagnose import DivergenceError
from kernelwright.runtime.checkpoint import CheckpointError


def linear():
    return kw.models.Model("linear", kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(4)), (1, 8, 8), 4)


def parameters(t):
    return [kw.get_value(p) for p in t.model.parameters()]


def everything(t):
    return [kw.get_value(v) for v in t._variables()]


def assert_same_bits(a, b):
    for x, y in zip(everything(a), everything(b), strict=True):
        np.testing.assert_array_equal(x, y)


def torch_linear(torch, t):
    weight, bias = (torch.tensor(v, requires_grad=True) for v in parameters(t))

    def loss(images, labels):
        logits = torch.tensor(images).reshape(len(images), -1) @ weight.T + bias
        return torch.nn.functional.cross_entropy(logits, torch.tensor(labels).long())

    return [weight, bias], loss


def test_averages_follow_the_parameters_and_serve_evaluation(device, problem):
    t = kw.Trainer(linear(), kw.optim.SGD(0.5), device=device, batch=16, threads=1, ema=0.8)
    expected = parameters(t)
    for i in range(4):
        t.step(problem[0][16 * i : 16 * i + 16], problem[1][16 * i : 16 * i + 16])
        expected = [0.8 * a + 0.2 * p for a, p in zip(expected, parameters(t))]
    averages = [kw.get_value(a) for a in t._averages().values()]
    for got, wanted in zip(averages, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    logits = problem[0].reshape(70, -1) @ expected[0].T + expected[1]
    accuracy = float((logits.argmax(1) == problem[1]).mean())
    assert t.evaluate(problem)["accuracy"] == pytest.approx(accuracy)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(t.predict(problem[0]), p, rtol=1e-4, atol=1e-5)
    t.use_averages()
    for got, wanted in zip(parameters(t), averages, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("options", [{"clip_norm": 0.05}, {"clip_value": 0.002}])
def test_clipping_in_the_trainer_agrees_with_torch(options, problem):
    torch = pytest.importorskip("torch")
    t = kw.Trainer(linear(), kw.optim.SGD(0.5, momentum=0.9), device="reference", **options)
    theirs, loss = torch_linear(torch, t)
    optimizer = torch.optim.SGD(theirs, 0.5, momentum=0.9)
    for _ in range(4):
        t.step(*problem)
        optimizer.zero_grad()
        loss(*problem).backward()
        if "clip_norm" in options:
            assert torch.nn.utils.clip_grad_norm_(theirs, options["clip_norm"]) > options["clip_norm"]
        else:
            torch.nn.utils.clip_grad_value_(theirs, options["clip_value"])
        optimizer.step()
    for got, wanted in zip(parameters(t), theirs, strict=True):
        np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_accumulation_equals_the_big_batch_even_where_the_last_one_is_smaller(device, problem):
    given = {"device": device, "threads": 1, "clip_norm": 0.1, "ema": 0.9}
    whole = kw.Trainer(linear(), kw.optim.Adam(0.02), batch=24, **given)
    parts = kw.Trainer(linear(), kw.optim.Adam(0.02), batch=8, accumulate=3, **given)
    for t in (whole, parts):  # 70 examples: batches of 24, 24, 22, and the last in parts of 8, 8, 6
        t.fit(problem, epochs=2, progress=False)
    assert kw.get_value(parts.optimizer.counter) == kw.get_value(whole.optimizer.counter) == 6
    for got, wanted in zip(everything(parts), everything(whole)):  # those that both have come first
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    assert parts.history[-1]["loss"] == pytest.approx(whole.history[-1]["loss"], rel=1e-3)
    assert all((kw.get_value(v) == 0).all() for v in parts._graph.state if "accumulated" in v.attrs.name)


def test_a_run_interrupted_within_a_group_of_micro_batches_resumes_with_the_same_bits(device, problem, tmp_path):
    network = small if device == "reference" else linear

    def make():
        rate = kw.optim.Plateau(0.02, patience=0, factor=0.5, monitor="loss", threshold=10.0)
        return kw.Trainer(
            network(), kw.optim.Adam(rate), device=device, threads=1, batch=8, accumulate=4, ema=0.9, clip_value=0.1
        )

    whole, part, path = make(), make(), tmp_path / "run.safetensors"
    whole.fit(problem, epochs=4, progress=False)

    class Stop(kw.Callback):
        def after_steps(self, t):
            if t.epoch == 2 and t.position == 2:
                os.kill(os.getpid(), signal.SIGINT)

    part._pace = batches.Pace(most=1)
    with pytest.raises(KeyboardInterrupt):
        part.fit(problem, epochs=4, checkpoint=path, callbacks=[Stop()], progress=False)
    rest = kw.Trainer.resume(path, network(), device=device, threads=1)
    assert (rest.epoch, rest.position, rest.updating) == (2, 2, part.updating)
    assert any((kw.get_value(v) != 0).any() for v in rest._graph.state if "accumulated" in v.attrs.name)
    rest.fit(problem, epochs=4, progress=False)
    assert_same_bits(whole, rest)
    rates = [r["learning_rate"] for r in rest.history]
    assert rates == [r["learning_rate"] for r in whole.history]
    np.testing.assert_allclose(rates, [0.02, 0.02, 0.01, 0.005], rtol=1e-6)


def test_the_recipe_counts_updates_not_micro_batches(problem):
    t = kw.Trainer(linear(), device="reference", batch=8, accumulate=3)
    t.fit(problem, epochs=1, progress=False)
    assert t.optimizer.learning_rate.steps == 3


def test_label_smoothing_is_resumed(problem, tmp_path):
    path = tmp_path / "a.safetensors"
    t = kw.Trainer(linear(), kw.optim.SGD(), kw.losses.CrossEntropy(0.3), "reference")
    t.fit(problem, 1, checkpoint=path, progress=False)
    again = kw.Trainer.resume(path, linear(), device="reference")
    assert again.loss == kw.losses.CrossEntropy(0.3) and again.evaluate(problem) == t.evaluate(problem)


def test_what_cannot_be_is_refused(problem, tmp_path):
    for options, words in [
        ({"ema": 1.0}, "between 0 and 1"),
        ({"accumulate": 0}, "whole number of at least 1"),
        ({"clip_norm": -1}, "clip_norm: the limit is a number above 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            kw.Trainer(linear(), **options)
    t = kw.Trainer(linear(), kw.optim.SGD(), device="reference", ema=0.9)
    with pytest.raises(ValueError, match="there are none"):
        t.use_averages()
    with pytest.raises(ValueError, match="give fit validation data"):
        kw.Trainer(linear(), kw.optim.SGD(kw.optim.Plateau(0.1)), device="reference").fit(problem, 1, progress=False)
    t.save(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"ema=0\.9.*ema=0\.5"):
        kw.Trainer(linear(), kw.optim.SGD(), device="reference", ema=0.5).load(tmp_path / "a.safetensors")


def test_a_loss_that_is_not_finite_is_found_among_micro_batches(problem):
    def root(x):
        return kw.sqrt(x - 0.7)

    net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(8), root, kw.nn.Dense(4))
    model = kw.models.Model("bad", net, (1, 8, 8), 4)
    t = kw.Trainer(model, kw.optim.SGD(0.1), device="reference", batch=16, accumulate=2, ema=0.9)
    with pytest.raises(DivergenceError, match=r"epoch 1, step 1: .*sqrt.* in layer root1"):
        t.fit(problem, epochs=1, progress=False)
