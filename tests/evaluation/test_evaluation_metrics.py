"""Measures of a classifier against values worked out by hand, published ones, and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kernelwright.models.evaluation import metrics

PROBABILITIES = np.array(
    [
        [0.5, 0.3, 0.2],
        [0.4, 0.4, 0.2],  # class 0 comes before class 1
        [0.4, 0.4, 0.2],
        [0.2, 0.2, 0.6],
        [0.25, 0.5, 0.25],
    ],
    "float32",
)
LABELS = np.array([0, 0, 1, 1, 2], "int32")


def test_ranks_and_top_k_with_ties() -> None:
    assert metrics.ranks(PROBABILITIES, LABELS).tolist() == [0, 0, 1, 2, 2]
    assert [metrics.top_k(PROBABILITIES, LABELS, k).right for k in (1, 2, 3)] == [2, 3, 5]
    assert (PROBABILITIES.argmax(1) == LABELS).sum() == 2


def test_top_5_against_sorting() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.integers(0, 20, (200, 12)).astype("float32")  # with many ties
    labels = rng.integers(0, 12, 200)
    right = sum(label in np.argsort(-row, kind="stable")[:5] for row, label in zip(probabilities, labels, strict=True))
    assert metrics.top_k(probabilities, labels, 5) == metrics.Share(right, 200)


@pytest.mark.parametrize(
    "right, of, low, high",
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_as_published(right: int, of: int, low: float, high: float) -> None:
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3."""
    assert metrics.wilson(right, of) == pytest.approx((low, high), abs=5e-5)
    assert metrics.wilson(of - right, of) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_wilson_solves_its_equation() -> None:
    """The ends are where the share lies 1.96 standard errors, of a proportion of that size, from what was seen."""
    for end in metrics.wilson(7, 30):
        assert abs(7 / 30 - end) / math.sqrt(end * (1 - end) / 30) == pytest.approx(1.959964, abs=1e-6)
    assert metrics.wilson(0, 0) == (0.0, 1.0) and metrics.wilson(0, 5)[0] == 0.0 and metrics.wilson(5, 5)[1] == 1.0


def test_confusion_and_the_most_confused() -> None:
    said = np.array([0, 1, 1, 1, 2, 0, 0])
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    matrix = metrics.confusion(said, labels, 4)
    assert matrix.tolist() == [[1, 2, 0, 0], [0, 1, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0]]
    assert metrics.confused(matrix) == [(0, 1, 2), (2, 0, 2), (1, 2, 1)]
    assert metrics.confused(matrix, 1) == [(0, 1, 2)] and metrics.confused(np.eye(3, dtype=int)) == []


def test_calibration_by_hand() -> None:
    """Five bins of a fifth. (0.4, 0.6]: 0.5, 0.6 with one right; (0.8, 1]: 0.9, 1.0, 1.0 with all but one right;
    the bin's upper end belongs to it. ECE = 2/5 |0.5 - 0.55| + 3/5 |2/3 - 2.9/3| = 0.02 + 0.18."""
    curve = metrics.calibration(np.array([0.5, 0.6, 0.9, 1.0, 1.0]), np.array([True, False, True, True, False]), 5)
    assert curve.counts.tolist() == [0, 0, 2, 0, 3]
    np.testing.assert_allclose(curve.accuracy[[2, 4]], [0.5, 2 / 3])
    np.testing.assert_allclose(curve.confidence[[2, 4]], [0.55, 2.9 / 3])
    assert np.isnan(curve.accuracy[[0, 1, 3]]).all()
    assert curve.expected_error == pytest.approx(0.2) and curve.maximum_error == pytest.approx(0.3)


def test_calibration_against_a_loop() -> None:
    rng = np.random.default_rng(1)
    confidence, right = rng.random(1000).astype("float32"), rng.random(1000) < 0.5
    expected = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean(dtype="float64"))
    curve = metrics.calibration(confidence, right)
    assert curve.expected_error == pytest.approx(expected, abs=1e-9) and curve.counts.sum() == 1000


def test_a_calibrated_classifier_has_no_error() -> None:
    confidence = np.repeat([0.25, 0.75], 400)
    right = np.concatenate([np.arange(400) < 100, np.arange(400) < 300])
    assert metrics.calibration(confidence, right).expected_error == pytest.approx(0.0, abs=1e-12)
