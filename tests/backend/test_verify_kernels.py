"""Printed kernels checked by running them: whole training steps pass, hand-made faults are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

import kernelwright as kw
from kernelwright.compiler.lowering.kernel_order import plan_memory
from kernelwright.compiler.rewriting.verify import VerifyError
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu import alike, traced, winograd
from kernelwright.compiler.targets.cpu.printer import print_kernel
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.cpu.verify_kernels import verify_kernels


def printed(inputs, outputs, updates=None):
    """(kernels, sources, barriers) of a program."""
    order = plan_memory(Cpu(Options(threads=1)).planned(inputs, outputs, updates or {}).kernels)
    return order.kernels, [print_kernel(kernel) for kernel in order.kernels], order.barriers


def training(net, shape, optimizer):
    x, t = kw.input("x", (None, *shape)), kw.input("t", (None,), "int32")
    loss = kw.cross_entropy(net(x, training=True), t)
    updates = optimizer.updates(net.parameters(), kw.grad(loss, net.parameters()))
    return [x, t], [loss], {**net.updates(), **updates}


NETS = {
    "dense": lambda: (kw.nn.Sequential(kw.nn.Dense(5), kw.tanh, kw.nn.Dense(3)), (7,), kw.optim.Adam(1e-3)),
    "convolution": lambda: (
        kw.nn.Sequential(
            *(kw.nn.Conv(4, 3, pad=1, stride=2), kw.nn.BatchNorm(), kw.relu, kw.nn.MaxPool(2), kw.nn.Flatten()),
            *(kw.nn.Dropout(0.2), kw.nn.Dense(3)),
        ),
        (2, 9, 7),
        kw.optim.SGD(0.1, momentum=0.9),
    ),
    "two convolutions": lambda: (
        kw.nn.Sequential(kw.nn.Conv(5, 3, pad=1), kw.relu, kw.nn.Conv(3, 3), kw.nn.Flatten(), kw.nn.Dense(3)),
        (2, 4, 5),
        kw.optim.RMSprop(1e-3),
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_a_training_step_passes(name, monkeypatch):
    monkeypatch.setattr(traced, "ACCESSES", 1_000_000)
    assert verify_kernels(*printed(*training(*NETS[name]()))) == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tiles_pass_whatever_their_edges(dtype):
    for k, n in ((1, 1), (5, 33), (17, 16), (3, 70)):
        a, b = kw.input("a", (None, k), dtype), kw.input("b", (k, n), dtype)
        c = kw.input("c", (None, n), dtype)
        product = (a @ b).astype("float32")
        assert verify_kernels(*printed([a, b, c], [product, a.T @ c, c @ b.T])) == []


def test_maps_of_small_tiles_pass():
    x, w = kw.input("x", (None, 32, 8, 8)), kw.input("w", (32, 32, 3, 3))
    kernels, sources, _ = printed([x, w], [kw.relu(kw.conv(x, w, pad=1))])
    maps = [i for i, source in enumerate(sources) if "transform_" in source.text]
    assert len(maps) == 3
    kernels, sources = ([each[i] for i in maps] for each in (kernels, sources))
    assert verify_kernels(kernels, sources, [True] * 3) == []


def broken(program, old, new):
    """The first kernel that holds `old`, with `new` in its place."""
    kernels, sources, barriers = program
    number = next(i for i, source in enumerate(sources) if old in source.text)
    text = sources[number].text.replace(old, new, 1)
    return kernels, [*sources[:number], replace(sources[number], text=text), *sources[number + 1 :]], barriers


def pointwise():
    x = kw.input("x", (None, 4))
    return printed([x], [x * 3.0])


def product():
    a, b = kw.input("a", (None, 7)), kw.input("b", (7, 85))
    return printed([a, b], [a @ b + 1.0])


@pytest.mark.parametrize(
    ("program", "old", "new", "says"),
    [
        (pointwise, "    buf1[i]", "    if i != 2:\n                buf1[i]", r"output\[2\] is never written"),
        (pointwise, "points, size0)", "points, size0) + (piece + 1) // pieces", r"\[12\] is read, of 12 elements"),
        (pointwise, "buf0[i]", "buf0[i - 1]", r"x\[-1\] is read"),
        (pointwise, "buf1[i]", "buf1[i + 1]", r"output\[12\] is written, of 12 elements"),
        (pointwise, "pieces * (thread + 1) // threads", "pieces", "written twice, by thread 0 and then by thread 1"),
        (pointwise, "buf1[i]", "buf1[0]", "written twice, by thread 0 and then by thread 0"),
        (product, "(n + z)", "z", "is written twice"),
        (product, "acc[y", "acc[10000 + y", r"float32 scratch\[10000\] is read, of \d+ elements"),
        (product, "        outer_tile", "        if n > 0:\n            outer_tile", "is read before it is written"),
    ],
)
def test_a_broken_kernel_is_refused(program, old, new, says):
    good = program()
    assert verify_kernels(*good) == []
    with pytest.raises(VerifyError, match=says) as error:
        verify_kernels(*broken(good, old, new))
    text = str(error.value)
    assert "  line " in text and f"computed at {__file__}:" in text and "def " in text


def test_a_missing_barrier_is_refused():
    x = kw.input("x", (None, 6))
    shares = kw.exp(x).sum(0)
    kernels, sources, barriers = printed([x], [shares / shares.sum()])
    assert any(barriers)
    assert verify_kernels(kernels, sources, barriers) == []
    with pytest.raises(
        VerifyError, match=r"is read by thread \d, and written by thread \d in .* without a barrier"
    ) as e:
        verify_kernels(kernels, sources, [False] * len(barriers))
    assert "  line " in str(e.value) and "= exp" not in str(e.value).split("line ")[1].splitlines()[0]


def test_a_variable_that_another_thread_still_reads_is_refused():
    v = kw.variable("v", [float(n) for n in range(20)])
    good = printed([], [], {v: v * 2.0})
    assert verify_kernels(*good) == []
    with pytest.raises(VerifyError, match="without a barrier"):
        verify_kernels(*broken(good, "buf0[i] *", "buf0[19 - i] *"))


def test_long_and_large_kernels_are_named():
    x, w = kw.input("x", (None, 300)), kw.input("w", (300, 300))
    notes = verify_kernels(*printed([x, w], [x @ w]))
    assert len(notes) == 1 and notes[0].endswith("is too long to be run whole")
    y = kw.input("y", (1 << 13, 1 << 10))
    assert verify_kernels(*printed([y], [y + 1.0])) == ["add is too large to be run whole"]


def test_compiling_at_the_deep_level_checks_kernels(monkeypatch):
    x = kw.input("x", (None, 4))
    monkeypatch.setenv("KERNELWRIGHT_VERIFY", "2")
    assert kw.compile([x], [x * 5.0]).trace.steps[-1].name == "verify_kernels"
    print_well = alike.print_kernel

    def print_badly(kernel):
        source = print_well(kernel)
        return replace(source, text=source.text.replace("(thread + 1)", "thread"))

    monkeypatch.setattr(alike, "print_kernel", print_badly)
    with pytest.raises(VerifyError, match="is never written"):
        kw.compile([x], [x * 7.0])


@pytest.mark.parametrize(("channels", "filters", "size", "batch"), [(3, 4, 9, 3), (2, 3, 7, 1)])
def test_winograds_maps_of_narrow_images_keep_to_their_memory(channels, filters, size, batch, monkeypatch):
    """Their vectors reach past the last pixels of a buffer, into the bytes that the runtime keeps readable there."""
    monkeypatch.setenv("KERNELWRIGHT_VERIFY", "2")
    monkeypatch.setattr(winograd, "WORTH", 1e9)
    x, w = kw.input("x", (None, channels, size, size)), kw.input("w", (filters, channels, 3, 3))
    program = kw.compile([x, w], [kw.conv(x, w, pad=1)], typical={"batch": batch})
    assert "winograd_input" in [k.name for k in program.kernels]
    assert program.trace.steps[-1].name == "verify_kernels"
