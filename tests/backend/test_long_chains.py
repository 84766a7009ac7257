"""Movement in long chains, and joins of many arrays: kernels stay short, and the values are NumPy's."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.lowering.joins import MAX_PARTS

LONG = 12_000
"""Characters of a kernel's source. Without a bound, 12 steps made 2.4 million."""


def longest(program) -> int:
    return max(len(k.source) for k in program.kernels)


@pytest.mark.parametrize("steps", [12, pytest.param(1000, marks=pytest.mark.slow)])
def test_each_step_joins_what_it_made_of_the_last(steps):
    x = y = kw.input("x", (None, 4))
    array = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    right = last = array.astype("float64")
    slope = right * 0 + 1
    gradient = slope.copy()  # of the sum by x: the sum of the products of slopes
    for _ in range(steps):
        y = kw.concat([y, kw.tanh(y[:, -4:])], 1)
        last = np.tanh(last)
        slope = slope * (1 - last**2)
        gradient += slope
        right = np.concatenate([right, last], 1)
    program = kw.compile([x], [y, *kw.grad(y.sum(), [x])])
    got, got_gradient = program(array)
    np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got_gradient, gradient, rtol=1e-4)
    assert longest(program) < 3 * LONG


@pytest.mark.parametrize("steps", [14, 200])
def test_rolls_by_one_place(steps):
    x = y = kw.input("x", (None, 64))
    array = np.random.default_rng(0).normal(size=(3, 64)).astype("float32")
    for _ in range(steps):
        y = kw.concat([y[:, -1:], y[:, :-1]], 1)
    program = kw.compile([x], [y])
    np.testing.assert_array_equal(program(array), np.roll(array, steps, 1))
    assert longest(program) < LONG


def test_padding_in_a_chain():
    array = np.random.default_rng(0).integers(0, 9, size=(2, 40)).astype("float64")
    right = array
    x = y = kw.input("x", (None, 40), "float64")
    for _ in range(30):
        y = kw.pad(y[:, :-1], ((0, 0), (1, 0))) + y
        right = np.pad(right[:, :-1], ((0, 0), (1, 0))) + right
    program = kw.compile([x], [y])
    np.testing.assert_array_equal(program(array), right)
    assert longest(program) < LONG


def test_joins_of_many_parts_on_both_sides_of_the_bound():
    for parts in (MAX_PARTS, MAX_PARTS + 1, 3 * MAX_PARTS + 2):
        xs = [kw.input(f"x{i}", (None, 1 + i % 3)) for i in range(parts)]
        arrays = [np.full((2, 1 + i % 3), i, "float32") for i in range(parts)]
        program = kw.compile(xs, [kw.concat(xs, 1)])
        np.testing.assert_array_equal(program(*arrays), np.concatenate(arrays, 1))
        assert longest(program) < 3 * LONG


@pytest.mark.parametrize("parts", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_stacks_of_many_parts(parts):
    array = np.arange(12, dtype="float64").reshape(4, 3)
    x = kw.input("x", (4, 3), "float64")
    stacked = kw.stack([x * float(i) for i in range(parts)])
    program = kw.compile([x], [stacked, *kw.grad(stacked.sum(), [x])])
    got, gradient = program(array)
    np.testing.assert_array_equal(got, array * np.arange(parts)[:, None, None])
    np.testing.assert_array_equal(gradient, np.full((4, 3), sum(range(parts))))
    assert longest(program) < 3 * LONG


def test_joins_of_joins_that_several_kernels_read_are_copied():
    """As in a DenseNet: every step reads all that were before it, twice, for their means and for what it makes."""
    steps = 10
    x = y = kw.input("x", (None, 4))
    weights = np.random.default_rng(1).normal(size=(steps, 4 + 2 * steps, 2)).astype("float32") / 3
    array = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    right = array.astype("float64")
    for i in range(steps):
        taken = kw.relu(y - y.mean(axis=0, keepdims=True))
        y = kw.concat([y, taken @ weights[i, : 4 + 2 * i]], 1)
        made = np.maximum(right - right.mean(axis=0), 0) @ weights[i, : 4 + 2 * i].astype("float64")
        right = np.concatenate([right, made], 1)
    program = kw.compile([x], [y])
    np.testing.assert_allclose(program(array), right, rtol=1e-4, atol=1e-5)
    joined = [sum(reason.startswith("concat: movement") for reason in k.reasons) for k in program.kernels]
    assert max(joined) <= 1  # the innermost join, of what is not joined, is read where it is
