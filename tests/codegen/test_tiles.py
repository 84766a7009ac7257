"""Register tiles against NumPy: odd sizes, tails of rows and lanes, loops of zero trips."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kernelwright.compiler.targets.cpu.machine import lanes, target

SHORT = {"float32": "f32", "float64": "f64"}


def call(kernel, tile: str, dtype: str, pointers, numbers) -> None:
    """Call a tile with all its numbers taken from the table."""
    order = ["p0", "p1", *(f"n{i}" for i in range(3)), "p2", *(f"n{i}" for i in range(3, len(numbers)))]
    lines = [f"    p{i} = {dtype}_at(table, {i})" for i in range(3)]
    lines += [f"    n{i} = size_at(table, {i + 3})" for i in range(len(numbers))]
    source = "\n".join([f"def t_{tile}(table, thread, threads):", *lines, f"    {tile}({', '.join(order)})", ""])
    kernel(source, f"t_{tile}")(*pointers, *numbers)


def expected_sum(a, b, rows, columns, a_row, b_column, trips, a_steps, b_steps):
    """The definition, written out."""
    out = np.zeros((rows, columns))
    for index in itertools.product(*map(range, trips)):
        i = sum(each * step for each, step in zip(index, a_steps))
        j = sum(each * step for each, step in zip(index, b_steps))
        out += np.outer(a[i : i + rows * a_row : a_row][:rows], b[j : j + columns * b_column : b_column][:columns])
    return out


@pytest.mark.parametrize("suffix", ["", "_full", "_add"])
@pytest.mark.parametrize(("rows", "vectors", "dtype"), [(4, 2, "float32"), (3, 1, "float64"), (1, 3, "float32")])
def test_outer(kernel, rows, vectors, dtype, suffix):
    rng = np.random.default_rng(0)
    width = vectors * lanes(dtype)
    a_steps, b_steps, a_row, trips = (50, 1), (5 * width, width), 7, (3, 5)
    a, b = rng.random(400).astype(dtype), rng.random(15 * width).astype(dtype)
    tile = f"outer_tile_{rows}x{vectors}_2_{SHORT[dtype]}{suffix}"
    for row_count, lane_count in itertools.product({1, rows}, {width} if suffix == "_full" else {1, width - 3, width}):
        acc = rng.random((rows, width)).astype(dtype)
        start = acc.copy() if suffix == "_add" else 0
        loops = [n for each in zip(trips, a_steps, b_steps) for n in each]
        call(kernel, tile, dtype, (acc, a, b), [2, a_row, row_count, 0, lane_count, *loops])
        exact = expected_sum(a[2:], b, rows, width, a_row, 1, trips, a_steps, b_steps)
        exact[row_count:] = exact[row_count - 1]
        exact[:, lane_count:] = 0
        np.testing.assert_allclose(acc, start + exact, rtol=1e-5)


@pytest.mark.parametrize("suffix", ["", "_add"])
@pytest.mark.parametrize(("rows", "cols", "dtype"), [(4, 3, "float32"), (2, 2, "float64")])
def test_dot(kernel, rows, cols, dtype, suffix):
    rng = np.random.default_rng(1)
    a, b = rng.random(2000).astype(dtype), rng.random(2000).astype(dtype)
    tile = f"dot_tile_{rows}x{cols}_1_{SHORT[dtype]}{suffix}"
    for length, row_count, col_count in itertools.product((0, 1, 16, 37), {1, rows}, {1, cols}):
        acc = rng.random((rows, cols)).astype(dtype)
        start = acc.copy() if suffix == "_add" else 0
        call(kernel, tile, dtype, (acc, a, b), [1, 45, row_count, 3, 41, col_count, length, 3, 200, 300])
        exact = expected_sum(a[1:], b[3:], rows, cols, 45, 41, (3, length), (200, 1), (300, 1))
        exact[row_count:] = exact[row_count - 1]
        exact[:, col_count:] = exact[:, col_count - 1 : col_count]
        np.testing.assert_allclose(acc, start + exact, rtol=1e-5)


def test_loops_of_zero_trips_leave_zeros(kernel):
    width = 2 * lanes("float32")
    a, b = np.full(100, np.nan, np.float32), np.full(1000, np.nan, np.float32)
    for trips in ((0, 5), (5, 0), (0, 0)):
        acc = np.ones((4, width), np.float32)
        loops = [n for each in zip(trips, (1, 1), (1, 1)) for n in each]
        call(kernel, "outer_tile_4x2_2_f32", "float32", (acc, a, b), [0, 1, 4, 0, width, *loops])
        assert not acc.any()
    acc = np.ones((4, 3), np.float32)
    call(kernel, "dot_tile_4x3_1_f32", "float32", (acc, a, b), [0, 1, 4, 0, 1, 3, 7, 0, 1, 1])
    assert not acc.any()


@pytest.mark.skipif(target().vector_bytes != 64, reason="counts AVX-512 registers")
def test_accumulators_stay_in_registers(kernel):
    source = """
def matmul(table, thread, threads):
    acc = float32_at(table, 0)
    a = float32_at(table, 1)
    b = float32_at(table, 2)
    n = size_at(table, 3)
    outer_tile_8x3_1_f32(acc, a, 0, n, 8, b, 0, 48, n, 1, 48)
"""
    asm = kernel(source, "matmul").built.asm
    assert sum("vfmadd" in line and "zmm" in line for line in asm.splitlines()) >= 24
    assert not any("Spill" in line and "zmm" in line for line in asm.splitlines())


def test_unknown_tiles_are_named(kernel):
    with pytest.raises(ValueError, match="names no tile"):
        kernel("def f(table, thread, threads):\n    outer_tile_8x3(table)\n", "f")
