"""Products from packed operands: right at every edge, the same on any number of threads, in bounds as Python runs them.

Products this small are not packed by themselves; here they are, in tasks of few tiles and in short parts of the sum.
"""

from __future__ import annotations

import fnmatch
from dataclasses import replace

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.lowering.kernel_order import plan_memory
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu import packing, traced
from kernelwright.compiler.targets.cpu.core import core
from kernelwright.compiler.targets.cpu.printer import print_kernel
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.cpu.verify_kernels import verify_kernels
from kernelwright.runtime import binding


@pytest.fixture(autouse=True)
def packed_however_small(monkeypatch):
    monkeypatch.setattr(binding, "MEETING", 0.0)
    monkeypatch.setattr(packing, "SMALL", 0)
    monkeypatch.setattr(packing, "LONGEST", 24)
    monkeypatch.setattr(packing, "DOWN", (2, 1))
    monkeypatch.setattr(packing, "ACROSS", (2, 1))
    monkeypatch.setattr(packing, "_step", lambda *_: 0.0)
    monkeypatch.setattr(packing, "core", lambda: replace(core(), copy=0.0, piece=0.0))
    for cost in ("GATHER", "ROW", "PIECE", "START", "EPILOGUE"):
        monkeypatch.setattr(packing, cost, 0.0)


def matrices(m, k, n, dtype="float32"):
    a, b = kw.input("a", (None, k), dtype), kw.input("b", (k, n), dtype)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n))]
    exact = arrays[0].astype("float64") @ arrays[1]
    return [a, b], kw.relu(a @ b + 0.5), arrays, np.maximum(exact + 0.5, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, k, n", [(1, 2, 2), (14, 24, 32), (15, 25, 33), (61, 70, 100), (3, 200, 5)])
def test_products_of_matrices(m, k, n, dtype):
    inputs, output, arrays, want = matrices(m, k, n, dtype)
    program = kw.compile(inputs, [output], threads=2)
    assert any("packed for" in kernel.schedule for kernel in program.kernels)
    scale = np.abs(arrays[0]).astype("float64") @ np.abs(arrays[1]) + 1
    assert (np.abs(program(*arrays) - want) <= 1e-6 * scale).all()


def test_bfloat16_is_widened_as_it_is_copied():
    a, b = kw.input("a", (None, 70), "bfloat16"), kw.input("b", (70, 100), "bfloat16")
    rng = np.random.default_rng(3)
    arrays = [kw.to_bfloat16(rng.normal(size=shape).astype("float32")) for shape in ((61, 70), (70, 100))]
    program = kw.compile([a, b], [a @ b], threads=2)
    assert any("packed for" in kernel.schedule for kernel in program.kernels)
    exact = kw.from_bfloat16(arrays[0]).astype("float64") @ kw.from_bfloat16(arrays[1])
    np.testing.assert_allclose(kw.from_bfloat16(program(*arrays)), exact, rtol=2**-8, atol=1e-4)


def test_the_second_operand_transposed_and_products_in_batches():
    rng = np.random.default_rng(1)
    a, b = kw.input("a", (3, 20, 30)), kw.input("b", (3, 30, 40))
    arrays = [rng.normal(size=shape).astype("float32") for shape in ((3, 20, 30), (3, 30, 40))]
    outputs = [a @ b, kw.transpose(b, (0, 2, 1)) @ kw.transpose(a, (0, 2, 1))]
    program = kw.compile([a, b], outputs)
    exact = arrays[0].astype("float64") @ arrays[1]
    for got, want in zip(program(*arrays), (exact, exact.transpose(0, 2, 1))):
        np.testing.assert_allclose(got, want, atol=1e-4)


CONVOLUTIONS = [
    (2, 3, 9, 8, 5, 3, 1, 1),
    (3, 4, 7, 7, 33, 1, 1, 0),
    (2, 24, 11, 9, 40, 3, 2, 1),
    (2, 3, 12, 10, 4, 5, 3, 2),
    (1, 6, 8, 8, 7, 1, 2, 0),
]


def convolved(n, c, h, w, k, window, stride, pad):
    x, weight = kw.input("x", (None, c, h, w)), kw.input("w", (k, c, window, window))
    y = kw.conv(x, weight, stride=stride, pad=pad)
    return [x, weight], [y, *kw.grad((y * y).sum(), [x, weight])]


@pytest.mark.parametrize("sizes", CONVOLUTIONS)
def test_convolutions_and_their_gradients(sizes, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_WINOGRAD", "0")
    inputs, outputs = convolved(*sizes)
    n, c, h, w, k, window, *_ = sizes
    rng = np.random.default_rng(2)
    arrays = [rng.normal(size=(n, c, h, w)), rng.normal(size=(k, c, window, window))]
    exact = kw.compile(*convolved_in_double(sizes), device="reference")(*arrays)
    program = kw.compile(inputs, outputs, threads=2)
    assert any("packed for" in kernel.schedule for kernel in program.kernels)
    for got, want in zip(program(*(each.astype("float32") for each in arrays)), exact):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5 * np.abs(want).max())


def convolved_in_double(sizes):
    _, c, h, w, k, window, stride, pad = sizes
    x, weight = kw.input("x", (None, c, h, w), "float64"), kw.input("w", (k, c, window, window), "float64")
    y = kw.conv(x, weight, stride=stride, pad=pad)
    return [x, weight], [y, *kw.grad((y * y).sum(), [x, weight])]


def test_the_bits_do_not_depend_on_the_number_of_threads():
    inputs, output, arrays, _ = matrices(61, 70, 100)
    runs = [kw.compile(inputs, [output], threads=t)(*arrays).tobytes() for t in (1, 2, 3, 7)]
    assert len(set(runs)) == 1


def test_every_element_is_written_once_and_nothing_is_read_outside(monkeypatch):
    monkeypatch.setattr(traced, "ACCESSES", 3_000_000)
    for inputs, outputs in (matrices(31, 30, 40)[:2], convolved(2, 3, 9, 8, 5, 3, 1, 1)):
        outputs = outputs if isinstance(outputs, list) else [outputs]
        target = Cpu(Options(threads=1))
        order = plan_memory(target.planned(inputs, outputs, {}).kernels)
        sources = [print_kernel(kernel) for kernel in order.kernels]
        assert any(fnmatch.fnmatch(source.text, "*a_packed*") for source in sources)
        assert verify_kernels(order.kernels, sources, order.barriers) == []


def test_a_large_product_is_packed_by_itself(monkeypatch):
    monkeypatch.undo()
    a, b = kw.input("a", (1024, 1024)), kw.input("b", (1024, 1024))
    (kernel,) = kw.compile([a, b], [a @ b]).kernels
    assert "packed for" in kernel.schedule


def test_rows_with_gaps_between_them_in_memory():
    """Rows of the first operand run over lines of an image without their ends: neighbours may lie apart."""
    x, w = kw.input("x", (30, 4, 16)), kw.input("w", (30, 40))
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=shape).astype("float32") for shape in (x.shape, w.shape)]
    program = kw.compile([x, w], [x[:, :, 1:15].reshape(30, 56).T @ w], threads=2)
    assert any("packed for" in kernel.schedule for kernel in program.kernels)
    want = arrays[0][:, :, 1:15].reshape(30, 56).T.astype("float64") @ arrays[1]
    np.testing.assert_allclose(program(*arrays), want, rtol=1e-5, atol=1e-5)
