"""Packed contractions whose sums are cut: gradients of strided convolutions, right for every stride, window and size.

A stride leaves out taps of the weights for some of the image's places, so a condition speaks of the second operand.
Sums this small are not packed by themselves; here they are, in tasks of few tiles and in short parts of the sum.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.lowering.kernel_order import plan_memory
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu import packing, traced
from kernelwright.compiler.targets.cpu.core import core
from kernelwright.compiler.targets.cpu.machine import target, targeting
from kernelwright.compiler.targets.cpu.printer import print_kernel
from kernelwright.compiler.targets.cpu.sum_conditions import kept
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.cpu.verify_kernels import verify_kernels
from kernelwright.runtime import binding

needs_unit = pytest.mark.skipif(not target().matrix_unit, reason="the CPU has no matrix unit")
TYPES = ["float32", pytest.param("bfloat16", marks=needs_unit)]
SIZES = [  # examples, channels, height, width, filters, window, stride, pad
    (2, 16, 8, 6, 33, 3, 2, 1),
    (1, 33, 9, 11, 16, 3, 2, 1),
    (3, 5, 12, 9, 40, 3, 3, 0),
    (2, 40, 10, 8, 17, 1, 2, 0),
    (2, 17, 9, 12, 6, 1, 3, 0),
    (1, 4, 14, 12, 20, 7, 2, 3),
    (2, 3, 15, 13, 18, 7, 3, 3),
]


@pytest.fixture(autouse=True)
def packed_however_small(monkeypatch):
    monkeypatch.setattr(binding, "MEETING", 0.0)
    monkeypatch.setattr(packing, "SMALL", 0)
    monkeypatch.setattr(packing, "LONGEST", 24)
    monkeypatch.setattr(packing, "DOWN", (2, 1))
    monkeypatch.setattr(packing, "ACROSS", (2, 1))
    monkeypatch.setattr(packing, "PRODUCT", 0.0)
    monkeypatch.setattr(packing, "MATRIX", packing.Form("matrix", 2, 4, copy=0.0, gather=0.0))
    monkeypatch.setattr(packing, "_step", lambda *_: 0.0)
    monkeypatch.setattr(packing, "core", lambda: replace(core(), copy=0.0, piece=0.0))
    for cost in ("GATHER", "ROW", "PIECE", "START", "EPILOGUE"):
        monkeypatch.setattr(packing, cost, 0.0)


def gradients(sizes, dtype):
    """(inputs, gradients to the image and to the weights) of a convolution, from those to its result."""
    n, c, h, w, k, window, stride, pad = sizes
    x, weight = kw.input("x", (n, c, h, w), dtype), kw.input("w", (k, c, window, window), dtype)
    y = kw.conv(x, weight, stride=stride, pad=pad)
    g = kw.input("g", y.shape, dtype)
    wide = (y.astype("float32") * g.astype("float32")).sum()
    return [x, weight, g], kw.grad(wide, [x, weight])


def by_hand(x, weight, g, stride, pad):
    """The same, tap by tap."""
    rows, columns = g.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    to_image, to_weights = np.zeros_like(padded), np.zeros_like(weight)
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            there = np.s_[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
            to_image[there] += np.einsum("nkhw,kc->nchw", g, weight[:, :, i, j])
            to_weights[:, :, i, j] = np.einsum("nkhw,nchw->kc", g, padded[there])
    return to_image[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], to_weights


def cut(kernel):
    """Is the kernel packed, with conditions that its sum keeps?"""
    t = kernel.schedule
    if getattr(t, "packing", None) is None:
        return False
    return bool(kept(t.a, t.b, t.conditions, t.packing.rows, t.column, t.summed).of_sum)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_of_strided_convolutions(sizes, dtype):
    inputs, outputs = gradients(sizes, dtype)
    rng = np.random.default_rng(sizes)
    arrays = [rng.normal(size=t.shape).astype("float32") for t in inputs]
    if dtype == "bfloat16":
        arrays = [kw.to_bfloat16(x) for x in arrays]
    wide = [(kw.from_bfloat16(x) if dtype == "bfloat16" else x).astype("float64") for x in arrays]
    for got, want in zip(kw.compile(inputs, outputs, threads=2)(*arrays), by_hand(*wide, *sizes[-2:])):
        if dtype == "bfloat16":
            np.testing.assert_allclose(kw.from_bfloat16(got), want, rtol=2**-8, atol=2**-10 * np.abs(want).max())
        else:
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6 * np.abs(want).max())


@pytest.mark.parametrize("sizes", [SIZES[0], SIZES[3]])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sums_that_a_stride_cuts_are_packed_and_nothing_is_read_outside(sizes, dtype, monkeypatch):
    monkeypatch.setattr(traced, "ACCESSES", 3_000_000)
    with targeting("sapphirerapids"):
        inputs, outputs = gradients(sizes, dtype)
        order = plan_memory(Cpu(Options(threads=1)).planned(inputs, outputs, {}).kernels)
        sources = [print_kernel(kernel) for kernel in order.kernels]
        assert any(map(cut, order.kernels))
        assert verify_kernels(order.kernels, sources, order.barriers) == []
