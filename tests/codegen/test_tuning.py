"""Measured tuning: what is tried, that the fastest is taken and remembered, and that the program computes the same."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu import tuning
from kernelwright.compiler.targets.cpu.machine import targeting
from kernelwright.compiler.targets.shared.inspect import tuning_table
from kernelwright.runtime import KernelCache

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Nothing was measured yet; kernels compiled by other tests are there."""
    cache = KernelCache(tmp_path)
    monkeypatch.setattr(tuning, "kernel_cache", lambda: cache)
    monkeypatch.setattr(tuning, "MOST", 3)  # fewer kernels to compile
    return cache


def product(columns: int = 40):
    x, w = kw.input("x", (None, 24)), kw.input("w", (24, columns))
    return [x, w], [kw.tanh(x @ w)]


def arrays():
    rng = np.random.default_rng(0)
    return rng.random((37, 24), np.float32), rng.random((24, 40), np.float32)


def times(monkeypatch, fastest: int, ratio: float = 0.5) -> None:
    """Measurements in which the candidate of that number is once twice as fast as the others, `ratio` in the median."""

    def measured(variants, sources, objects, threads):
        return tuple(
            tuning.Trial(tuning.show(v.schedule, v), v.schedule.cost, *((0.5, ratio) if i == fastest else (1.0, 1.0)))
            for i, v in enumerate(variants)
        )

    monkeypatch.setattr(tuning, "_measured", measured)


def test_the_fastest_candidate_is_what_runs(monkeypatch):
    model = kw.compile(*product())
    times(monkeypatch, fastest=2)
    tuned = kw.compile(*product(), tune=True)
    (found,) = tuned.tuned
    assert found.trials[0].schedule in {k.schedule for k in model.kernels}
    assert found.best is found.trials[2] and found.gain == 2.0
    assert found.best.schedule in {k.schedule for k in tuned.kernels}
    x, w = arrays()
    np.testing.assert_allclose(tuned(x, w), np.tanh(x @ w), rtol=1e-5)
    assert "1 of 1 contractions changed" in tuning_table(tuned)


def test_the_models_choice_stays_where_nothing_is_clearly_faster(monkeypatch):
    monkeypatch.setattr(tuning, "GAIN", 0.4)
    times(monkeypatch, fastest=1)
    tuned = kw.compile(*product(), tune=True)
    assert tuned.tuned[0].best is tuned.tuned[0].trials[0] and tuned.tuned[0].gain == 1.0
    assert "0 of 1 contractions changed" in tuning_table(tuned)


def test_one_lucky_measurement_changes_nothing(monkeypatch):
    times(monkeypatch, fastest=1, ratio=1.02)
    tuned = kw.compile(*product(), tune=True)
    assert tuned.tuned[0].best is tuned.tuned[0].trials[0]


def test_what_was_measured_is_remembered_for_kernels_alike(monkeypatch):
    times(monkeypatch, fastest=1)
    first = kw.compile(*product(), tune=True)

    def never(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(tuning, "_measured", never)
    assert kw.compile(*product(), tune=True).tuned == first.tuned
    for other in ({"typical": {"batch": 7}}, {"threads": 3}):
        with pytest.raises(AssertionError, match="measured again"):
            kw.compile(*product(), tune=True, **other)


def test_kernels_alike_are_measured_once(monkeypatch):
    times(monkeypatch, fastest=1)
    x, seen = kw.input("x", (None, 32)), []
    a, b = (kw.input(name, (32, 32)) for name in "ab")
    tuned = kw.compile([x, a, b], [kw.tanh(x @ a), kw.tanh(x @ b)], tune=lambda *progress: seen.append(progress))
    assert [len(t.kernels) for t in tuned.tuned] == [2]
    assert [progress[1:] for progress in seen] == [(0, 1), (1, 1)]
    chosen = {k.schedule for k in tuned.kernels if "contract" in k.name}
    assert chosen == {tuned.tuned[0].best.schedule}


def test_candidates_are_measured_on_buffers_of_the_typical_sizes(monkeypatch):
    monkeypatch.setattr(tuning, "ROUNDS", 1)
    monkeypatch.setattr(tuning, "SECONDS", 1e-4)
    inputs, outputs = product()
    tuned = kw.compile(inputs, outputs, tune=True, typical={"batch": 50}, threads=2)
    assert all(t.seconds > 0 for t in tuned.tuned[0].trials) and len(tuned.tuned[0].trials) == 3
    x, w = arrays()
    np.testing.assert_allclose(tuned(x, w), np.tanh(x @ w), rtol=1e-5)


def test_updates_in_place_and_labels_can_be_timed(monkeypatch):
    monkeypatch.setattr(tuning, "MOST", 2)
    monkeypatch.setattr(tuning, "ROUNDS", 1)
    monkeypatch.setattr(tuning, "SECONDS", 1e-4)
    x, t = kw.input("x", (None, 12)), kw.input("t", (None,), "int32")
    net = kw.nn.Sequential(kw.nn.Dense(20), kw.relu, kw.nn.Dropout(0.5), kw.nn.Dense(5))
    loss = kw.losses.cross_entropy(net(x, training=True), t)
    optimizer = kw.optim.SGD(0.1, momentum=0.9)
    updates = optimizer.updates(net.parameters(), kw.grad(loss, net.parameters()))
    step = kw.compile([x, t], [loss], updates, tune=True)
    rng = np.random.default_rng(0)
    before = step(rng.random((9, 12), np.float32), rng.integers(0, 5, 9).astype("int32"))
    assert np.isfinite(before) and len(step.tuned) >= 3


def test_a_users_text_comes_after_tuning(monkeypatch):
    times(monkeypatch, fastest=1)
    program = kw.compile(*product(), tune=True, schedules={"*contract*": "outer tile 3x1"})
    assert any(k.schedule.startswith("outer tile 3x1") for k in program.kernels)


def test_kernels_for_another_machine_are_not_timed():
    with targeting("neoverse-n1"), pytest.raises(kw.CompileError, match="neoverse-n1 cannot be timed on this machine"):
        kw.compile(*product(), tune=True)
