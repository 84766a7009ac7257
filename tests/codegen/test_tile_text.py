"""Tiles and maps as people read them, run in Python, against the intrinsics that they stand for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu.interpret import interpret
from kernelwright.compiler.targets.cpu.machine import lanes
from kernelwright.compiler.targets.cpu.tile_text import called, python_of
from kernelwright.compiler.targets.cpu.winograd_matrices import MATRICES

DTYPE = {"f32": "float32", "f64": "float64"}
LOOPS = {0: [], 1: [5, 3, 2], 2: [2, 31, 40, 3, 7, 1], 3: [2, 50, 40, 1, 9, 9, 3, 1, 11]}
"""(trips, step of a, step of b) of each loop: odd sizes and strides."""


def caller(tile: str, dtypes: tuple[str, ...], numbers: int, pointers: tuple[int, ...]) -> str:
    """A kernel that calls a tile with all its arguments from the table, pointers at the given places."""
    order = [f"n{i}" for i in range(numbers)]
    for i, place in enumerate(pointers):
        order.insert(place, f"p{i}")
    lines = [f"    n{i} = size_at(table, {i})" for i in range(numbers)]
    lines += [f"    p{i} = {dtype}_at(table, {numbers + i})" for i, dtype in enumerate(dtypes)]
    return "\n".join(["def call(table, thread, threads):", *lines, f"    {tile}({', '.join(order)})", ""])


def drawn(dtype: str, count: int) -> np.ndarray:
    values = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    return kw.to_bfloat16(values) if dtype == "bfloat16" else values.astype(dtype)


def check(kernel, tile, dtypes, sizes, numbers, pointers, tolerance):
    source = caller(tile, dtypes, len(numbers), pointers)
    arrays = [drawn(dtype, size) for dtype, size in zip(dtypes, sizes)]
    read, run = ([each.copy() for each in arrays] for _ in range(2))
    interpret(source, [*numbers, *read])
    kernel(source, "call")(*numbers, *run)
    for one, other in zip(read, run):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance, err_msg=tile)
    assert not np.array_equal(read[0], arrays[0])


@pytest.mark.parametrize("suffix", ["", "_full", "_add", "_full_add"])
@pytest.mark.parametrize("tile", ["outer_tile_4x2_2_f32", "outer_tile_3x1_3_f64", "outer_tile_1x3_1_f32"])
def test_outer_tiles(kernel, tile, suffix):
    rows, columns = map(int, tile.split("_")[2].split("x"))
    nest, dtype = LOOPS[int(tile.split("_")[3])], DTYPE[tile.split("_")[4]]
    width = columns * lanes(dtype)
    for row_count, lane_count in itertools.product({1, rows}, {width} if "_full" in suffix else {1, width - 3, width}):
        numbers = [2, 23, row_count, 5, lane_count, *nest]
        sizes = (rows * width, 400, 400 + width)
        check(kernel, tile + suffix, (dtype,) * 3, sizes, numbers, (0, 1, 5), 1e-5)


@pytest.mark.parametrize("suffix", ["", "_add"])
@pytest.mark.parametrize("tile", ["dot_tile_4x3_0_f32", "dot_tile_2x2_1_f64", "dot_tile_3x1_2_f32"])
def test_dot_tiles(kernel, tile, suffix):
    rows, columns = map(int, tile.split("_")[2].split("x"))
    nest, dtype = LOOPS[int(tile.split("_")[3])], DTYPE[tile.split("_")[4]]
    for row_count, column_count, length in itertools.product({1, rows}, {1, columns}, (1, 16, 37)):
        numbers = [2, 45, row_count, 3, 41, column_count, length, *nest]
        check(kernel, tile + suffix, (dtype,) * 3, (rows * columns, 600, 600), numbers, (0, 1, 5), 1e-5)


@pytest.mark.parametrize("dtypes", [("float32", "bfloat16", "bfloat16"), ("float32", "float32", "bfloat16")])
@pytest.mark.parametrize("tile", ["outer_tile_4x2_2_f32", "outer_tile_2x1_1_f32_full_add", "dot_tile_2x3_1_f32"])
def test_tiles_of_bfloat16(kernel, tile, dtypes):
    rows, columns = map(int, tile.split("_")[2].split("x"))
    nest, width = LOOPS[int(tile.split("_")[3])], columns * lanes("float32")
    if tile.startswith("outer"):
        numbers, size = [2, 23, rows, 5, width if "full" in tile else width - 3, *nest], rows * width
    else:
        numbers, size = [2, 45, rows, 3, 41, columns, 37, *nest], rows * columns
    check(kernel, tile, dtypes, (size, 600, 600), numbers, (0, 1, 5), 1e-5)


@pytest.mark.parametrize("suffix", ["", "_whole", "_add", "_whole_add"])
@pytest.mark.parametrize("name", ["input_all_all", "filter_all_all", "output_back0_back0", "input_back4_back0"])
def test_maps_of_tiles(kernel, name, suffix):
    points, size = MATRICES[name.split("_")[0]].shape
    width = lanes("float32")
    limits = [] if "whole" in suffix else [1, size if "all" in name else points, 0, 2, width - 3]
    numbers = [4, 11 * width, width + 1, *limits]
    check(kernel, f"transform_{name}{suffix}", ("float32",) * 2, (36 * width, 3000), numbers, (0, 1), 1e-4)


@pytest.mark.parametrize("name", ["output", "input", "filter"])
def test_doubts_about_results(kernel, name):
    pitch, width = 3 if name == "filter" else 4, lanes("float32")
    call = f"    p0[0] = float32(transform_doubt_{name}(p0, n0, n1, n2, n3, n4))\n"
    sizes = "".join(f"    n{i} = size_at(table, {i})\n" for i in range(5))
    source = f"def call(table, thread, threads):\n{sizes}    p0 = float32_at(table, 5)\n{call}"
    answers = set()
    for top, small, lane_count in itertools.product((1e2, 1e7, 2e30, np.inf, np.nan), (1.0, 1e-9), (width, width - 3)):
        results = np.ones((pitch * pitch + 1, width), "float32")
        results[2, :lane_count], results[-1] = small, 3
        results[-1, lane_count - 1] = top
        for end in (2, 3):
            numbers = [0, pitch, 0, end, lane_count]
            read, run = results.copy().reshape(-1), results.copy().reshape(-1)
            interpret(source, [*numbers, read])
            kernel(source, "call")(*numbers, run)
            assert read[0] == run[0]
            answers.add(float(run[0]))
    assert answers == {0.0, 1.0, 2.0}


def test_a_tile_reads_like_a_kernel():
    width = 2 * lanes("float32")
    assert python_of("outer_tile_3x2_1_f32") == (
        "def outer_tile_3x2_1_f32(acc, a, a0, a_row, row_count, b, b0, lane_count, n_0, a_step_0, b_step_0):\n"
        f'    """3 rows of a by 2 vectors of {width // 2} columns of b, summed by the loops."""\n'
        f"    for z in range({3 * width}):\n"
        "        acc[z] = float32(0)\n"
        "    for k0 in range(n_0):\n"
        "        a_place = a0 + k0 * a_step_0\n"
        "        b_place = b0 + k0 * b_step_0\n"
        "        for y in range(3):\n"
        "            row = a[a_place + min(y, row_count - 1) * a_row]\n"
        "            for z in range(lane_count):\n"
        f"                acc[y * {width} + z] = acc[y * {width} + z] + row * b[b_place + z]\n"
    )


def test_the_tile_of_a_kernel_is_shown():
    x, w = kw.input("x", (None, 64)), kw.input("w", (64, 48))
    kernel = kw.compile([x, w], [x @ w]).kernels[0]
    (name,) = called(kernel.source)
    assert kernel.tile.startswith(f"def {name}(acc, a, a0, ")
    with pytest.raises(ValueError, match="names no tile"):
        python_of("outer_tile_8x3")


@pytest.mark.parametrize("name", ["transposed_16_f32", "transposed_8_f64", "transposed_4_f32"])
def test_transposed_squares(kernel, name):
    side, dtype = int(name.split("_")[1]), DTYPE[name.split("_")[2]]
    source = f"def call(table, thread, threads):\n    x = {dtype}_at(table, 0)\n    {name}(x, 5)\n"
    array = np.random.default_rng(0).normal(size=side * side + 9).astype(dtype)
    want = array.copy()
    want[5 : 5 + side * side] = array[5 : 5 + side * side].reshape(side, side).T.reshape(-1)
    read, run = array.copy(), array.copy()
    interpret(source, [read])
    kernel(source, "call")(run)
    np.testing.assert_array_equal(read, want)
    np.testing.assert_array_equal(run, want)
