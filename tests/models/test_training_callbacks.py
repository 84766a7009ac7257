"""Callbacks: when they stop, what they write, and that a resumed run goes on as if nothing had happened."""

from __future__ import annotations

import csv
import json

import pytest

import kernelwright as kw
from kernelwright.models.monitor import Monitor
from kernelwright.runtime import checkpoint


def trainer(rate=0.5, **options):
    net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(4))
    model = kw.models.Model("linear", net, (1, 8, 8), 4)
    return kw.Trainer(model, kw.optim.SGD(rate), device="reference", batch=35, **options)


def test_early_stopping_counts_epochs_without_progress(problem):
    t = trainer(rate=0.0)  # nothing ever changes: the first epoch is the best
    history = t.fit(problem, 10, validation=problem, callbacks=[kw.callbacks.EarlyStopping(patience=3)], progress=False)
    assert len(history) == 4 and "validation_loss has not got better" in t.stopped and "3 epochs" in t.stopped
    t.fit(problem, 5, validation=problem, progress=False)
    assert t.epoch == 5 and t.stopped is None
    learning = trainer()
    stop = kw.callbacks.EarlyStopping("loss", patience=1)
    assert len(learning.fit(problem, 6, callbacks=[stop], progress=False)) == 6 and learning.stopped is None


def test_the_count_of_early_stopping_is_in_the_checkpoint(problem, tmp_path):
    path = tmp_path / "a.safetensors"
    first = trainer(rate=0.0)
    stop = kw.callbacks.EarlyStopping("loss", patience=4, threshold=0.01)
    first.fit(problem, 3, callbacks=[stop], checkpoint=path, progress=False)
    again = trainer(rate=0.0).load(path)
    fresh = kw.callbacks.EarlyStopping("loss", patience=4, threshold=0.01)
    assert len(again.fit(problem, 20, callbacks=[fresh], checkpoint=path, progress=False)) == 5
    over = trainer(rate=0.0).load(path)
    fresh = kw.callbacks.EarlyStopping("loss", patience=4, threshold=0.01)
    assert len(over.fit(problem, 20, callbacks=[fresh], progress=False)) == 5


def test_monitors_know_which_way_is_better():
    assert Monitor("validation_accuracy").better(0.5, 0.4) and not Monitor("loss").better(0.5, 0.4)
    assert not Monitor("loss", threshold=0.1).better(0.35, 0.4) and Monitor("loss", "max").better(0.5, 0.4)
    with pytest.raises(ValueError, match="no 'los' to watch, only loss"):
        Monitor("los").read({"loss": 1.0})
    with pytest.raises(ValueError, match="min, max, not 'up'"):
        Monitor("loss", "up")


def test_the_best_checkpoint_is_that_of_the_best_epoch(problem, tmp_path):
    t, path = trainer(rate=3.0), tmp_path / "best.safetensors"
    watch = kw.callbacks.BestCheckpoint(path, "loss")
    t.fit(problem, 6, callbacks=[watch], progress=False)
    losses = [r["loss"] for r in t.history]
    assert trainer(rate=3.0).load(path).epoch == losses.index(min(losses)) + 1


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_logs_are_written_each_epoch_and_resumed_without_doubles(suffix, problem, tmp_path):
    path, saved = tmp_path / f"run{suffix}", tmp_path / "a.safetensors"
    seen = []
    t = trainer()
    watchers = [kw.callbacks.log(path), lambda t, record: seen.append(len(read(path)))]
    t.fit(problem, 2, callbacks=watchers, checkpoint=saved, progress=False)
    assert seen == [1, 2]
    t.fit(problem, 4, callbacks=[kw.callbacks.log(path)], progress=False)  # epochs that the checkpoint does not have
    path.write_text(path.read_text() + "5,0.")  # and a line cut short
    trainer().load(saved).fit(problem, 5, callbacks=[kw.callbacks.log(path)], progress=False)
    rows = read(path)
    assert [int(r["epoch"]) for r in rows] == [1, 2, 3, 4, 5]
    assert float(rows[0]["loss"]) == t.history[0]["loss"] and float(rows[0]["learning_rate"]) == 0.5
    trainer().fit(problem, 1, callbacks=[kw.callbacks.log(path)], progress=False)
    assert len(read(path)) == 1


def read(path):
    with open(path) as file:
        return list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]


def test_the_best_checkpoint_holds_the_counts_of_its_own_epoch(problem, tmp_path):
    t, path = trainer(), tmp_path / "best.safetensors"
    stop = kw.callbacks.EarlyStopping("loss", patience=2)
    t.fit(problem, 2, callbacks=[kw.callbacks.BestCheckpoint(path, "loss"), stop], progress=False)
    state = checkpoint.load(path)[1]["callbacks"]["EarlyStopping"]
    assert state == {"best": repr(t.history[-1]["loss"]), "waited": 0}


def test_logs_refuse_what_they_cannot_write(problem, tmp_path):
    with pytest.raises(ValueError, match=r"\.csv or a \.jsonl"):
        kw.callbacks.log("run.txt")
    with pytest.raises(kw.callbacks.LogError, match=r"no/run\.csv: No such"):
        trainer().fit(problem, 1, callbacks=[kw.callbacks.log(tmp_path / "no" / "run.csv")], progress=False)
    t, other = trainer(), tmp_path / "other.jsonl"
    t.fit(problem, 1, progress=False)
    other.write_text("a letter\n")
    with pytest.raises(kw.callbacks.LogError, match="not a log of this kind"):
        t.fit(problem, 2, callbacks=[kw.callbacks.log(other)], progress=False)
    assert other.read_text() == "a letter\n"
    with pytest.raises(TypeError, match=r"a kw\.Callback or a function"):
        t.fit(problem, 2, callbacks=[kw.callbacks.EarlyStopping], progress=False)


def test_learning_curves(problem, tmp_path):
    pytest.importorskip("matplotlib")
    t = trainer()
    t.fit(problem, 2, validation=problem, callbacks=[kw.callbacks.Plot(tmp_path / "a.svg")], progress=False)
    text = (tmp_path / "a.svg").read_text()
    assert "<svg" in text and len(text) > 1000
    kw.callbacks.plot(t.history, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match=r"\.png, \.svg"):
        kw.callbacks.Plot("a.txt")
    with pytest.raises(ValueError, match="empty"):
        kw.callbacks.plot([], tmp_path / "b.png")


def test_tensorboard_events_hold_the_history(problem, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    t = trainer()
    board = [kw.callbacks.TensorBoard(tmp_path / "runs")]
    t.fit(problem, 3, validation=problem, callbacks=board, progress=False)
    events = EventAccumulator(str(tmp_path / "runs"))
    events.Reload()
    found = events.Scalars("loss/validation")
    assert [e.step for e in found] == [1, 2, 3]
    assert [e.value for e in found] == pytest.approx([r["validation_loss"] for r in t.history], rel=1e-6)


@pytest.mark.parametrize(
    "missing, make",
    [
        ("matplotlib.figure", lambda p: kw.callbacks.Plot(p / "a.png")),
        ("tensorboard.summary.writer.event_file_writer", lambda p: kw.callbacks.TensorBoard(p)),
    ],
)
def test_a_missing_extra_is_named_before_training(missing, make, problem, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    t = trainer()
    with pytest.raises(ImportError, match=r"pip install 'kernelwright\[(plot|tensorboard)\]'"):
        t.fit(problem, 1, callbacks=[make(tmp_path)], progress=False)
    assert t.epoch == 0
