"""Products by warpgroups (Hopper's `wgmma`), in lockstep: values, what a missing fence or wait does, resources."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.targets.cuda import lockstep, program, warpgroups
from kernelwright.compiler.targets.cuda.lockstep_memory import LockstepError
from kernelwright.compiler.targets.cuda.tensor_cores import TensorCoreTiled
from kernelwright.compiler.targets.cuda.warpgroups import TF32_TILES, TILES, RegisterWarpgroupTiled, WarpgroupTiled

HOPPER = (9, 0)


def whole_numbers(*shapes):
    """Small integers, which bfloat16 holds exactly and float32 sums exactly."""
    rng = np.random.default_rng(0)
    return [rng.integers(-4, 5, size=s).astype("float32") for s in shapes]


@pytest.mark.parametrize("tile", TILES, ids=lambda t: str(t[0]))
@pytest.mark.parametrize("a_turned", [False, True])
@pytest.mark.parametrize("b_turned", [False, True])
def test_products_with_every_tile_either_way_round(tile, a_turned, b_turned, monkeypatch):
    """Rows, columns and terms that no tile divides; operands along their terms and along their rows."""
    monkeypatch.setattr(warpgroups, "TILES", (tile,))
    values = whole_numbers((200, 72), (72, 136))
    given = [v.T.copy() if turned else v for v, turned in zip(values, (a_turned, b_turned))]
    inputs = [kw.input(name, v.shape, "bfloat16") for name, v in zip("ab", given)]
    a, b = (x.transpose((1, 0)) if turned else x for x, turned in zip(inputs, (a_turned, b_turned)))
    built = program.build_kernels(inputs, [(a @ b).astype("float32")], {}, "float32", HOPPER)
    (schedule,) = (k.schedule for k in built.kernels)
    assert isinstance(schedule, WarpgroupTiled) and schedule.tile == tile[0]
    (got,) = program.run_program(built, [kw.to_bfloat16(v) for v in given])
    np.testing.assert_array_equal(got, values[0] @ values[1])


@pytest.mark.parametrize("stride, pad, window", [(1, 1, 3), (2, 0, 1), (2, 1, 3)])
def test_convolutions_and_both_gradients(stride, pad, window):
    last, first = (0, 2, 3, 1), (0, 3, 1, 2)
    x, w = kw.input("x", (4, 8, 8, 64), "bfloat16"), kw.input("w", (64, window, window, 64), "bfloat16")
    y = kw.conv(x.transpose(first), w.transpose(first), stride=stride, pad=pad).transpose(last)
    g = kw.input("g", y.shape, "bfloat16")
    outputs = [y.astype("float32"), *(d.astype("float32") for d in kw.grad((y * g).sum(), [x, w]))]
    values = [np.sign(v) for v in whole_numbers(x.shape, w.shape, g.shape)]  # of which no sum is beyond 256
    built = program.build_kernels([x, w, g], outputs, {}, "bfloat16", HOPPER)
    assert sum(isinstance(k.schedule, WarpgroupTiled) for k in built.kernels) == 3
    got = program.run_program(built, [kw.to_bfloat16(v) for v in values])
    for found, want in zip(got, evaluate(outputs, dict(zip([x, w, g], values)))):
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("tile", TF32_TILES, ids=str)
@pytest.mark.parametrize("a_turned", [False, True])
@pytest.mark.parametrize("b_turned", [False, True])
def test_products_of_tf32_with_every_tile_either_way_round(tile, a_turned, b_turned, monkeypatch):
    """Beside the operands' ways, columns of which no four, no two lie together."""
    monkeypatch.setattr(warpgroups, "TF32_TILES", (tile,))
    monkeypatch.setattr(warpgroups, "MULTIPROCESSORS", 1)
    for n in (136, 134, 133):
        values = whole_numbers((200, 72), (72, n))
        given = [v.T.copy() if turned else v for v, turned in zip(values, (a_turned, b_turned))]
        inputs = [kw.input(name, v.shape) for name, v in zip("ab", given)]
        a, b = (x.transpose((1, 0)) if turned else x for x, turned in zip(inputs, (a_turned, b_turned)))
        built = program.build_kernels(inputs, [a @ b], {}, "tf32", HOPPER)
        (schedule,) = (k.schedule for k in built.kernels)
        assert isinstance(schedule, RegisterWarpgroupTiled) and schedule.tile == tile
        (got,) = program.run_program(built, given)
        np.testing.assert_array_equal(got, values[0] @ values[1])


def test_both_operands_are_rounded_to_tf32_once(monkeypatch):
    """To 10 bits of mantissa, off by at most 0.7 of the last place: 1 + 3/8 places are 1, 1 + 3/4 places one more."""
    monkeypatch.setattr(warpgroups, "MULTIPROCESSORS", 1)
    place = 2.0**-10
    values = np.array([1, 1 + 0.25 * place, 1 + 0.75 * place, -1 - 0.75 * place, 1 + 1.1 * place], "float32")
    want = np.array([1, 1, 1 + place, -1 - place, 1 + place])
    a, b = kw.input("a", (64, 64)), kw.input("b", (64, 64))
    built = program.build_kernels([a, b], [a @ b], {}, "tf32", HOPPER)
    assert isinstance(built.kernels[0].schedule, RegisterWarpgroupTiled)
    one, many = np.eye(64, dtype="float32"), np.ones((64, 64), "float32")
    many[:, :5] = values
    (rounded,) = program.run_program(built, [one, many])
    np.testing.assert_array_equal(rounded[7, :5], want)
    (rounded,) = program.run_program(built, [many.T.copy(), one])
    np.testing.assert_array_equal(rounded[:5, 7], want)


@pytest.mark.parametrize("stride, pad, window, channels", [(1, 1, 3, 64), (2, 0, 1, 64), (2, 1, 3, 64), (1, 2, 5, 32)])
def test_convolutions_of_tf32_and_both_gradients(stride, pad, window, channels, monkeypatch):
    """Channels are two stages of terms (`pieces`), or one."""
    monkeypatch.setattr(warpgroups, "MULTIPROCESSORS", 1)
    last, first = (0, 2, 3, 1), (0, 3, 1, 2)
    x, w = kw.input("x", (4, 8, 8, channels)), kw.input("w", (64, window, window, channels))
    y = kw.conv(x.transpose(first), w.transpose(first), stride=stride, pad=pad).transpose(last)
    g = kw.input("g", y.shape)
    outputs = [y, *kw.grad((y * g).sum(), [x, w])]
    values = [np.sign(v) for v in whole_numbers(x.shape, w.shape, g.shape)]
    built = program.build_kernels([x, w, g], outputs, {}, "tf32", HOPPER)
    schedules = [k.schedule for k in built.kernels if isinstance(k.schedule, RegisterWarpgroupTiled)]
    assert len(schedules) == 3 and any(s.pieces for s in schedules) == (window > 1)
    got = program.run_program(built, values)
    for found, want in zip(got, evaluate(outputs, dict(zip([x, w, g], values)))):
        np.testing.assert_array_equal(found, want)


def test_few_results_are_left_to_smaller_tiles():
    a, b = kw.input("a", (128, 512)), kw.input("b", (512, 512))
    (kernel,) = program.build_kernels([a, b], [a @ b], {}, "tf32", HOPPER).kernels
    assert isinstance(kernel.schedule, TensorCoreTiled) and not isinstance(kernel.schedule, RegisterWarpgroupTiled)


def test_what_results_move_beside_them_decides_the_tile():
    """A short sum whose results are added to others and stored is for tiles of which two share a multiprocessor."""
    a, b, c = (kw.input(n, s, "bfloat16") for n, s in zip("abc", ((12544, 256), (256, 1024), (12544, 1024))))
    (added,) = program.build_kernels([a, b, c], [a @ b + c], {}, "float32", HOPPER).kernels
    d, e = kw.input("d", (4096, 4096), "bfloat16"), kw.input("e", (4096, 4096), "bfloat16")
    (long,) = program.build_kernels([d, e], [d @ e], {}, "float32", HOPPER).kernels
    assert added.schedule.flying == 0 and long.schedule.flying == 1


def test_only_hopper_has_them():
    a, b = kw.input("a", (256, 128), "bfloat16"), kw.input("b", (128, 128), "bfloat16")
    for arch in ((8, 0), (8, 9), (10, 0)):
        (kernel,) = program.build_kernels([a, b], [a @ b], {}, "float32", arch).kernels
        assert isinstance(kernel.schedule, TensorCoreTiled) and not isinstance(kernel.schedule, WarpgroupTiled)


def product_and_memory(tile=TILES[0]):
    a, b = kw.input("a", (256, 512), "bfloat16"), kw.input("b", (512, 128), "bfloat16")
    (kernel,) = program.build_kernels([a, b], [(a @ b).astype("float32")], {}, "float32", HOPPER).kernels
    ones = [kw.to_bfloat16(np.ones(256 * 512, "float32")), kw.to_bfloat16(np.ones(512 * 128, "float32"))]
    return kernel, [*ones, np.zeros(256 * 128, "float32")]


@pytest.mark.parametrize(
    "tile, was, becomes, error",
    [
        (0, "fence_async()", "t = t", "no fence_async"),
        (0, "cuda.syncthreads()\n        a_now", "a_now", "no barrier|has not brought|race"),
        (0, "wait_copies_1()", "wait_copies_2()", "has not brought"),
        (0, "wgmma_wait_1()", "t = t", "reads"),
        (2, "wgmma_wait_0()\n        fence", "fence", "reads"),
        (0, "wgmma_wait_0()\n    cuda", "cuda", "under way are used"),
        (0, "wgmma_commit()", "t = t", "reads|under way"),
        (0, "rest(ready + 2, 4)", "rest(ready + 1, 4)", "has not brought|race|reads"),
        (0, "a_now + first * 32", "a_now + first * 32 + 8", "between pieces"),
    ],
)
def test_the_executor_finds_what_would_be_wrong_without_a_word(tile, was, becomes, error, monkeypatch):
    monkeypatch.setattr(warpgroups, "TILES", (TILES[tile],))
    kernel, memory = product_and_memory()
    assert was in kernel.source.text
    grid = program.blocks(kernel.source.launch, {})
    with pytest.raises(LockstepError, match=error):
        lockstep.run(kernel.source.text.replace(was, becomes), kernel.source.launch.threads, grid, memory)


@pytest.mark.parametrize(
    "was, becomes, error",
    [
        ("fence_async()", "t = t", "no fence_async"),
        ("cuda.syncthreads()\n        a_now", "a_now", "no barrier|has not brought|race"),
        ("wait_copies_1()", "wait_copies_2()", "has not brought"),
        ("wgmma_wait_0()\n        fence", "fence", "under way"),
        ("wgmma_wait_0()\n    t =", "t =", "under way are used"),
        ("wgmma_commit()", "t = t", "under way"),
        ("rest(ready + 2, 3)", "ready", "has not brought|race|reads"),
    ],
)
def test_the_executor_finds_what_would_be_wrong_in_tf32_too(was, becomes, error, monkeypatch):
    monkeypatch.setattr(warpgroups, "TF32_TILES", TF32_TILES[:1])
    monkeypatch.setattr(warpgroups, "MULTIPROCESSORS", 1)
    a, b = kw.input("a", (256, 512)), kw.input("b", (512, 128))
    (kernel,) = program.build_kernels([a, b], [a @ b], {}, "tf32", HOPPER).kernels
    assert was in kernel.source.text
    memory = [np.ones(n, "float32") for n in (512 * 128, 256 * 512, 256 * 128)]  # in the order of their first use
    grid = program.blocks(kernel.source.launch, {})
    with pytest.raises(LockstepError, match=error):
        lockstep.run(kernel.source.text.replace(was, becomes), kernel.source.launch.threads, grid, memory)


@pytest.mark.parametrize("tile", TILES, ids=lambda t: str(t[0]))
def test_blocks_fit_a_multiprocessor(tile, monkeypatch):
    """One block where products fly over barriers, two where they do not."""
    monkeypatch.setattr(warpgroups, "TILES", (tile,))
    kernel, _ = product_and_memory()
    blocks = 1 if kernel.schedule.flying else 2
    assert blocks * (kernel.source.launch.shared + 1024) <= 228 * 1024
    assert tile[0].threads % warpgroups.WARPGROUP == 0 and tile[0].rows % warpgroups.HIGH == 0


@pytest.mark.parametrize("tile", TILES, ids=lambda t: str(t[0]))
def test_code_for_hopper_multiplies_from_shared_memory(toolkit, tile, monkeypatch):
    """And ptxas does not make products wait for each other, which it would say in its log (C75...)."""
    monkeypatch.setattr(warpgroups, "TILES", (tile,))
    kernel, _ = product_and_memory()
    code = kernel.compile(HOPPER)
    assert f"wgmma.mma_async.sync.aligned.m64n{tile[0].columns}k16.f32.bf16.bf16" in code.ptx
    assert "fence.proxy.async" in code.ptx and ".target sm_90a" in code.ptx
    if code.cubin is not None:
        assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", code.log)
        assert "C75" not in code.log


@pytest.mark.parametrize("tile", TF32_TILES, ids=str)
def test_code_of_tf32_for_hopper_has_no_spills_and_two_blocks(toolkit, tile, monkeypatch):
    monkeypatch.setattr(warpgroups, "TF32_TILES", (tile,))
    monkeypatch.setattr(warpgroups, "MULTIPROCESSORS", 1)
    a, b = kw.input("a", (256, 512)), kw.input("b", (512, 128))
    (kernel,) = program.build_kernels([a, b], [a @ b], {}, "tf32", HOPPER).kernels
    assert 2 * (kernel.source.launch.shared + 1024) <= 228 * 1024
    code = kernel.compile(HOPPER)
    assert f"wgmma.mma_async.sync.aligned.m64n{tile.wide}k8.f32.tf32.tf32" in code.ptx
    if code.cubin is not None:
        assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", code.log)
        assert "C75" not in code.log
