"""Runs that go on: beyond their first number of epochs, after a signal, from a checkpoint, or not at all."""

import os
import signal

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError
from kernelwright.models.resuming import check_data
from kernelwright.runtime.checkpoint import CheckpointError

RNG = np.random.default_rng(5)
DATA = RNG.random((24, 1, 28, 28), dtype="float32"), RNG.integers(0, 10, 24)


def made(**options):
    return kw.Trainer(kw.models.build("perceptron"), device="reference", batch=8, **options)


def rates(trainer):
    return [record["learning_rate"] for record in trainer.history]


def cosine(step, steps, first):
    return first * (1 + np.cos(np.pi * step / steps)) / 2


def recipe_of(trainer):
    return trainer.model.recipe


@pytest.fixture
def small(monkeypatch):
    """A trainer whose recipe is a cosine from 0.5."""
    t = made()
    t.model.recipe = kw.models.Recipe(learning_rate=0.5, epochs=2)
    return t


def test_a_second_fit_lays_the_rate_out_over_all_epochs(small):
    small.fit(DATA, 2, progress=False)
    np.testing.assert_allclose(rates(small), [cosine(2, 6, 0.5), cosine(5, 6, 0.5)], rtol=1e-4)
    small.fit(DATA, 4, progress=False)
    np.testing.assert_allclose(rates(small)[2:], [cosine(8, 12, 0.5), cosine(11, 12, 0.5)], rtol=1e-4)
    assert len(small.fit(DATA, progress=False)) == 4  # for the epochs that it was begun for, which are done


def test_a_resumed_run_too_with_the_recipe_that_it_had(small, tmp_path):
    saved = tmp_path / "run.safetensors"
    small.fit(DATA, 1, checkpoint=saved, progress=False)
    again = made().load(saved)
    assert again.plan.epochs == 1 and again.plan.recipe == small.model.recipe
    again.fit(DATA, 4, progress=False)
    assert rates(again)[1:] == pytest.approx([cosine(s, 12, 0.5) for s in (5, 8, 11)], rel=1e-4)


def test_averages_go_on_with_a_new_schedule(small):
    t = made(ema=0.5)
    t.model.recipe = small.model.recipe
    t.fit(DATA, 1, progress=False)
    before = {p.attrs.name: kw.get_value(a) for p, a in t._averages().items()}
    t._change_rate(kw.optim.Constant(0.1))
    after = {p.attrs.name: kw.get_value(a) for p, a in t._averages().items()}
    assert before.keys() == after.keys() and all((before[k] == after[k]).all() for k in before)


def test_fit_after_a_step_follows_the_recipe(small):
    small.step(DATA[0][:8], DATA[1][:8])
    small.fit(DATA, 2, progress=False)
    assert rates(small) == pytest.approx([cosine(3, 6, 0.5), 0], abs=1e-4)


def test_a_rate_that_has_ended_is_refused():
    t = made(optimizer=kw.optim.SGD(kw.optim.Cosine(0.1, 3)))
    t.fit(DATA, 1, progress=False)
    with pytest.raises(SettingError, match="learning rate has ended: Cosine"):
        t.fit(DATA, 2, progress=False)
    t.optimizer.learning_rate = kw.optim.Cosine(0.1, 6)
    made(optimizer=kw.optim.SGD(0.0)).fit(DATA, 1, progress=False)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    saved = tmp_path / "run.safetensors"
    made().fit(DATA, 1, checkpoint=saved, progress=False)
    t = made().load(saved)
    check_data(t, DATA, saved)
    with pytest.raises(CheckpointError, match=r"other data, which had examples 24 \(now 16\)"):
        check_data(t, (DATA[0][:16], DATA[1][:16]), saved)
    for other, words in (((DATA[0], DATA[1][::-1]), "other labels"), ((DATA[0][::-1], DATA[1]), "other images")):
        with pytest.raises(CheckpointError, match=f"other data, which had {words}"):
            check_data(t, other, saved)


@pytest.mark.parametrize("option", ["checkpoint", "best"])
def test_files_are_tried_before_training(tmp_path, option):
    t = made()
    for path, words in ((tmp_path / "no" / "run", "No such file"), (tmp_path, "it is a folder")):
        with pytest.raises(SettingError, match=words):
            t.fit(DATA, 1, validation=DATA, progress=False, **{option: path})
    assert t.epoch == 0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves(tmp_path, number):
    saved, before = tmp_path / "run.safetensors", signal.getsignal(number)
    t = made()

    class Ask(kw.Callback):
        def after_steps(self, trainer):
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt, match=r"saved to .*resume") as caught:
        t.fit(DATA, 3, checkpoint=saved, callbacks=[Ask()], progress=False)
    assert caught.value.number == number and signal.getsignal(number) is before
    assert made().load(saved).position == t.position > 0
