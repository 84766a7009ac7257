"""A network with one output and a squared error learns numbers: what is measured, chosen by, resumed and refused."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError


def trainer(**options):
    return kw.Trainer(kw.models.playground(classes=1), device="reference", **options)


def test_loss_and_distance_are_those_of_numpy():
    data = kw.data.surface("plane", count=60)
    t = trainer()
    t.fit(data, epochs=2, progress=False)
    given = t.predict(data.test.images)
    assert given.shape == (60, 1)
    apart = given.astype("float64") - data.test.labels
    found = t.evaluate(data.test)
    assert found["loss"] == pytest.approx((apart**2).mean(), rel=1e-5)
    assert found["mae"] == pytest.approx(np.abs(apart).mean(), rel=1e-5)
    assert t.history[-1]["validation_mae"] == found["mae"]


def test_the_best_epoch_is_that_of_the_least_loss_and_runs_resume_to_the_bit(tmp_path):
    data = kw.data.hold_out(kw.data.surface("bumps", count=60))
    best, path = tmp_path / "best.safetensors", tmp_path / "run.safetensors"
    whole = trainer(optimizer=kw.optim.SGD(0.03, momentum=0.9))
    whole.fit(data, epochs=4, best=best, progress=False)
    kept = trainer().load(best)
    assert kept.history[-1]["validation_loss"] == min(line["validation_loss"] for line in whole.history)
    trainer(optimizer=kw.optim.SGD(0.03, momentum=0.9)).fit(data, epochs=2, checkpoint=path, progress=False)
    rest = trainer().load(path)
    rest.fit(data, epochs=4, progress=False)
    for mine, theirs in zip(rest.model.parameters(), whole.model.parameters(), strict=True):
        assert (kw.get_value(mine) == kw.get_value(theirs)).all()


def test_what_is_refused():
    data, points = kw.data.surface("plane", count=20), kw.data.points("gauss", count=20)
    with pytest.raises(InputError, match=re.escape("labels float32 (20, 1), not int32 (20,)")):
        trainer().fit((points.train.images, points.train.labels), epochs=1)
    with pytest.raises(InputError, match="a network with one output and the loss mean_squared_error learns numbers"):
        kw.Trainer(kw.models.playground(), device="reference").fit((data.train.images, data.train.labels), epochs=1)
    with pytest.raises(ValueError, match="playground gives a number here, and only classifiers are judged"):
        kw.evaluate(trainer(), data)
    wrong = data.train.labels.copy()
    wrong[3] = np.nan
    with pytest.raises(InputError, match="label 3 is not finite"):
        trainer().fit((data.train.images, wrong), epochs=1)
