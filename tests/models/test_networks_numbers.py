"""The networks against numbers that PyTorch computed once (`make_network_numbers`), so that no PyTorch is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from agreement import ours, problem
from network_cases import CASES, kept

import kernelwright as kw

NUMBERS = json.loads(Path(__file__).with_name("network_numbers.json").read_text())


def test_the_numbers_are_those_of_the_cases():
    assert sorted(case.name for case in CASES) == sorted(NUMBERS)
    assert set(NUMBERS) <= set(kw.models.names())


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=[pytest.mark.slow] if c.slow else []) for c in CASES]
)
def test_outputs_and_gradients(case):
    model, wanted = case.build(), NUMBERS[case.name]
    found = kept(model, ours(model, *problem(model, case.batch), "reference", case.training), case.training)
    assert found["parameters"] == wanted["parameters"]
    assert found["total"] == pytest.approx(wanted["total"], rel=1e-9)
    for mine, stored in zip(found["arrays"], wanted["arrays"], strict=True):
        assert mine["shape"] == stored["shape"]
        assert mine["norm"] == pytest.approx(stored["norm"], rel=1e-9)
        np.testing.assert_allclose(mine["elements"], stored["elements"], rtol=1e-8, atol=1e-9 * stored["norm"])
