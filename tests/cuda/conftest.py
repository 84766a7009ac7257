"""Shared by the CUDA tests."""

import importlib.util

import pytest


@pytest.fixture
def toolkit():
    """Skips where numba-cuda, with which kernels become PTX, is not installed."""
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("needs the extra cuda (numba-cuda)")
