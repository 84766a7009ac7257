"""Random programs and their gradients: CUDA kernels in lockstep agree with the reference in every schedule."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.targets.cuda import contraction, program, schedule
from kernelwright.compiler.targets.cuda.contraction import Shape

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from strategies import programs
from test_fuzz_programs import QUIET, with_gradients


def check(case):
    inputs, outputs, arrays = case
    everything = with_gradients(inputs, outputs)
    want = evaluate(everything, dict(zip(inputs, arrays)))
    got = program.run_program(program.build_kernels(inputs, everything, {}), arrays)
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


@settings(max_examples=25, **QUIET)
@given(programs())
def test_random_programs(case):
    check(case)


@pytest.mark.parametrize("serial, long", [(0, 0), (0, 1 << 30), (1 << 30, 0)], ids=["blocks", "warps", "threads"])
@settings(max_examples=15, **QUIET)
@given(case=programs())
def test_random_programs_in_forced_schedules(serial, long, case):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "SERIAL", serial)
        patch.setattr(schedule, "LONG", long)
        patch.setattr(contraction, "SHAPES", (Shape(4, 8, 4, 1, 2),))
        check(case)


@pytest.mark.slow
@settings(max_examples=200, **QUIET)
@given(programs(steps=9))
def test_many_random_programs(case):
    check(case)
