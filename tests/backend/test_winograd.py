"""Convolutions by Winograd's way: which ones, the same values and gradients, vector code, and how to be without."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph import reference
from kernelwright.compiler.targets.cpu import winograd
from kernelwright.compiler.targets.cpu.machine import target

RNG = np.random.default_rng(7)
ROUNDING = 2e-5
"""Of the greatest value: what F(4x4, 3x3) costs in float32, twice over."""

CASES = {
    "even": {"n": 2, "c": 16, "k": 32, "h": 8, "w": 8, "pad": 1},
    "ragged": {"n": 3, "c": 16, "k": 16, "h": 14, "w": 9, "pad": 1},
    "groups": {"n": 1, "c": 40, "k": 24, "h": 7, "w": 9, "pad": 0, "groups": 2},
    "odd lanes": {"n": 2, "c": 3, "k": 5, "h": 13, "w": 6, "pad": 2},
    "uneven padding": {"n": 1, "c": 2, "k": 3, "h": 5, "w": 5, "pad": ((1, 0), (0, 2))},
    "one tile": {"n": 2, "c": 17, "k": 4, "h": 3, "w": 4, "pad": 1},
}


def f32(*shape):
    return RNG.standard_normal(shape).astype("float32")


def layer(n, c, k, h, w, pad, groups=1, stride=1, window=3, dtype="float32", batch=None):
    """(inputs, [result, gradient by x, gradient by w], arrays)."""
    x, weight = kw.input("x", (batch, c, h, w), dtype), kw.input("w", (k, c // groups, window, window), dtype)
    y = kw.conv(x, weight, stride=stride, pad=pad, groups=groups)
    r = kw.input("r", y.shape, dtype)
    outputs = [y, *kw.grad((y * r).sum(), [x, weight])]
    arrays = [f32(n, *x.shape[1:]), f32(*weight.shape), f32(n, *y.shape[1:])]
    return [x, weight, r], outputs, [a.astype(dtype) for a in arrays]


def hits(outputs):
    return sum(winograd.fast_convolutions(outputs)[1].hits.values())


def near(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=ROUNDING * np.abs(wanted).max())


@pytest.fixture
def always(monkeypatch):
    """Every convolution that can go this way does, however small."""
    monkeypatch.setattr(winograd, "WORTH", 1e9)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_direct_sums(case, always):
    inputs, outputs, arrays = layer(**CASES[case])
    fast, report = winograd.fast_convolutions(outputs)
    assert sorted(report.hits.values()) == [1, 1, 1]
    feed = dict(zip(inputs, arrays))
    for found, wanted in zip(reference.evaluate(fast, feed), reference.evaluate(outputs, feed)):
        near(found, wanted)


@pytest.mark.parametrize("case", CASES)
def test_kernels_give_the_values_of_the_reference(case, always):
    inputs, outputs, arrays = layer(**CASES[case])
    native = kw.compile(inputs, outputs, threads=2)
    assert sum("matrix" in str(k.schedule) for k in native.kernels) == 8
    for found, wanted in zip(native(*arrays), kw.compile(inputs, outputs, device="reference")(*arrays)):
        near(found, wanted)


def test_second_derivatives_go_the_same_way(always):
    inputs, (_, dx, dw), arrays = layer(n=2, c=4, k=6, h=8, w=7, pad=1)
    second = kw.grad((dx * dx).sum() + (dw * dw).sum(), inputs)
    assert hits(second) >= 3
    native, wanted = (kw.compile(inputs, second, device=device) for device in ("cpu", "reference"))
    for found, expected in zip(native(*arrays), wanted(*arrays)):
        near(found, expected)


def test_an_epilogue_is_applied_to_the_tiles(always):
    x, b = kw.input("x", (None, 16, 8, 8)), kw.input("b", (32, 1, 1))
    y = kw.relu(kw.conv(x, kw.variable("w", f32(32, 16, 3, 3)), pad=1) + b)
    native, wanted = (kw.compile([x, b], y, device=device) for device in ("cpu", "reference"))
    last = next(k for k in native.kernels if "output matrix" in str(k.schedule))
    assert {"add", "relu"} <= set(last.fused)
    arrays = f32(3, 16, 8, 8), f32(32, 1, 1)
    near(native(*arrays), wanted(*arrays))


@pytest.mark.parametrize("other", [{"stride": 2}, {"window": 5}, {"dtype": "float64"}])
def test_other_convolutions_are_summed_directly(other, always):
    _, outputs, _ = layer(n=1, c=16, k=16, h=12, w=12, pad=1, **other)
    assert hits(outputs) == 0


def test_it_is_taken_where_products_outweigh_what_is_moved():
    _, wide, _ = layer(n=8, c=256, k=256, h=28, w=28, pad=1)
    _, narrow, _ = layer(n=8, c=4, k=8, h=28, w=28, pad=1)
    assert (hits(wide), hits(narrow)) == (3, 0)


def test_the_environment_turns_it_off(monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_WINOGRAD", "0")
    _, outputs, _ = layer(n=8, c=256, k=256, h=28, w=28, pad=1)
    assert hits(outputs) == 0


def test_one_program_serves_every_batch(always):
    inputs, outputs, _ = layer(n=1, c=16, k=16, h=10, w=10, pad=1)
    native, wanted = (kw.compile(inputs, outputs, device=device) for device in ("cpu", "reference"))
    for n in (1, 2, 5):
        arrays = [f32(n, 16, 10, 10), f32(16, 16, 3, 3), f32(n, 16, 10, 10)]
        for found, expected in zip(native(*arrays), wanted(*arrays)):
            near(found, expected)


def test_maps_are_vector_code(always):
    inputs, outputs, _ = layer(n=2, c=32, k=32, h=16, w=16, pad=1)
    register = {64: "zmm", 32: "ymm", 16: "xmm" if "86" in target().triple else "v"}[target().vector_bytes]
    for kernel in kw.compile(inputs, outputs).kernels:
        if "matrix" in str(kernel.schedule):
            assert kernel.asm.count(register) > 100, kernel.name
