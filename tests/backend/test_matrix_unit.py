"""Products of bfloat16 by the matrix unit: right at every edge, in bounds as Python runs them.

Products this small do not go there by themselves; here they do, in tasks of few tiles and in short parts of the sum.
What the kernels' Python computes is checked on every machine, what the unit computes where there is one.
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
from kernelwright.compiler.targets.cpu.interpret import interpret
from kernelwright.compiler.targets.cpu.machine import target, targeting
from kernelwright.compiler.targets.cpu.printer import print_kernel
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.cpu.verify_kernels import verify_kernels
from kernelwright.runtime import binding

needs_unit = pytest.mark.skipif(not target().matrix_unit, reason="the CPU has no matrix unit")


@pytest.fixture(autouse=True)
def unit_however_small(monkeypatch):
    monkeypatch.setattr(binding, "MEETING", 0.0)
    monkeypatch.setattr(packing, "SMALL", 0)
    monkeypatch.setattr(packing, "LONGEST", 70)
    monkeypatch.setattr(packing, "DOWN", (2, 1))
    monkeypatch.setattr(packing, "ACROSS", (2, 1))
    monkeypatch.setattr(packing, "PRODUCT", 0.0)
    monkeypatch.setattr(packing, "MATRIX", packing.Form("matrix", 2, 4, copy=0.0, gather=0.0))
    monkeypatch.setattr(packing, "core", lambda: replace(core(), copy=0.0, piece=0.0))
    for cost in ("GATHER", "ROW", "PIECE", "START", "EPILOGUE"):
        monkeypatch.setattr(packing, cost, 0.0)


def narrow(shape, seed=0):
    return kw.to_bfloat16(np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32"))


def wide(words):
    return kw.from_bfloat16(words).astype("float64")


def product(m, k, n, turned=False):
    """(inputs, their product, arrays, what it is); turned: the first operand lies with the sum outside."""
    a, b = kw.input("a", (k, m) if turned else (m, k), "bfloat16"), kw.input("b", (k, n), "bfloat16")
    arrays = [narrow(a.shape), narrow((k, n), 1)]
    exact = (wide(arrays[0]).T if turned else wide(arrays[0])) @ wide(arrays[1])
    return [a, b], (kw.transpose(a) if turned else a) @ b, arrays, exact


def convolution(n, c, h, w, k, window, stride, pad, dtype="bfloat16"):
    x, weight = kw.input("x", (None, c, h, w), dtype), kw.input("w", (k, c, window, window), dtype)
    y = kw.conv(x, weight, stride=stride, pad=pad)
    wide_type = "float32" if dtype == "bfloat16" else dtype
    loss = (y.astype(wide_type) * 0.125).sum()
    return [x, weight], [y, *kw.grad(loss, [x, weight])]


SIZES = [(4, 40, 20), (16, 32, 16), (33, 70, 49), (61, 200, 100), (3, 5, 130), (64, 64, 64)]
CONVOLUTIONS = [
    (2, 3, 9, 8, 5, 3, 1, 1),
    (3, 16, 7, 7, 33, 1, 1, 0),
    (2, 32, 11, 9, 40, 3, 2, 1),
    (1, 6, 8, 8, 7, 1, 2, 0),
]


@needs_unit
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("m, k, n", SIZES)
def test_products_of_matrices(m, k, n, turned):
    inputs, output, arrays, exact = product(m, k, n, turned)
    program = kw.compile(inputs, [output], threads=2)
    assert any(kernel.schedule.startswith("matrix tile") for kernel in program.kernels)
    sure = np.abs(wide(arrays[0]).T if turned else wide(arrays[0])) @ np.abs(wide(arrays[1]))
    assert (np.abs(wide(program(*arrays)) - exact) <= 2**-8 * np.abs(exact) + 1e-6 * sure).all()


@needs_unit
@pytest.mark.parametrize("sizes", CONVOLUTIONS)
def test_convolutions_and_their_gradients(sizes):
    inputs, outputs = convolution(*sizes)
    n, c, h, w, k, window, *_ = sizes
    arrays = [narrow((n, c, h, w)), narrow((k, c, window, window), 1)]
    exact = kw.compile(*convolution(*sizes, dtype="float64"), device="reference")(*map(wide, arrays))
    program = kw.compile(inputs, outputs, threads=2)
    assert any(kernel.schedule.startswith("matrix tile") for kernel in program.kernels)
    for got, want in zip(program(*arrays), exact):
        np.testing.assert_allclose(wide(got), want, rtol=2**-8, atol=2**-8 * np.abs(want).max() / 8)


@needs_unit
def test_the_bits_do_not_depend_on_the_number_of_threads():
    inputs, output, arrays, _ = product(61, 200, 100)
    runs = [kw.compile(inputs, [output], threads=t)(*arrays).tobytes() for t in (1, 2, 3, 7)]
    assert len(set(runs)) == 1


@pytest.mark.parametrize("turned", [False, True])
def test_what_the_kernel_says_is_the_product(turned):
    inputs, output, arrays, exact = product(35, 37, 50, turned)
    with targeting("sapphirerapids"):
        (kernel,) = Cpu(Options(threads=1)).planned(inputs, [output], {}).kernels
        source = print_kernel(kernel)
    assert "matrix_tile" in source.text and ("matrix_turned" in source.text) == turned
    given = dict(zip((node.attrs.name for node in inputs), arrays))
    slots = [int(size) for size in source.names.sizes]
    slots += [given[b.name] if b.name in given else np.zeros(b.shape, np.uint16) for b in source.names.buffers]
    interpret(source.text, slots)
    out = next(x for b, x in zip(source.names.buffers, slots[len(source.names.sizes) :]) if b.name not in given)
    np.testing.assert_allclose(wide(out), exact, rtol=2**-8, atol=1e-4)


@pytest.mark.parametrize("what", ["product", "turned", "convolution"])
def test_every_element_is_written_once_and_nothing_is_read_outside(what, monkeypatch):
    monkeypatch.setattr(traced, "ACCESSES", 3_000_000)
    made = {
        "product": lambda: (product(31, 30, 40)[0], [product(31, 30, 40)[1]]),
        "turned": lambda: (product(31, 30, 40, True)[0], [product(31, 30, 40, True)[1]]),
        "convolution": lambda: convolution(2, 16, 5, 4, 5, 3, 1, 1),
    }
    with targeting("sapphirerapids"):
        inputs, outputs = made[what]()
        order = plan_memory(Cpu(Options(threads=1)).planned(inputs, outputs, {}).kernels)
        sources = [print_kernel(kernel) for kernel in order.kernels]
        assert any("matrix_tile" in source.text for source in sources)
        assert verify_kernels(order.kernels, sources, order.barriers) == []


def test_large_products_of_bfloat16_go_there_by_themselves_and_others_do_not(monkeypatch):
    monkeypatch.undo()
    with targeting("sapphirerapids"):
        for dtype, wanted in (("bfloat16", "matrix tile"), ("float32", "outer tile")):
            a, b = kw.input("a", (1024, 1024), dtype), kw.input("b", (1024, 1024), dtype)
            (kernel,) = Cpu(Options(threads=1)).planned([a, b], [a @ b], {}).kernels
            assert str(kernel.schedule).startswith(wanted)
    with targeting("x86-64-v4"):
        a, b = kw.input("a", (1024, 1024), "bfloat16"), kw.input("b", (1024, 1024), "bfloat16")
        (kernel,) = Cpu(Options(threads=1)).planned([a, b], [a @ b], {}).kernels
        assert str(kernel.schedule).startswith("outer tile")


@needs_unit
@pytest.mark.parametrize("shape", ["matrix tile 32x2", "matrix tile 16x3", "matrix tile 48x1", "matrix tile 16x1"])
def test_the_shape_may_be_chosen(shape):
    inputs, output, arrays, exact = product(61, 200, 100)
    program = kw.compile(inputs, [output], schedules={"*": shape})
    assert program.kernels[-1].schedule.startswith(shape)
    np.testing.assert_allclose(wide(program(*arrays)), exact, rtol=2**-8, atol=1e-3)
