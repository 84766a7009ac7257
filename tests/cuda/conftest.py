"""Shared by the CUDA tests."""

import importlib.util

import pytest
from standin import Library, image

from kernelwright.compiler.targets.cuda import compiled
from kernelwright.runtime.cuda import driver


@pytest.fixture
def toolkit():
    """Skips where numba-cuda, with which kernels become PTX, is not installed."""
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("needs the extra cuda (numba-cuda)")


@pytest.fixture
def without_driver(monkeypatch):
    """As a machine without NVIDIA's driver is, also on one that has it."""

    def missing():
        raise OSError("no such library")

    monkeypatch.setattr(driver, "_library", missing)


@pytest.fixture
def library(monkeypatch):
    """The stand-in for the driver; kernels are handed to it as source in place of cubins."""
    monkeypatch.setattr(compiled, "cubins", lambda kernels, arch: dict(image(k, arch) for k in kernels))
    return Library()
