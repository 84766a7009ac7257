"""Schedules that small samples would not get by themselves: warps, blocks, tiles, 16-byte accesses, joined axes."""

import sys
from pathlib import Path

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.ops import OPS
from kernelwright.compiler.graph.ops.random import Generator
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.targets.cuda import contraction, program, schedule
from kernelwright.compiler.targets.cuda.contraction import Shape, Tiled
from kernelwright.compiler.targets.cuda.schedule import PerGroup, PerThread

sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))
from test_op_table import TOLERANCE, rng_for
from test_op_table import build as build_sample

REDUCED = ["sum", "prod", "max", "min", "argmax", "window_sum", "window_max", "window_argmax", "scatter_add"]


def run(inputs, outputs, values, kind=None):
    """Outputs in lockstep, checked against the reference; `kind`: the schedule that some kernel must have."""
    built = program.build_kernels(inputs, outputs, {})
    if kind is not None:
        assert any(isinstance(k.schedule, kind) for k in built.kernels), [str(k.schedule) for k in built.kernels]
    got = program.run_program(built, values)
    for y, want in zip(got, evaluate(outputs, dict(zip(inputs, values)))):
        assert (y.shape, y.dtype) == (want.shape, want.dtype)
        tolerance = TOLERANCE.get(y.dtype.name, 0)
        np.testing.assert_allclose(y, want, rtol=tolerance, atol=tolerance)
    return built


@pytest.mark.parametrize("long", [0, 1 << 30], ids=["block", "warp"])
@pytest.mark.parametrize("name", REDUCED)
def test_reductions_shared_by_a_group(name, long, monkeypatch):
    monkeypatch.setattr(schedule, "SERIAL", 0)
    monkeypatch.setattr(schedule, "LONG", long)
    rng = rng_for(name)
    for dtype in ("float32", "float64"):
        built = [build_sample(OPS[name], s, dtype, rng, i) for i, s in enumerate(OPS[name].samples)]
        inputs, values = [x for b in built for x in b[0]], [v for b in built for v in b[1]]
        run(inputs, [b[2] for b in built], values, PerGroup)


SMALL = [Shape(4, 8, 4, 1, 2), Shape(8, 4, 8, 2, 1), Shape(16, 16, 16, 1, 1)]


@pytest.mark.parametrize("tile", SMALL, ids=str)
def test_contractions_in_tiles(tile, monkeypatch):
    monkeypatch.setattr(contraction, "SHAPES", (tile,))
    monkeypatch.setattr(contraction, "MULTIPROCESSORS", 1)
    rng = rng_for("contract")
    for dtype in ("float32", "float64"):
        built = [build_sample(OPS["contract"], s, dtype, rng, i) for i, s in enumerate(OPS["contract"].samples)]
        inputs, values = [x for b in built for x in b[0]], [v for b in built for v in b[1]]
        run(inputs, [b[2] for b in built], values, Tiled)


@pytest.mark.parametrize(
    "stride, pad, dilation, groups",
    [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (1, 1, 1, 2), (2, 0, 1, 3), (3, 2, 2, 1)],
)
def test_convolutions_and_both_gradients_in_tiles(stride, pad, dilation, groups, monkeypatch):
    monkeypatch.setattr(contraction, "SHAPES", (Shape(8, 8, 4, 2, 2),))
    x, w = kw.input("x", (2, 6, 9, 10)), kw.input("w", (12, 6 // groups, 3, 3))
    y = kw.tanh(kw.conv(x, w, stride=stride, pad=pad, dilation=dilation, groups=groups))
    gx, gw = kw.grad((y * y).sum(), [x, w])
    rng = np.random.default_rng(0)
    values = [rng.normal(size=i.shape).astype("float32") for i in (x, w)]
    run([x, w], [y, gx, gw], values, Tiled)


@pytest.mark.parametrize("tile", contraction.SHAPES, ids=str)
def test_every_tile_has_whole_shares(tile):
    assert tile.threads % 32 == 0 and tile.threads <= 1024
    assert tile.rows * tile.depth % tile.threads == 0 and tile.columns * tile.depth % tile.threads == 0
    assert tile.high * tile.wide <= 128
    assert (tile.rows + tile.columns) * tile.depth * 8 <= 48 * 1024


@pytest.mark.parametrize("tile", contraction.SHAPES, ids=str)
def test_products_with_every_tile(tile, monkeypatch):
    monkeypatch.setattr(contraction, "SHAPES", (tile,))
    a, b = kw.input("a", (70, 37)), kw.input("b", (37, 133))
    rng = np.random.default_rng(1)
    run([a, b], [kw.relu(a @ b)], [rng.normal(size=x.shape).astype("float32") for x in (a, b)], Tiled)


def test_softmax_is_one_kernel_of_a_group_per_row():
    x = kw.input("x", (None, 300))
    values = [np.random.default_rng(2).normal(size=(5, 300)).astype("float32") * 30]
    run([x], [kw.softmax(x)], values, PerGroup)


def test_nan_and_infinity_survive_shared_reductions():
    x = kw.input("x", (4, 700))
    value = np.random.default_rng(3).normal(size=(4, 700)).astype("float32")
    value[0, 650] = np.nan
    value[1, :] = -np.inf
    value[2, 33] = np.inf
    run([x], [x.max(1), x.min(1), x.sum(1), kw.argmax(x, 1)], [value], PerGroup)


def test_first_of_equal_maxima_wins_in_a_group():
    x = kw.input("x", (3, 500))
    value = np.zeros((3, 500), "float32")
    value[1, [77, 78, 499]] = 1
    run([x], [kw.argmax(x, 1)], [value], PerGroup)


def test_integer_sums_wrap_as_numpy_does():
    x = kw.input("x", (2, 400), "int32")
    value = np.full((2, 400), 2**30, "int32")
    run([x], [x.sum(1) + 1, (x * 3 < 5)], [value])


def test_elementwise_kernels_take_16_bytes_at_a_time():
    x, b = kw.input("x", (None, 3, 8, 8)), kw.input("b", (8, 8))
    built = run([x, b], [kw.tanh(x) * b], [np.ones((5, 3, 8, 8), "float32"), np.ones((8, 8), "float32")], PerThread)
    (kernel,) = built.kernels
    assert kernel.schedule.vector == 4
    assert [len(run_) for run_ in kernel.schedule.runs] == [2, 2]  # batch and channel as one, both of space as one


def test_rows_that_are_no_multiple_of_16_bytes_are_taken_one_by_one():
    x, b = kw.input("x", (None, 7)), kw.input("b", (7,))
    (kernel,) = run([x, b], [x + b], [np.ones((5, 7), "float32"), np.ones(7, "float32")], PerThread).kernels
    assert kernel.schedule.vector == 1


@pytest.mark.parametrize("channels", [4, 20])
@pytest.mark.parametrize("window, stride, pad", [(3, 2, 1), (2, 2, 0), (3, 1, 1)])
def test_neighbouring_channels_of_windows_are_one_threads(channels, window, stride, pad, monkeypatch):
    """Channels last: the maximum, its place and its gradient, with NaN, infinities and equal values."""
    monkeypatch.setattr(schedule, "FEW_THREADS", 1)
    last, first = (0, 2, 3, 1), (0, 3, 1, 2)
    x, g = kw.input("x", (None, 9, 9, channels)), kw.input("g", (None, 9, 9, channels))
    y = kw.max_pool(x.transpose(first), window, stride=stride, pad=pad)
    pooled = (y * g.transpose(first)[:, :, : y.shape[2], : y.shape[3]]).sum()
    mean = kw.avg_pool(kw.tanh(x).transpose(first), window, stride=stride, pad=pad)
    rng = np.random.default_rng(6)
    values = [rng.integers(-3, 4, (3, 9, 9, channels)).astype("float32") for _ in range(2)]
    values[0][0, 3, 4, 1], values[0][1, :3, :3, 2], values[0][2, 5, 5, 3] = np.nan, -np.inf, np.inf
    outputs = [y.transpose(last), *kw.grad(pooled, [x]), mean.transpose(last)]
    built = run([x, g], outputs, values, PerThread)
    assert all(k.schedule.vector == 4 for k in built.kernels if isinstance(k.schedule, PerThread)), built.kernels


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_padding_by_four_is_taken_by_four_and_else_one_by_one(dtype):
    x = kw.input("x", (5, 3, 8), dtype)
    value = np.random.default_rng(7).integers(0, 99, (5, 3, 8)).astype(dtype)
    rows = kw.pad(x, ((1, 2), (0, 1), (0, 0)))
    columns = [kw.pad(x, ((0, 0), (0, 0), (before, after))) for before, after in [(4, 4), (2, 2), (1, 4)]]
    built = run([x], [rows, *columns], [value], PerThread)
    assert [k.schedule.vector for k in built.kernels] == [4, 4, 1, 1]


@pytest.mark.parametrize("channels, vector", [((4, 8, 20), 4), ((3, 8, 5), 1)])
def test_windows_over_several_inputs_beside_each_other(channels, vector, monkeypatch):
    """Channels last: a thread's neighbours are of one input, where each has a multiple of four channels."""
    monkeypatch.setattr(schedule, "FEW_THREADS", 1)
    xs = [kw.input(f"x{n}", (None, 7, 7, n)) for n in channels]
    y = kw.max_pool(kw.relu(kw.concat(xs, -1)).transpose((0, 3, 1, 2)), 3, stride=2, pad=1).transpose((0, 2, 3, 1))
    rng = np.random.default_rng(8)
    values = [rng.normal(size=(2, 7, 7, n)).astype("float32") for n in channels]
    (kernel,) = run(xs, [y], values, PerThread).kernels
    assert kernel.schedule.vector == vector


def test_truth_values_are_bytes_in_memory():
    x = kw.input("x", (3, 5))
    value = np.random.default_rng(4).normal(size=(3, 5)).astype("float32")
    flags = kw.input("flags", (3, 5), "bool")
    given = np.random.default_rng(5).random((3, 5)) < 0.5
    run([x, flags], [x > 0, kw.where(flags, x, 0.0)], [value, given])


def test_random_bits_are_those_of_the_cpu():
    bits = Generator(7).bits((33, 5))
    want = kw.compile([], [bits], device="reference").run([])[0]
    (got,) = program.run_program(program.build_kernels([], [bits], {}), [])
    np.testing.assert_array_equal(got, want)


def test_empty_outputs_start_no_block():
    x = kw.input("x", (None, 4))
    run([x], [x * 2, x.sum(1), x.sum(0)], [np.zeros((0, 4), "float32")])


def test_padding_around_a_sum_reads_nothing_outside(monkeypatch):
    monkeypatch.setattr(schedule, "SERIAL", 0)
    x = kw.input("x", (4, 50))
    run([x], [kw.pad(x.sum(1), ((2, 3),))], [np.ones((4, 50), "float32")])
