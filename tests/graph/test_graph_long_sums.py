"""Sums of many float32 keep their digits, along every axis and on any number of threads; values are written out."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.shared.sum_blocks import blocks

TENTH = float(np.float32(0.1))
BOUND = 128 * 2.0**-24 / 2
"""Of the relative error of a block, one lane of which has 128 terms: each addition is off by half a unit at most."""


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 257, 1023, 1025, 4000])
@pytest.mark.parametrize("columns", [1, 3, 64, 100])
def test_blocks_add_up_at_every_size(rows, columns):
    x = kw.input("x", (None, columns))
    program = kw.compile([x], [x.sum(0), x.sum(1), x.sum()])
    down, across, total = program(np.ones((rows, columns), "float32"))
    assert (down == rows).all() and (across == columns).all() and total == rows * columns


@pytest.mark.parametrize("columns", [1, 4, 96])
def test_a_mean_over_many_rows(columns):
    x = kw.input("x", (None, columns))
    rows = 2**21 // columns
    for output in (x.mean(0), x.mean(), (x * 2).mean(0) / 2):
        got = kw.compile([x], [output])(np.full((rows, columns), 0.1, "float32"))
        np.testing.assert_allclose(got, TENTH, rtol=BOUND)


def test_the_mean_of_a_long_vector():
    x = kw.input("x", (None,))
    assert abs(kw.compile([x], [x.mean()])(np.full(2**24, 0.1, "float32")) - TENTH) < 1e-7


def test_images_per_channel():
    x = kw.input("x", (None, 8, 60, 70))
    program = kw.compile([x], [x.mean((0, 2, 3))])
    np.testing.assert_allclose(program(np.full((50, 8, 60, 70), 0.1, "float32")), np.full(8, TENTH), rtol=BOUND)


def test_bits_do_not_depend_on_threads():
    values = np.random.default_rng(0).random((30000, 70), dtype="float32")
    x = kw.input("x", (None, 70))
    results = [kw.compile([x], [x.sum(0), x.sum(1), x.sum()], threads=n)(values) for n in (1, 2, 3, 7)]
    for one in results[1:]:
        for a, b in zip(results[0], one):
            np.testing.assert_array_equal(a, b)


def test_short_sums_and_other_dtypes_are_printed_as_they_were():
    for x in (kw.input("x", (None, 1000)), kw.input("x", (100000, 2), "float64").T, kw.input("x", (2, 9999), "int32")):
        assert "part0" not in kw.compile([x.inputs[0] if x.inputs else x], [x.sum(1)]).kernels[0].source
    assert blocks([], [], 8) is None
