"""The trainer: it learns, resumes with the same bits, and says what is wrong with what it is given."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from small_network import small

import kernelwright as kw
from kernelwright.models import batches, programs
from kernelwright.models.diagnose import DivergenceError
from kernelwright.runtime.checkpoint import CheckpointError


def trainer(device, model=None, **options):
    options = {"optimizer": kw.optim.Adam(0.01), "batch": 16, "threads": 1, **options}
    return kw.Trainer(model or small(), device=device, **options)


def weights(t):
    return dict(enumerate(map(kw.get_value, t._variables())))


def same(a, b):
    return all((x == y).all() for x, y in zip(weights(a).values(), weights(b).values(), strict=True))


@pytest.mark.parametrize("name, count", [("lenet5", 61_706), ("mlp", 669_706), ("perceptron", 7_850)])
def test_networks_have_their_parameters(name, count):
    model = kw.models.build(name)
    assert model.size() == count and name in kw.models.names()
    text = model.summary()
    assert f"{count:,}" in text and "dense1" in text and "(batch, 10)" in text
    with pytest.raises(KeyError, match="lenet5"):
        kw.models.build("lenet6")


def test_it_learns(device, problem):
    t = trainer(device)
    history = t.fit(problem, epochs=8, validation=problem, progress=False)
    assert len(history) == 8 and t.epoch == 8
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["validation_accuracy"] > 0.9
    assert t.evaluate(problem)["accuracy"] == history[-1]["validation_accuracy"]
    p = t.predict(problem[0])
    assert p.shape == (70, 4) and np.allclose(p.sum(1), 1, atol=1e-5)
    before = t.step(problem[0][:9], problem[1][:9])
    assert 0 < before < 2


def test_every_example_once_per_epoch_and_the_last_batch_smaller():
    order = batches.order(70, 0, 3)
    assert sorted(order) == list(range(70)) and (order == batches.order(70, 0, 3)).all()
    assert (order != batches.order(70, 0, 4)).any() and (order != batches.order(70, 1, 3)).any()
    shapes, done = [], 0
    while done < batches.steps_in(70, 16):
        chunk = batches.take(order, 16, done, 3)
        shapes.append(chunk.shape)
        done += len(chunk)
    assert shapes == [(3, 16), (1, 16), (1, 6)]


class StopAt(kw.Callback):
    def __init__(self, epoch, action):
        self.epoch, self.action = epoch, action

    def after_steps(self, t):
        if t.epoch == self.epoch and t.position >= 2:
            self.action()


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def test_a_run_interrupted_within_an_epoch_resumes_with_the_same_bits(device, problem, tmp_path):
    whole = trainer(device)
    whole.fit(problem, epochs=3, progress=False)
    path = tmp_path / "run.safetensors"
    part = trainer(device)
    part._pace = batches.Pace(most=1)
    with pytest.raises(KeyboardInterrupt, match=r"saved to .*resume"):
        part.fit(problem, epochs=3, checkpoint=path, callbacks=[StopAt(1, ctrl_c)], progress=False)
    rest = kw.Trainer.resume(path, small(), device=device, threads=1)
    assert rest.epoch == 1 and rest.position >= 2 and len(rest.history) == 1
    rest.fit(problem, epochs=3, progress=False)
    assert same(whole, rest)
    assert [r["loss"] for r in rest.history] == [r["loss"] for r in whole.history]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_compiling_is_interrupted_at_once_and_nothing_is_lost(device, problem, tmp_path, monkeypatch, number):
    whole, path = trainer(device), tmp_path / "run.safetensors"
    whole.fit(problem, epochs=2, progress=False)
    part, compiling = trainer(device), programs.Graph.compile

    def asked_to_stop(graph, *arguments):
        os.kill(os.getpid(), number)
        pytest.fail("compiling went on")

    monkeypatch.setattr(programs.Graph, "compile", asked_to_stop)
    with pytest.raises(KeyboardInterrupt, match="in epoch 1 after 0 steps, saved to") as caught:
        part.fit(problem, epochs=2, checkpoint=path, progress=False)
    assert caught.value.number == number
    monkeypatch.setattr(programs.Graph, "compile", compiling)
    rest = kw.Trainer.resume(path, small(), device=device, threads=1)
    for each in (part, rest):
        each.fit(problem, epochs=2, progress=False)
        assert same(whole, each)


def test_a_recipe_is_resumed_with_its_schedule(problem, tmp_path):
    t = trainer("reference", optimizer=None)
    t.fit(problem, epochs=1, progress=False)
    t.save(tmp_path / "a.safetensors")
    again = kw.Trainer.resume(tmp_path / "a.safetensors", small(), device="reference")
    assert again.optimizer.learning_rate == t.optimizer.learning_rate and same(t, again)


def test_checkpoints_that_do_not_fit_are_refused(problem, tmp_path):
    t, path = trainer("reference"), tmp_path / "a.safetensors"
    t.step(problem[0][:4], problem[1][:4])
    t.save(path)
    with pytest.raises(CheckpointError, match="written for small"):
        kw.Trainer(kw.models.perceptron(), device="reference").load(path)
    with pytest.raises(CheckpointError, match="give the model"):
        kw.Trainer.resume(path)
    with pytest.raises(CheckpointError, match="another network or optimizer"):
        trainer("reference", optimizer=kw.optim.SGD(momentum=0.5)).load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="whole safetensors"):
        trainer("reference").load(path)


def test_the_best_epoch_is_kept(problem, tmp_path):
    t, best = trainer("reference"), tmp_path / "best.safetensors"
    t.fit(problem, epochs=2, validation=problem, best=best, progress=False)
    kept = kw.Trainer.resume(best, small(), device="reference")
    top = max(r["validation_accuracy"] for r in t.history)
    assert kept.history[-1]["validation_accuracy"] == top
    with pytest.raises(ValueError, match="validation"):
        t.fit(problem, epochs=3, best=best, progress=False)


def test_bad_data_is_named(problem):
    t = trainer("reference")
    images, labels = problem
    wrong = images.copy()
    wrong[7, 0, 3, 3] = np.nan
    high = labels.copy()
    high[5] = 4
    cases = [
        ((images[:, :, :7], labels), r"shape \(n, 1, 8, 8\), not \(70, 1, 7, 8\)"),
        ((images.reshape(70, 64), labels), r"images.reshape\(-1, 1, 8, 8\)"),
        (((images * 255).astype("uint8"), labels), "float32, not uint8"),
        ((wrong, labels), "image 7 holds nan"),
        ((images, high), r"label 4 at position 5 .* 0\.\.3"),
        ((images, labels.astype("float32")), "labels are integers"),
        ((images, labels[:5]), r"\(70,\), not \(5,\)"),
        ((images[:0], labels[:0]), "no images"),
        (images, "a pair"),
    ]
    before = weights(t)
    for data, message in cases:
        with pytest.raises(kw.InputError, match=message):
            t.fit(data, epochs=1, progress=False)
    assert t.epoch == 0 and all((before[k] == v).all() for k, v in weights(t).items())


def test_a_loss_that_is_not_finite_names_the_op_and_the_layer(device, problem, tmp_path):
    def root(x):
        return kw.sqrt(x - 0.7)

    net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(8), root, kw.nn.Dense(4))
    model = kw.models.Model("bad", net, (1, 8, 8), 4)
    with pytest.raises(DivergenceError, match=r"epoch 1, step 1: .*sqrt.* in layer root1, declared at .*\.py:\d+"):
        trainer(device, model).fit(problem, epochs=1, checkpoint=tmp_path / "c.safetensors", progress=False)


def test_a_model_or_a_layer_is_asked_for():
    with pytest.raises(TypeError, match=r"a layer or a kw\.models\.Model is needed, not function"):
        kw.Trainer(kw.relu)


def test_the_lines_printed_say_which_part_was_measured(capsys):
    points = kw.data.points("gauss", count=40)
    for data, validation, part in (
        (points, None, "test"),
        (points, points.train, "validation"),
        (kw.data.hold_out(points), None, "validation"),
    ):
        kw.Trainer(kw.models.playground(), device="reference").fit(data, epochs=1, validation=validation)
        printed = capsys.readouterr().out
        other = {"test": "validation", "validation": "test"}[part]
        assert f"{part} loss" in printed and f"{other} loss" not in printed
