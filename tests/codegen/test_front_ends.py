"""Every op's kernels through Numba's whole front end, and through the one walk over printed source."""

import sys
from pathlib import Path

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.ops import OPS
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.targets.cpu import assemble
from kernelwright.compiler.targets.cpu.llvm import frontend
from kernelwright.compiler.targets.cpu.llvm.build import build as build_kernel
from kernelwright.compiler.targets.cpu.llvm.operations import Unsupported
from kernelwright.compiler.targets.cpu.llvm.translate import translate
from kernelwright.compiler.targets.shared import saved

sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))
from test_op_table import SAMPLED, TOLERANCE, build, rng_for

QUICK = ("relu", "tanh", "sum")


def refuse(*ignored):
    raise Unsupported


def by_numba(texts):
    """Object code by key, each made by Numba's front end; the walk has to accept the source as well."""
    objects = {}
    for text in dict.fromkeys(texts):
        translate(text, "kernel", frontend.namespace(text))
        key = assemble.kernel_key(text)
        name = assemble.symbol(key)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(frontend, "translate", refuse)
            objects[key] = build_kernel(text.replace("def kernel(", f"def {name}(", 1), name).object
    return objects


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in SAMPLED])
def test_both_front_ends_agree_with_the_reference(name, monkeypatch):
    rng = rng_for(name)
    inputs, values, y = build(OPS[name], OPS[name].samples[0], "float32", rng)
    want = evaluate([y], dict(zip(inputs, values)))[0]
    walked = kw.compile(inputs, [y]).run(values)[0]
    monkeypatch.setattr(saved, "identify", lambda *graph: None)  # no finished program is read
    monkeypatch.setattr(assemble, "compile_sources", by_numba)
    typed = kw.compile(inputs, [y]).run(values)[0]
    for got in (walked, typed):
        got = kw.from_bfloat16(got) if y.dtype == "bfloat16" else got
        tolerance = TOLERANCE.get(y.dtype, 0)
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
