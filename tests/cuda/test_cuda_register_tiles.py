"""Products of float32 without tensor cores in tiles of registers, in lockstep: values, races, resources."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.targets.cuda import lockstep, program, register_tiles
from kernelwright.compiler.targets.cuda.lockstep_memory import LockstepError
from kernelwright.compiler.targets.cuda.register_tiles import TILES, RegisterTiled


@pytest.fixture(autouse=True)
def small_gpu(monkeypatch):
    """One multiprocessor, which small products keep busy."""
    monkeypatch.setattr(register_tiles, "MULTIPROCESSORS", 1)


def whole_numbers(*shapes):
    """Small integers, whose sums of products float32 holds exactly."""
    rng = np.random.default_rng(0)
    return [rng.integers(-4, 5, size=s).astype("float32") for s in shapes]


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("a_turned", [False, True])
@pytest.mark.parametrize("b_turned", [False, True])
@pytest.mark.parametrize("n", [136, 134, 133])
def test_products_with_every_tile_either_way_round(tile, a_turned, b_turned, n, monkeypatch):
    """Rows, columns and terms that no tile divides; copies of 16, 8 and 4 bytes."""
    monkeypatch.setattr(register_tiles, "TILES", (tile,))
    values = whole_numbers((200, 72), (72, n))
    given = [v.T.copy() if turned else v for v, turned in zip(values, (a_turned, b_turned))]
    inputs = [kw.input(name, v.shape) for name, v in zip("ab", given)]
    a, b = (x.transpose((1, 0)) if turned else x for x, turned in zip(inputs, (a_turned, b_turned)))
    built = program.build_kernels(inputs, [kw.relu(a @ b) + 1.0], {})
    (schedule,) = (k.schedule for k in built.kernels)
    assert isinstance(schedule, RegisterTiled) and schedule.tile == tile
    (got,) = program.run_program(built, given)
    np.testing.assert_array_equal(got, np.maximum(values[0] @ values[1], 0) + 1)


@pytest.mark.parametrize("stride, pad, window", [(1, 1, 3), (2, 0, 1), (2, 1, 3)])
def test_convolutions_and_both_gradients(stride, pad, window):
    last, first = (0, 2, 3, 1), (0, 3, 1, 2)
    x, w = kw.input("x", (4, 8, 8, 64)), kw.input("w", (64, window, window, 64))
    y = kw.conv(x.transpose(first), w.transpose(first), stride=stride, pad=pad).transpose(last)
    g = kw.input("g", y.shape)
    outputs = [y, *kw.grad((y * g).sum(), [x, w])]
    values = whole_numbers(x.shape, w.shape, g.shape)
    built = program.build_kernels([x, w, g], outputs, {})
    assert sum(isinstance(k.schedule, RegisterTiled) for k in built.kernels) == 3
    got = program.run_program(built, values)
    for found, want in zip(got, evaluate(outputs, dict(zip([x, w, g], values)))):
        np.testing.assert_array_equal(found, want)


def test_operands_that_are_computed_or_narrow():
    """Arithmetic that fusion has put into an operand, and words of bfloat16, pass through registers."""
    a, b = kw.input("a", (128, 64)), kw.input("b", (64, 128), "bfloat16")
    built = program.build_kernels([a, b], [kw.abs(a) @ b.astype("float32")], {})
    assert any(isinstance(k.schedule, RegisterTiled) for k in built.kernels)
    values = whole_numbers(a.shape, b.shape)
    (got,) = program.run_program(built, [values[0], kw.to_bfloat16(values[1])])
    np.testing.assert_array_equal(got, np.abs(values[0]) @ values[1])


@pytest.mark.parametrize(
    "was, becomes, error",
    [
        ("wait_copies_1()\n            cuda.syncthreads()", "wait_copies_1()", "race|has not brought"),
        ("wait_copies_1()", "wait_copies_2()", "has not brought"),
        ("stage == 3", "stage == 2", "has not brought|race|reads"),
        ("cuda.syncthreads()\n    results", "results", "no barrier in between"),
    ],
)
def test_the_executor_finds_what_would_be_wrong(was, becomes, error, monkeypatch):
    monkeypatch.setattr(register_tiles, "TILES", TILES[:1])
    a, b = kw.input("a", (256, 96)), kw.input("b", (96, 128))
    (kernel,) = program.build_kernels([a, b], [a @ b], {}).kernels
    assert was in kernel.source.text
    memory = [np.ones(n, "float32") for n in (256 * 96, 96 * 128, 256 * 128)]
    grid = program.blocks(kernel.source.launch, {})
    with pytest.raises(LockstepError, match=error):
        lockstep.run(kernel.source.text.replace(was, becomes), kernel.source.launch.threads, grid, memory)


@pytest.mark.parametrize("tile", TILES, ids=str)
def test_code_has_no_spills_and_two_blocks(toolkit, tile, monkeypatch):
    monkeypatch.setattr(register_tiles, "TILES", (tile,))
    a, b = kw.input("a", (256, 512)), kw.input("b", (512, 128))
    (kernel,) = program.build_kernels([a, b], [a @ b], {}).kernels
    assert 2 * (kernel.source.launch.shared + 1024) <= 164 * 1024  # an A100's
    for arch in ((8, 0), (9, 0)):
        code = kernel.compile(arch)
        if code.cubin is not None:
            assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", code.log)
