"""Loops of few trips: which ones say so, that LLVM masks them, and values at every length around a vector's."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu.machine import lanes, target

MASKS = pytest.mark.skipif(not target().masks, reason="needs masks as fast as whole vectors")


def program(batch):
    """A map, sums and maxima along an axis that usually has this size."""
    x = kw.input("x", (3, None))
    outputs = [kw.tanh(x) * 2, x.sum(1), (x * 2).max(0)]
    return kw.compile([x], outputs, threads=1, typical={"batch": batch})


@pytest.fixture(scope="module")
def few():
    return program(10)


def test_short_loops_say_so_and_long_ones_do_not():
    assert any("masked()" in k.source for k in program(10).kernels)
    assert not any("masked()" in k.source for k in program(1000).kernels)


def test_loops_whose_trips_are_in_the_text_are_left_to_unrolling():
    x = kw.input("x", (None, 5))
    assert not any("masked()" in k.source for k in kw.compile([x], kw.softmax(x), typical={"batch": 500}).kernels)


@MASKS
def test_masked_loops_have_no_scalar_rest():
    x = kw.input("x", (None,))
    short, long = (kw.compile([x], kw.tanh(x) * 2, threads=1, typical={"batch": n}) for n in (10, 1000))
    count = lanes("float32")
    assert f"llvm.masked.store.v{count}f32" in short.kernels[0].llvm
    assert not re.search(r"store float ", short.kernels[0].llvm)
    assert re.search(r"store float ", long.kernels[0].llvm)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 15, 16, 17, 31, 33, 70])
def test_values_at_every_length(n, few):
    x = np.random.default_rng(n).normal(size=(3, n)).astype("float32")
    twice_tanh, sums, most = few(x)
    np.testing.assert_allclose(twice_tanh, 2 * np.tanh(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(sums, x.sum(1), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(most, (2 * x).max(0))
