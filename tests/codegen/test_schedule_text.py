"""Schedules as text: what is printed means the same schedule again, in any process; users' texts and mistakes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu.schedule import Blocked, Chunked, Plain, Tile, Transform
from kernelwright.compiler.targets.cpu.schedule_text import parse
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.shared.kernel_text import show


def small_step():
    """Plain, blocked and chunked loops, outer and dot tiles."""
    x, t = kw.input("x", (None, 3, 12, 12)), kw.input("t", (None,), "int32")
    net = kw.nn.Sequential(kw.nn.Conv(6, 3, pad=1), kw.relu, kw.nn.MaxPool(2), kw.nn.Flatten(), kw.nn.Dense(7))
    loss = kw.losses.cross_entropy(net(x), t)
    return [x, t], [loss, *kw.grad(loss, net.parameters())]


def wide_convolution():
    """Maps of tiles, or panels: 3x3 convolutions of many channels, and a long sum in blocks."""
    x, w = kw.input("x", (None, 64, 14, 14)), kw.input("w", (64, 64, 3, 3))
    y = kw.conv(x, w, pad=1)
    return [x, w], [y, *kw.grad((y * y).sum(), [w])]


def strided_convolution():
    x, w = kw.input("x", (None, 32, 15, 15)), kw.input("w", (48, 32, 5, 5))
    return [x, w], [kw.relu(kw.conv(x, w, pad=2, stride=2))]


def long_sum():
    x, w = kw.input("x", (None, 64, 28, 28)), kw.input("w", (64, 64, 1, 1))
    return [x, w], kw.grad((kw.conv(x, w) ** 2).sum(), [w])


def products():
    """Packed operands: rows along one axis and along several, the sum in one part and in several, padding as zeros."""
    x, w = kw.input("x", (None, 96, 30, 30)), kw.input("w", (96, 96, 5, 5))
    a, b = kw.input("a", (500, 700)), kw.input("b", (700, 600))
    y = kw.conv(x, w, pad=2, stride=3)
    return [x, w, a, b], [y, *kw.grad((y * y).sum(), [w]), a @ b, a[:, :200] @ b[:200]]


PROGRAMS = (small_step, wide_convolution, strided_convolution, long_sum, products)


def scheduled(inputs, outputs):
    return Cpu(Options()).planned(inputs, outputs, {}).kernels


def without_panel(schedule):
    """A panel has axes of its own, made anew each time that one is planned."""
    return replace(schedule, panel=None) if isinstance(schedule, Tile) else schedule


def without_grids(schedule):
    return replace(schedule, rows=None, columns=None) if isinstance(schedule, Transform) else schedule


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_printed_schedule_is_read_as_itself(program):
    for kernel in scheduled(*program()):
        text = show(kernel.schedule, kernel)
        again = parse(text, kernel)
        assert without_grids(without_panel(again)) == without_grids(without_panel(kernel.schedule))
        assert show(again, kernel) == text


def test_the_programs_above_have_every_kind_of_schedule():
    kernels = [k for program in PROGRAMS for k in scheduled(*program())]
    kinds = {type(k.schedule) for k in kernels}
    assert {Plain, Blocked, Chunked, Tile, Transform} <= kinds
    tiles = [k.schedule for k in kernels if isinstance(k.schedule, Tile)]
    assert {t.kind for t in tiles} == {"outer", "dot"} and any(t.panel for t in tiles)
    assert {(bool(t.packing), bool(t.block)) for t in tiles} == {(a, b) for a in (False, True) for b in (False, True)}


def test_the_text_is_the_same_in_another_process():
    code = """
import kernelwright as kw
x, w = kw.input("x", (None, 24)), kw.input("w", (24, 40))
print(*[k.schedule + k.loops for k in kw.compile([x, w], [kw.tanh(x @ w)]).kernels])
"""
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = kw.compile(*product())
    assert there.rstrip() == " ".join(k.schedule + k.loops for k in here.kernels)
    assert "rows i0, columns i1, lanes i1, summing r0" in there


def product():
    x, w = kw.input("x", (None, 24)), kw.input("w", (24, 40))
    return [x, w], [kw.tanh(x @ w)]


@pytest.mark.parametrize(
    "text",
    [
        "outer tile 3x1",
        "outer tile 9x2",
        "outer tile 2x2: rows i0, columns i1, lanes i1, summing r0, outer none",
        "outer tile 4x1: rows i0, columns i1, lanes i1, summing r0, outer none, 96 tiles together over 7 of r0",
        "loops i1 i0",
        "loops i0, lanes along i1 in chunks of 64",
    ],
)
def test_an_override_is_what_runs(text):
    inputs, outputs = product()
    program = kw.compile(inputs, outputs, schedules={"*contract*": text})
    kernel = next(k for k in program.kernels if "contract" in k.name)
    assert kernel.schedule.startswith(text)
    if "tile" in text:
        assert text.split(":")[0].replace(" ", "_").replace("_tile_", "_tile_") in kernel.source
    rng = np.random.default_rng(0)
    x, w = rng.random((37, 24), np.float32), rng.random((24, 40), np.float32)
    np.testing.assert_allclose(program(x, w), np.tanh(x @ w), rtol=1e-5)


def test_other_kernels_keep_their_schedules():
    inputs, outputs = small_step()
    plain = kw.compile(inputs, outputs)
    changed = kw.compile(inputs, outputs, schedules={"conv1_contract_add*": "outer tile 2x1"})
    differing = {a.name for a, b in zip(plain.kernels, changed.kernels) if a.schedule != b.schedule}
    assert len(differing) == 1 and differing.pop().startswith("conv1_contract_add")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"nosuch": "loops i0"}, r"no kernel is called 'nosuch'; there are .*contract"),
        ({"*contract*": "tile it well"}, r"'tile it well' is no schedule; write \"loops i0 i1\""),
        ({"*contract*": "loops i0 i7"}, r"no axis i7 \(axes of the kernel: i0 < batch, i1 < 40, r0 < 24\)"),
        ({"*contract*": "loops i0"}, r"the loops must be i0 i1 in some order"),
        ({"*contract*": "outer tile 40x40"}, r"up to 64 sums, not 1600"),
        (
            {"*contract*": "outer tile 4x2: rows i1, columns i0, lanes i0, summing r0, outer none"},
            r"the addresses allow rows i0, columns i1, lanes i1",
        ),
        ({"*contract*": "loops i0, then 32x32 blocks of i1 and i0"}, r"must be i0 i1 in some order"),
        ({"*contract*": "tiles of F4 matrix: lanes i1, outer i0"}, r"the kernel's map of tiles is none"),
    ],
)
def test_a_text_that_does_not_fit_is_one_error(wanted, message):
    inputs, outputs = product()
    with pytest.raises(kw.CompileError, match=message):
        kw.compile(inputs, outputs, schedules=wanted)
