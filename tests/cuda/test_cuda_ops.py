"""Every op's CUDA kernel, run in lockstep without a GPU, against the op's NumPy reference."""

import sys
from pathlib import Path

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.ops import OPS
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.targets.cuda import program

sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))
from test_op_table import SAMPLED, TOLERANCE, build, rng_for


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", SAMPLED)
def test_kernels_agree_with_the_reference(name, dtype):
    rng = rng_for(name)
    built = [build(OPS[name], s, dtype, rng, i) for i, s in enumerate(OPS[name].samples)]
    inputs = [x for b in built for x in b[0]]
    values = [v for b in built for v in b[1]]
    outputs = [b[2] for b in built]
    got = program.run_program(program.build_kernels(inputs, outputs, {}), values)
    for y, want, b in zip(got, evaluate(outputs, dict(zip(inputs, values))), built):
        y = kw.from_bfloat16(y) if b[2].dtype == "bfloat16" else y
        assert (y.shape, y.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(y, want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=str(b[2]))


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLED)
def test_kernels_compile_to_ptx(name, toolkit):
    rng = rng_for(name)
    texts = {}
    for dtype in ("bfloat16", "float32", "float64"):
        for i, sample in enumerate(OPS[name].samples):
            inputs, _, y = build(OPS[name], sample, dtype, rng, i)
            texts |= {k.source.text: k for k in program.build_kernels(inputs, [y], {}).kernels}
    for text, kernel in texts.items():
        assert ".target sm_80" in kernel.compile((8, 0)).ptx, text
