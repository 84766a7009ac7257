"""Shared by all tests: a kernel cache of their own, so that nothing leaks into or out of the user's."""

import os
import tempfile

import pytest

# Set before anything imports the package. A cache given from outside is kept: a second run then compiles nothing.
if "KERNELWRIGHT_CACHE" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="kernelwright-test-cache-", ignore_cleanup_errors=True)
    os.environ["KERNELWRIGHT_CACHE"] = _folder.name


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/*.py from today's kernels")


@pytest.fixture(autouse=True)
def all_threads(request, monkeypatch):
    """Small programs run on all the threads that a test asks for, unless it is marked `chosen_threads`."""
    if "chosen_threads" not in request.keywords:
        from kernelwright.runtime import binding

        monkeypatch.setattr(binding, "MEETING", 0.0)


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Tables are as wide as they are: the workers of pytest-xdist are told how wide their terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def outlined(monkeypatch):
    """Called with a network's name: the model with its data and its recipe, whose layers were not applied to images."""
    import kernelwright as kw

    def build(name):
        with monkeypatch.context() as patch, kw.init.undrawn():
            patch.setattr(kw.models.Model, "__call__", lambda self, x: kw.input("logits", (None, self.classes)))
            return kw.models.build(name)

    return build


@pytest.fixture
def update_golden(request):
    return request.config.getoption("--update-golden")
