"""Random programs against what PyTorch gave for them: stored as projections, so that PyTorch need not be installed.

`python tests/fuzz/against_torch.py 0 200 --store tests/fuzz/torch_numbers.json` writes the numbers again.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import kernelwright as kw

sys.path.insert(0, str(Path(__file__).parent))
from twins import outputs, projections, twins

STORED = json.loads((Path(__file__).parent / "torch_numbers.json").read_text())


@pytest.mark.parametrize(
    "first", [pytest.param(i, marks=pytest.mark.slow if i >= 100 else ()) for i in range(0, 200, 20)]
)
def test_random_programs_agree_with_pytorch(first):
    """Twenty programs at a time are compiled as one, whose kernels are built in parallel."""
    made = [twins(seed) for seed in range(first, first + 20)]
    wanted = [outputs(t) for t in made]
    inputs = [v.ours for t in made for v in t.inputs]
    with np.errstate(all="ignore"):
        program = kw.compile(inputs, [y for each in wanted for y in each], threads=2)
        results = iter(program.run([array for t in made for array in t.arrays]))
    for t, each in zip(made, wanted, strict=True):
        check(t, [next(results) for _ in each], STORED[str(t.seed)])


def check(t, got, want):
    """The results of one program against what is stored of PyTorch's."""
    said = f"seed {t.seed}: {t.made}"
    assert [list(g.shape) for g in got] == want["shapes"], said
    few = 1e-5 if t.kind == "graph32" else 1e-10
    with np.errstate(all="ignore"):
        rows = list(projections(got))
    for g, row, sums, bound in zip(got, rows, want["sums"], want["allowed"], strict=True):
        room = bound * max(1.0, float(np.sqrt(g.size)))
        if t.kind == "extreme":  # where PyTorch's is NaN, the gradient here may exist
            row = [w if np.isnan(w) else r for r, w in zip(row, sums)]
        np.testing.assert_allclose(row, sums, rtol=few, atol=room, err_msg=said)
