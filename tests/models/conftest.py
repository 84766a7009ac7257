"""A small picture problem for tests of training, on every device."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.pipeline import DEVICES
from kernelwright.compiler.targets.cuda.compiled import require


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda":
        try:
            require()
        except kw.CompileError as error:
            pytest.skip(str(error))
    return request.param


@pytest.fixture
def problem() -> tuple[np.ndarray, np.ndarray]:
    """70 noisy 8x8 images whose class is the brightest of four quarters."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 70).astype("int32")
    images = rng.random((70, 1, 8, 8), dtype="float32") * 0.5
    for i, label in enumerate(labels):
        images[i, 0, 4 * (label // 2) :, :][:4, 4 * (label % 2) :][:, :4] += 0.5
    return images, labels
