"""Random programs and their gradients: native kernels agree with the reference; simplifying keeps values."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.rewriting.rules import simplify

sys.path.insert(0, str(Path(__file__).parent))
from strategies import programs

QUIET = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck), "print_blob": True}


def with_gradients(inputs, outputs):
    loss = sum(((y * y).mean() for y in outputs), kw.as_tensor(0.0, "float64"))
    return [*outputs, *kw.grad(loss, inputs)]


def check(case):
    inputs, outputs, arrays = case
    everything = with_gradients(inputs, outputs)
    want = evaluate(everything, dict(zip(inputs, arrays)))
    got = kw.compile(inputs, everything, threads=2).run(arrays)
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


@settings(max_examples=12, **QUIET)
@given(programs())
def test_random_programs(case):
    check(case)


@pytest.mark.slow
@settings(max_examples=150, **QUIET)
@given(programs(steps=9))
def test_many_random_programs(case):
    check(case)


@settings(max_examples=60, **QUIET)
@given(programs(steps=8))
def test_simplifying_keeps_values_and_is_idempotent(case):
    inputs, outputs, arrays = case
    everything = with_gradients(inputs, outputs)
    simple, _ = simplify(everything)
    again, report = simplify(simple)
    assert all(a is b for a, b in zip(simple, again)) and not report.hits
    feed = dict(zip(inputs, arrays))
    for a, b in zip(evaluate(simple, feed), evaluate(everything, feed)):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
