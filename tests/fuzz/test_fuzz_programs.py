"""Random programs and their gradients: native kernels agree with the reference, and touch no memory that is not theirs;
simplifying keeps values."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.lowering.kernel_order import plan_memory
from kernelwright.compiler.rewriting.rules import simplify
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu.printer import print_kernel
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.cpu.verify_kernels import verify_kernels

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


def check_accesses(case):
    """Bounds, results written once, no races (which `verify_kernels` raises)."""
    inputs, outputs, _ = case
    order = plan_memory(Cpu(Options(threads=1)).planned(inputs, with_gradients(inputs, outputs), {}).kernels)
    verify_kernels(order.kernels, [print_kernel(kernel) for kernel in order.kernels], order.barriers)


@settings(max_examples=8, **QUIET)
@given(programs())
def test_kernels_of_random_programs_keep_to_their_memory(case):
    check_accesses(case)


@pytest.mark.slow
@settings(max_examples=100, **QUIET)
@given(programs(steps=9))
def test_kernels_of_many_random_programs_keep_to_their_memory(case):
    check_accesses(case)
