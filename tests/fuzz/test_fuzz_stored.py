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


@pytest.mark.parametrize("first", range(0, 200, 10))
def test_random_programs_agree_with_pytorch(first):
    for seed in range(first, first + 10):
        t, want = twins(seed), STORED[str(seed)]
        with np.errstate(all="ignore"):
            got = kw.compile([v.ours for v in t.inputs], outputs(t), threads=2).run(t.arrays)
        assert [list(g.shape) for g in got] == want["shapes"], (seed, t.made)
        few = 1e-5 if t.kind == "graph32" else 1e-10
        for g, row, sums, bound in zip(got, projections(got), want["sums"], want["allowed"], strict=True):
            room = bound * max(1.0, float(np.sqrt(g.size)))
            if t.kind == "extreme":  # where PyTorch's is NaN, the gradient here may exist
                row = [w if np.isnan(w) else r for r, w in zip(row, sums)]
            np.testing.assert_allclose(row, sums, rtol=few, atol=room, err_msg=f"seed {seed}: {t.made}")
