"""Other CPUs: what LLVM reports of them, tiles that stay in their registers, their instructions in the assembly."""

from __future__ import annotations

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu.llvm.build import build
from kernelwright.compiler.targets.cpu.machine import chosen, described, target, targeting
from kernelwright.compiler.targets.cpu.tile_shapes import DOT_TILES, OUTER_TILES, tile_shapes

X86, ARM = ("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"), "neoverse-n1"
MULTIPLY_ADD = re.compile(r"vfmadd\w+ps|fmla|mulps")
STACK = re.compile(r"\(%rsp\)|\[sp\b")
VECTOR = re.compile(r"%[xyz]mm\d|\b[qv]\d+\b|\{ ?v\d")


def runs(cpu: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not described(cpu).runs_here, reason=f"this machine cannot run code for {cpu}")


def tile_assembly(kind: str, rows: int, columns: int, suffix: str = "_full") -> str:
    """A kernel that is one tile over one loop, whose sizes and steps are known at run time only."""
    call = (
        f"outer_tile_{rows}x{columns}_1_f32{suffix}(acc, a, 0, n, m, b, 0, m, n, 1, 48)"
        if kind == "outer"
        else f"dot_tile_{rows}x{columns}_1_f32(acc, a, 0, n, m, b, 0, n, m, m, n, 1, 48)"
    )
    buffers = "".join(f"    {x} = float32_at(table, {i})\n" for i, x in enumerate(("acc", "a", "b")))
    sizes = "".join(f"    {x} = size_at(table, {i})\n" for i, x in enumerate(("n", "m"), 3))
    return build(f"def t(table, thread, threads):\n{buffers}{sizes}    {call}\n", "t").asm


def inner_loops(asm: str) -> list[list[str]]:
    """The lines of every loop that holds no other, found by their jumps back, where they multiply and add."""
    lines = asm.splitlines()
    labels: dict[str, int] = {}
    found: list[tuple[int, int]] = []
    for i, line in enumerate(lines):
        if label := re.match(r"(\.L\w+):", line):
            labels[label[1]] = i
        elif (jump := re.match(r"\s+(?:j|b|cb|tb)[a-z.]*\s.*?(\.L\w+)", line)) and jump[1] in labels:
            found.append((labels[jump[1]], i))
    inner = [(a, b) for a, b in found if not any((c, d) != (a, b) and a <= c and d <= b for c, d in found)]
    loops = [lines[a : b + 1] for a, b in inner]
    return [loop for loop in loops if any(MULTIPLY_ADD.search(line) for line in loop)]


@pytest.mark.parametrize(
    ("cpu", "vector_bytes", "registers", "fma"),
    [("x86-64", 16, 16, False), ("x86-64-v3", 32, 16, True), ("x86-64-v4", 64, 32, True), (ARM, 16, 32, True)],
)
def test_llvm_reports_registers_and_multiply_adds(cpu, vector_bytes, registers, fma):
    this = described(cpu)
    assert (this.vector_bytes, this.vector_registers, this.fma) == (vector_bytes, registers, fma)


def test_tiles_fit_the_registers():
    with targeting("x86-64-v4"):
        assert tile_shapes("outer") == OUTER_TILES and tile_shapes("dot") == DOT_TILES
    with targeting(ARM):
        assert (12, 2) in tile_shapes("outer") and (7, 4) not in tile_shapes("outer")
    with targeting("x86-64-v3"):
        assert {(6, 2), (4, 3)} <= set(tile_shapes("outer"))
        assert all(r * v + v + 1 <= 16 for kind in ("outer", "dot") for r, v in tile_shapes(kind))


@pytest.mark.parametrize(
    ("cpu", "instruction"),
    [
        ("x86-64-v2", r"mulps\s.*%xmm"),
        ("x86-64-v3", r"vfmadd\w+ps\s.*%ymm"),
        ("x86-64-v4", r"vfmadd\w+ps\s.*%zmm"),
        (ARM, r"fmla\s+v\d+\.4s"),
    ],
)
@pytest.mark.parametrize(("kind", "most"), [("outer", 4), ("dot", 2)])
def test_sums_of_the_largest_tiles_stay_in_registers(cpu, instruction, kind, most):
    with targeting(cpu):
        largest = sorted(tile_shapes(kind), key=lambda t: -t[0] * t[1])[:most]
        for rows, columns in largest:
            loop = inner_loops(tile_assembly(kind, rows, columns))[0]
            assert sum(bool(re.search(instruction, line)) for line in loop) == rows * columns
            assert not [line for line in loop if STACK.search(line) and VECTOR.search(line)]


@pytest.mark.parametrize("cpu", ["x86-64-v2", ARM])
def test_whole_tiles_have_no_branch_for_each_lane_without_masks_in_hardware(cpu):
    with targeting(cpu):
        loops = inner_loops(tile_assembly("outer", 6, 2, suffix=""))
        assert min(map(len, loops)) <= len(inner_loops(tile_assembly("outer", 6, 2))[0]) + 4


def network(batch: int = 5):
    """A step with convolutions, a pooling, dense layers and every kind of gradient, and its inputs."""
    x, t = kw.input("x", (None, 3, 12, 12)), kw.input("t", (None,), "int32")
    net = kw.nn.Sequential(
        kw.nn.Conv(6, 3, pad=1), kw.relu, kw.nn.MaxPool(2), kw.nn.Conv(10, 3), kw.tanh, kw.nn.Flatten(), kw.nn.Dense(7)
    )
    loss = kw.losses.cross_entropy(net(x), t)
    grads = kw.grad(loss, net.parameters())
    rng = np.random.default_rng(0)
    arrays = [rng.random((batch, 3, 12, 12), np.float32), rng.integers(0, 7, batch).astype("int32")]
    return [x, t], [loss, *grads], arrays


@pytest.mark.slow
@pytest.mark.parametrize("cpu", [pytest.param(cpu, marks=runs(cpu)) for cpu in X86])
def test_a_network_agrees_with_the_reference_on_older_cpus(cpu):
    inputs, outputs, arrays = network()
    exact = kw.compile(inputs, outputs, device="reference").run(arrays)
    with targeting(cpu):
        program = kw.compile(inputs, outputs)
    for ours, theirs in zip(program.run(arrays), exact):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_a_program_for_another_machine_is_read_and_not_run(monkeypatch):
    x, w = kw.input("x", (None, 24)), kw.input("w", (24, 32))
    other = ARM if target().triple.startswith("x86_64") else "x86-64-v3"
    monkeypatch.setenv("KERNELWRIGHT_CPU", other)
    program = kw.compile([x, w], [kw.tanh(x @ w)])
    monkeypatch.undo()
    asm = program.kernels[0].asm  # read after the setting is gone: the program keeps its CPU
    assert re.search(r"fmla\s+v\d+\.4s" if other == ARM else r"vfmadd\w+ps\s.*%ymm", asm)
    with pytest.raises(kw.CompileError, match=rf"compiled for {other}.*can be read, not run"):
        program(np.zeros((2, 24), np.float32), np.zeros((24, 32), np.float32))


@runs("x86-64-v3")
def test_kernels_for_two_cpus_do_not_share_a_cache_entry():
    x = kw.input("x", (None, 24))
    here = kw.compile([x], [kw.exp(x)]).kernels[0]
    with targeting("x86-64-v3"):
        there = kw.compile([x], [kw.exp(x)]).kernels[0]
    assert here.source == there.source and here.key != there.key
    assert "ymm" in there.asm and "zmm" not in there.asm


def test_an_unknown_cpu_is_named_with_those_that_there_are(monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_CPU", "pentium9")
    with pytest.raises(kw.CompileError, match=r"no CPU 'pentium9'.*x86-64-v3.*neoverse-n1"):
        kw.compile([x := kw.input("x", (3,))], [x + 1])
    assert chosen() == "pentium9"
