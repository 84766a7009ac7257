"""Inline mathematics against NumPy in float64, at the edges, and as vector code."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.ops import OPS
from kernelwright.compiler.graph.tensor import apply
from kernelwright.compiler.loops.functions import FUNCTIONS
from kernelwright.compiler.loops.philox import philox_reference, uniform_reference
from kernelwright.compiler.targets.cpu.machine import target

ERF = np.vectorize(math.erf, otypes=[float])
UNARY = {
    "exp": (np.exp, 2),
    "expm1": (np.expm1, 2),
    "log": (np.log, 2),
    "log1p": (np.log1p, 2),
    "log2": (np.log2, 3),
    "log10": (np.log10, 2),
    "tanh": (np.tanh, 3),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 3),
    "erf": (ERF, 3),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "sqrt": (np.sqrt, 1),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 2),
    "floor": (np.floor, 0),
    "ceil": (np.ceil, 0),
    "trunc": (np.trunc, 0),
    "round": (np.round, 0),
    "abs": (np.abs, 0),
    "sign": (np.sign, 0),
}
SPECIAL = np.array(
    [0, -0.0, math.inf, -math.inf, math.nan, 1, -1, 0.5, 2, -2, 3, 88.7, 89, 105, -87, -88, -105, 3e38, -3e38, 2e-38],
    np.float32,
)
SMALLEST_NORMAL = 2.0**-126


def source(name: str, expression: str, dtype: str = "float32") -> str:
    return f"""
def {name}(table, thread, threads):
    n = size_at(table, 0)
    x = {dtype}_at(table, 1)
    y = {dtype}_at(table, 2)
    out = {dtype}_at(table, 3)
    for i in range(n):
        out[i] = {expression}
"""


def compute(kernel, name: str, expression: str, x, y=None) -> np.ndarray:
    x = np.ascontiguousarray(x)
    y = x if y is None else np.ascontiguousarray(y)
    out = np.empty_like(x)
    kernel(source(name, expression, x.dtype.name), name)(x.size, x, y, out)
    return out


def samples() -> np.ndarray:
    """Bit patterns from the whole range, and the usual range more densely."""
    rng = np.random.default_rng(1)
    anything = rng.integers(0, 2**32, 60_000, dtype=np.uint32).view(np.float32)
    usual = [rng.uniform(-100, 100, 60_000), rng.uniform(-2, 2, 60_000), rng.normal(size=20_000) * 1e-3]
    return np.concatenate([anything[np.isfinite(anything)], *usual]).astype(np.float32)


def check(out: np.ndarray, exact: np.ndarray, ulps: float) -> None:
    """Within `ulps` where the result is a normal number; equal where not, up to flushed denormals."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
    normal = np.isfinite(rounded) & (np.abs(rounded) >= SMALLEST_NORMAL)
    error = np.abs(out[normal] - exact[normal]) / np.spacing(np.abs(rounded[normal])).astype(float)
    assert error.size == 0 or error.max() <= ulps
    rest, wanted = out[~normal], rounded[~normal]
    same = (rest == wanted) | (np.isnan(rest) & np.isnan(wanted))
    assert (same | (np.maximum(np.abs(rest), np.abs(wanted)) <= SMALLEST_NORMAL)).all()


@pytest.mark.parametrize("name", UNARY)
def test_unary(kernel, name):
    reference, ulps = UNARY[name]
    x = samples()
    if name in ("sin", "cos"):
        x = x[np.abs(x) < 1e15]
    special = SPECIAL if name not in ("sin", "cos") else SPECIAL[~(np.abs(SPECIAL) > 1e15) | np.isinf(SPECIAL)]
    with np.errstate(all="ignore"):
        check(compute(kernel, f"unary_{name}", f"{name}(x[i])", x), reference(x.astype(float)), ulps)
        check(compute(kernel, f"unary_{name}", f"{name}(x[i])", special), reference(special.astype(float)), ulps)
    built = kernel(source(f"unary_{name}", f"{name}(x[i])"), f"unary_{name}").built
    dtype = "double" if name in ("sin", "cos") else "float"
    assert f"<{target().lanes('float64' if dtype == 'double' else 'float32')} x {dtype}>" in built.llvm


FORMULAS = sorted(
    name
    for name, op in OPS.items()
    if op.pointwise and name not in FUNCTIONS and len(op.samples[0].shapes) == 1 and not op.samples[0].attrs
)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_of_one_float_is_exact_over_the_whole_range(name):
    x = kw.input("x", (None,))
    y = apply(name, (x,))
    program = kw.compile([x], [y])
    for values in (samples(), SPECIAL):
        if name == "tan":
            values = values[~(np.abs(values) > 1e15) | np.isinf(values)]
        with np.errstate(all="ignore"):
            check(program(values), OPS[name].reference(y, {}, values.astype(float)), 4)
    kind = ("float64", "double") if name in ("exp2", "tan") else ("float32", "float")  # of pow, sin and cos
    assert f"<{target().lanes(kind[0])} x {kind[1]}>" in program.kernels[0].llvm


def test_far_angles_stay_bounded(kernel):
    x = np.array([1e20, -3e38, 1e30], np.float32)
    assert (np.abs(compute(kernel, "unary_sin", "sin(x[i])", x)) <= 1).all()


def test_logarithms_of_powers_are_whole(kernel):
    powers = np.arange(-126, 128)
    np.testing.assert_array_equal(compute(kernel, "of_two", "log2(x[i])", np.exp2(powers).astype(np.float32)), powers)
    powers = np.arange(39)
    np.testing.assert_array_equal(compute(kernel, "of_ten", "log10(x[i])", (10.0**powers).astype(np.float32)), powers)


def test_pow(kernel):
    rng = np.random.default_rng(2)
    x = np.exp(rng.uniform(-20, 20, 50_000)).astype(np.float32)
    y = rng.uniform(-8, 8, x.size).astype(np.float32)
    out = compute(kernel, "power", "pow(x[i], y[i])", x, y)
    with np.errstate(all="ignore"):
        check(out, np.power(x.astype(float), y.astype(float)), 1)
        a, b = (each.ravel() for each in np.meshgrid(SPECIAL, SPECIAL))
        exact = np.power(a, b)
    out = compute(kernel, "power", "pow(x[i], y[i])", a, b)
    check(out, exact.astype(float), 1)
    zero = (exact == 0) | np.isinf(exact)
    np.testing.assert_array_equal(np.signbit(out[zero]), np.signbit(exact[zero]))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extremes_keep_nan(kernel, name):
    a, b = (each.ravel() for each in np.meshgrid(SPECIAL, SPECIAL))
    np.testing.assert_array_equal(compute(kernel, f"most_{name}", f"{name}(x[i], y[i])", a, b), getattr(np, name)(a, b))
    out = compute(kernel, f"most_{name}", f"{name}(x[i], float32(0.0))", SPECIAL)
    np.testing.assert_array_equal(out, getattr(np, name)(SPECIAL, np.float32(0)))
    ints = np.array([-3, 4, 5], np.int64), np.array([2, -9, 5], np.int64)
    np.testing.assert_array_equal(
        compute(kernel, f"most_{name}", f"{name}(x[i], y[i])", *ints), getattr(np, name)(*ints)
    )


@pytest.mark.parametrize("name", ["exp", "log", "log2", "log10", "tanh", "erf", "sigmoid", "sqrt", "sin", "round"])
def test_float64_is_the_c_library(kernel, name):
    x = np.random.default_rng(3).uniform(0.1, 5, 500)
    np.testing.assert_allclose(compute(kernel, f"wide_{name}", f"{name}(x[i])", x), UNARY[name][0](x), rtol=1e-15)


def test_where_and_fma(kernel):
    x, y = np.random.default_rng(4).normal(size=(2, 100)).astype(np.float32)
    np.testing.assert_array_equal(
        compute(kernel, "pick", "where(x[i] > y[i], x[i], 0)", x, y), np.where(x > y, x, np.float32(0))
    )
    exact = (x.astype(float) * y + x).astype(np.float32)
    np.testing.assert_array_equal(compute(kernel, "fused", "fma(x[i], y[i], x[i])", x, y), exact)


PHILOX = """
def random_words(table, thread, threads):
    n = size_at(table, 0)
    counter = uint32_at(table, 1)
    out = uint32_at(table, 2)
    uniform = float32_at(table, 3)
    k0 = size_at(table, 4)
    k1 = size_at(table, 5)
    for i in range(n):
        a, b, c, d = philox(counter[i], counter[n + i], counter[2 * n + i], counter[3 * n + i], k0, k1)
        out[i] = a
        out[n + i] = b
        out[2 * n + i] = c
        out[3 * n + i] = d
        uniform[i] = bits_to_uniform(a)
"""


def draw(kernel, counter: np.ndarray, k0: int, k1: int) -> tuple[np.ndarray, np.ndarray]:
    out, uniform = np.empty_like(counter), np.empty(counter.shape[1], np.float32)
    kernel(PHILOX, "random_words")(counter.shape[1], counter, out, uniform, k0, k1)
    return out, uniform


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (2**32 - 1, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ],
)
def test_philox_known_answers(kernel, word, expected):
    counter = np.full((4, 1), word, np.uint32)
    assert draw(kernel, counter, word, word)[0].ravel().tolist() == expected
    assert [int(each) for each in philox_reference((word,) * 4, (word,) * 2)] == expected


def test_philox_agrees_with_numpy(kernel):
    counter = np.random.default_rng(5).integers(0, 2**32, (4, 1000), dtype=np.uint32)
    out, uniform = draw(kernel, counter, 12345, 2**31 + 7)
    reference = philox_reference(tuple(counter), (12345, 2**31 + 7))
    np.testing.assert_array_equal(out, np.stack(reference))
    np.testing.assert_array_equal(uniform, uniform_reference(reference[0]))
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.05


@pytest.mark.parametrize("name", ["exp", "sigmoid"])
def test_results_below_the_smallest_normal_number_are_rounded_not_dropped(kernel, name):
    x = np.linspace(-104.5, -87.4, 20_001, dtype=np.float32)
    got = compute(kernel, f"small_{name}", f"{name}(x[i])", x)
    exact = np.exp(x.astype(np.float64))  # of which the sigmoid differs in the 38th digit
    assert np.abs(got - exact).max() <= 0.75 * 2.0**-149
    assert got[0] == 0 and 0 < got[-1] < 2.0**-126 and np.all(np.diff(got) >= 0)
