"""Copies of a few neighbours into a tile's operand: what they write, by NumPy, and that they read nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu.interpret import interpret
from kernelwright.compiler.targets.cpu.llvm import copies
from kernelwright.compiler.targets.cpu.machine import NATIVE, targeting

KINDS = [("float32", "float32"), ("float64", "float64"), ("float32", "bfloat16"), ("bfloat16", "bfloat16")]


def source(width: int, to: str, x: str, name: str = "call") -> str:
    numbers = "".join(f"    n{i} = size_at(table, {i})\n" for i in range(4))
    pointers = f"    to = {to}_at(table, 4)\n    x = {x}_at(table, 5)\n"
    return f"def {name}(table, thread, threads):\n{numbers}{pointers}    copied_{width}(to, n0, x, n1, n2, n3)\n"


def numbers(dtype: str, count: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(count).astype("float32")
    return kw.to_bfloat16(values) if dtype == "bfloat16" else values.astype(dtype)


@pytest.mark.parametrize("cpu", [NATIVE, "x86-64-v3", "x86-64-v2"])
@pytest.mark.parametrize("to, x", KINDS)
@pytest.mark.parametrize("width", [1, 14, 16, 37])
def test_what_is_there_is_copied_and_the_rest_is_zero(kernel, width, to, x, cpu):
    name = f"call_{cpu.replace('-', '_')}"
    text = source(width, to, x, name)
    with targeting(cpu):
        run = kernel(text, name)
    for low, high in itertools.product({0, -3, 2, width}, {width, width + 5, 0, -4, width - 1}):
        before, given = numbers(to, width + 9, 1), numbers(x, width + 7, 2)
        values = kw.from_bfloat16(given) if to != x else given
        want = before.copy()
        want[4 : 4 + width] = 0
        first, end = max(low, 0), min(high, width)
        if first < end:
            want[4 + first : 4 + end] = values[3 + first : 3 + end]
        read, made = before.copy(), before.copy()
        interpret(text, [4, 3, low, high, read, given.copy()])
        run(4, 3, low, high, made, given)
        np.testing.assert_array_equal(read, want)
        np.testing.assert_array_equal(made, want)


def test_elements_that_are_not_there_are_not_read():
    given, made = np.ones(5, "float32"), np.zeros(14, "float32")
    interpret(source(14, "float32", "float32"), [0, 0, 0, 5, made, given])  # raises where it reads past the end
    interpret(source(14, "float32", "float32"), [0, -3, 3, 8, made, given])
    assert list(np.flatnonzero(made)) == [3, 4, 5, 6, 7]


def test_names():
    assert copies.width("copied_14") == 14
    with pytest.raises(ValueError, match="names no copy"):
        copies.width("copied_fourteen")
