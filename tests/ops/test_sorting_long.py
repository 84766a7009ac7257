"""`kw.sort`, `argsort` and `topk` of axes long enough for the sorting network, against NumPy's stable sort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kernelwright as kw


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Many ties; NaN and infinities among floats."""
    rng = np.random.default_rng(0)
    x = rng.integers(-200, 200, shape).astype(dtype)
    if dtype.startswith("float"):
        x.reshape(-1)[::97] = np.nan
        x.reshape(-1)[5::131], x.reshape(-1)[6::151] = np.inf, -np.inf
    return x


def stable(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """Positions in order; in falling order NaN first, as the greatest, and equal ones still as they stand."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return np.flip(x.shape[axis] - 1 - backwards, axis)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "shape, axis, dtype",
    [((2, 1001), 1, "float32"), ((1500, 3), 0, "float64"), ((2, 2048, 2), 1, "int32"), ((1030,), 0, "bool")],
)
def test_positions_and_values_are_numpys(shape: Any, axis: int, dtype: str, descending: bool) -> None:
    x = kw.input("x", shape, dtype)
    value = numbers(shape, dtype)
    positions, values = kw.compile([x], [kw.argsort(x, axis, descending), kw.sort(x, axis, descending)])(value)
    wanted = stable(value, axis, descending)
    assert positions.dtype == np.int32
    np.testing.assert_array_equal(positions, wanted)
    np.testing.assert_array_equal(values, np.take_along_axis(value, wanted, axis))


def test_topk_and_any_batch() -> None:
    x = kw.input("x", (None, 1200))
    program = kw.compile([x], list(kw.topk(x, 3)))
    for batch in (0, 1, 4):
        value = numbers((batch, 1200), "float32")
        values, positions = program(value)
        wanted = stable(value, 1, True)[:, :3]
        np.testing.assert_array_equal(positions, wanted)
        np.testing.assert_array_equal(values, np.take_along_axis(value, wanted, 1))


def test_gradients_go_back_to_where_each_stood() -> None:
    x, w = kw.input("x", (1100,), "float64"), np.arange(1100.0)
    (by_x,) = kw.grad((kw.sort(x) ** 2 * kw.as_tensor(w)).sum(), [x])
    (twice,) = kw.grad((by_x * by_x).sum(), [x])
    value = np.random.default_rng(0).permutation(1100) / 100.0
    rank = np.argsort(np.argsort(value))
    first, second = kw.compile([x], [by_x, twice])(value)
    np.testing.assert_allclose(first, 2 * value * rank, 1e-12)
    np.testing.assert_allclose(second, 8 * value * rank**2, 1e-12)


def test_the_program_compares_no_longer_all_pairs() -> None:
    x = kw.input("x", (4096,))
    program = kw.compile([x], [kw.argsort(x)])
    assert sum(int(k.flop_count) for k in program.kernels) < 4096**2
    assert {k.times for k in program.kernels} == {None, 78}


def test_inside_the_step_of_a_scan_all_pairs_are_compared() -> None:
    x = kw.input("x", (2, 1100))
    last, _ = kw.scan(lambda s, p: (kw.sort(s + p), None), kw.zeros((1100,)), x)
    value = numbers((2, 1100), "int32").astype("float32")
    np.testing.assert_array_equal(kw.compile([x], [last])(value), np.sort(np.sort(value[0]) + value[1]))
