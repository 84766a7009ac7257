"""Kernels that differ in numbers alone are compiled once."""

import numpy as np
import pytest

import kernelwright as kw


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-14)])
def test_many_outputs_that_differ_in_a_number_share_code(dtype, tolerance):
    x = kw.input("x", (None, 7), dtype)
    array = np.linspace(-1, 1, 35).reshape(5, 7).astype(dtype)
    scales = [0.25 + i / 64 for i in range(40)]
    program = kw.compile([x], [kw.exp(x * c) - 1 / c for c in scales])
    for got, c in zip(program(array), scales):
        np.testing.assert_allclose(got, np.exp(array * c) - 1 / c, rtol=tolerance, atol=tolerance)
    assert len(program.kernels) == 40 and len({k.key for k in program.kernels}) == 1


def test_reductions_that_differ_in_a_number():
    x = kw.input("x", (None, 64))
    array = np.linspace(0, 1, 640).reshape(10, 64).astype("float32")
    program = kw.compile([x], [kw.maximum(x, 0.01 * i).sum(0) for i in range(1, 21)])
    for i, got in enumerate(program(array), 1):
        np.testing.assert_allclose(got, np.maximum(array, np.float32(0.01 * i)).sum(0), rtol=1e-6)
    assert len({k.key for k in program.kernels}) == 1


def test_few_keep_their_numbers_in_the_text():
    x = kw.input("x", (None, 7))
    program = kw.compile([x], [kw.exp(x * c) for c in (0.3, 0.4, 0.6)])
    assert "float32(0.3)" in program.kernels[0].source and len({k.key for k in program.kernels}) == 3


def test_a_stored_program_keeps_its_numbers():
    x = kw.input("x", (None, 3))
    for _ in range(2):  # the second comes from the cache
        program = kw.compile([x], [kw.tanh(x * (0.125 * i + 0.3)) for i in range(12)])
        got = program(np.ones((2, 3), "float32"))
        np.testing.assert_allclose([y[0, 0] for y in got], np.tanh(0.125 * np.arange(12) + 0.3), rtol=1e-6)
