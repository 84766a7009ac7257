"""What is composed of ops under NumPy's names, as CUDA kernels run in lockstep without a GPU, against NumPy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import kernelwright as kw
from kernelwright.compiler.targets.cuda import program

sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))
from test_numpy_names import ARRANGED, NORMAL, STATISTICS

MORE = [
    (
        lambda x: kw.pad(x, [1, (0, 2), (3, 1)], mode="reflect"),
        lambda x: np.pad(x, [(1, 1), (0, 2), (3, 1)], "reflect"),
    ),
    (lambda x: kw.pad(x, [1, 0, 2], mode="edge"), lambda x: np.pad(x, [(1, 1), (0, 0), (2, 2)], "edge")),
    (lambda x: kw.einsum("bij,kij->bk", x, x), lambda x: np.einsum("bij,kij->bk", x, x)),
    (lambda x: kw.cumsum(x, 1), lambda x: np.cumsum(x, 1)),
    (lambda x: kw.cumprod(x, -1), lambda x: np.cumprod(x, -1)),
    (lambda x: kw.sort(x, 1), lambda x: np.sort(x, 1)),
    (lambda x: kw.argsort(x, 0), lambda x: np.argsort(x, 0)),
]


def test_compositions_agree_with_numpy():
    x = kw.input("x", NORMAL.shape, "float64")
    cases = [*STATISTICS, *ARRANGED, *MORE]
    got = program.run_program(program.build_kernels([x], [mine(x) for mine, _ in cases], {}), [NORMAL])
    for y, (_, numpys) in zip(got, cases):
        want = np.asarray(numpys(NORMAL))
        assert y.shape == want.shape
        np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-12)
