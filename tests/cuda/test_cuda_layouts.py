"""Orders of axes for the GPU, sums shared by strips of lanes, and long sums in parts: against the reference."""

import math
import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.loops import expressions as loops
from kernelwright.compiler.shapes import typical
from kernelwright.compiler.targets.cuda import costs, parts, program, schedule
from kernelwright.compiler.targets.cuda.lockstep_memory import LockstepError
from kernelwright.compiler.targets.cuda.schedule import PerStrip, PerThread
from kernelwright.compiler.targets.cuda.tensor_cores import TensorCoreTiled


def run(inputs, outputs, values, precision="float32", tolerance=1e-5):
    built = program.build_kernels(inputs, outputs, {}, precision)
    got = program.run_program(built, values)
    for y, want in zip(got, evaluate(outputs, dict(zip(inputs, values)))):
        assert (y.shape, y.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(y, want, rtol=tolerance, atol=tolerance)
    return built.kernels


def whole_numbers(inputs):
    rng = np.random.default_rng(0)
    return [rng.integers(-3, 4, size=x.shape).astype("float32") for x in inputs]


def two_convolutions():
    x, v, w = kw.input("x", (4, 16, 12, 12)), kw.input("v", (32, 16, 3, 3)), kw.input("w", (32, 32, 3, 3))
    return [x, v, w], kw.conv(kw.relu(kw.conv(x, v, pad=1)), w, pad=1)


def buffers(operand):
    return [load.data[0] for load in loops.loads([operand])]


def in_memory(b):
    """The sizes of a buffer's axes, outermost in memory first, and without those of size 1, which have no place."""
    return tuple(b.shape[i] for i in b.order if b.shape[i] != 1)


def test_a_tensor_between_convolutions_has_its_channels_last():
    inputs, y = two_convolutions()
    kernels = run(inputs, [y], whole_numbers(inputs), "tf32", 0)
    between = {b for k in kernels for b in k.kernel.reads() if b.kind == "temp" and sorted(in_memory(b))[-1] == 32}
    assert [in_memory(b) for b in between] == [(4, 12, 12, 32)]
    last = [k.schedule for k in kernels if isinstance(k.schedule, TensorCoreTiled)][-1]
    images = next(p for p in (last.a_panel, last.b_panel) if between & set(buffers(p.operand)))
    assert (images.vector, images.along_terms) == (4, True)


@pytest.mark.parametrize("launch, conversions", [(0.0, True), (1.0, False)])
def test_a_conversion_is_made_where_it_costs_less_than_it_gains(launch, conversions, monkeypatch):
    """The weights are inputs, whose order is the user's: they are copied unless a launch costs too much."""
    monkeypatch.setattr(costs, "LAUNCH", launch)
    inputs, y = two_convolutions()
    built = program.build_kernels(inputs, [y], {}, "tf32").kernels
    assert any("copy in another order" in " ".join(k.kernel.reasons) for k in built) == conversions


def test_distant_neighbours_cost_more():
    x = kw.input("x", (512, 512))
    (near,) = program.build_kernels([x], [kw.tanh(x)], {}).kernels
    (far,) = program.build_kernels([x], [kw.tanh(x.transpose((1, 0)))], {}).kernels
    assert costs.seconds(near.kernel) < costs.seconds(far.kernel)


def test_sums_over_rows_are_shared_by_warps():
    x = kw.input("x", (500, 70))
    value = np.random.default_rng(1).normal(size=(500, 70)).astype("float32")
    value[77, 3], value[:, 4], value[9, 5] = np.nan, -np.inf, np.inf
    kernels = run([x], [x.sum(0), x.max(0), x.min(0), kw.argmax(x, 0), x.mean(0) * 2], [value], tolerance=2e-5)
    assert all(isinstance(k.schedule, PerStrip) for k in kernels)


@pytest.mark.parametrize("columns", [1, 31, 32, 33])
def test_strips_end_where_the_columns_do(columns, monkeypatch):
    monkeypatch.setattr(schedule, "_along_output", lambda *_: True)
    x = kw.input("x", (40, columns), "int32")
    value = np.arange(40 * columns, dtype="int32").reshape(40, columns)
    kernels = run([x], [x.sum(0)], [value], tolerance=0)
    assert isinstance(kernels[0].schedule, PerStrip)


def strips_of_four(kernels):
    return all(isinstance(k.schedule, PerStrip) and k.schedule.vector == 4 for k in kernels)


@pytest.mark.parametrize("columns", [4, 64, 68, 192])
def test_neighbouring_columns_are_one_threads(columns, monkeypatch):
    monkeypatch.setattr(schedule, "MULTIPROCESSORS", 0)
    x = kw.input("x", (None, columns))
    value = np.random.default_rng(1).normal(size=(150, columns)).astype("float32")
    value[77, 3], value[:, 1], value[9, 2], value[[3, 8], 0] = np.nan, -np.inf, np.inf, 9
    for y in (x.sum(0), x.max(0), x.min(0), kw.argmax(x, 0), x.mean(0) * 2 + x.max(0), ((x - x.mean(0)) ** 2).sum(0)):
        assert strips_of_four(run([x], [y], [value], tolerance=2e-5))


def test_parts_of_sums_of_columns_are_strips(monkeypatch):
    """Of whole numbers, so that parts change nothing. 13 rows are no whole number of pieces."""
    monkeypatch.setattr(schedule, "MULTIPROCESSORS", 1)
    monkeypatch.setattr(parts, "MULTIPROCESSORS", 2)
    monkeypatch.setattr(parts, "LONG", 64)
    monkeypatch.setattr(parts, "LEAST_SHARED", 16)
    x, y = kw.input("x", (3, 13, 11, 64)), kw.input("y", (3, 13, 11, 64))
    rng = np.random.default_rng(0)
    values = [rng.integers(-9, 9, (3, 13, 11, 64)).astype("float32") for _ in range(2)]
    first, _ = run([x, y], [(x * y).sum((0, 1, 2))], values, tolerance=0)
    assert first.name.endswith("_parts") and strips_of_four([first])


@pytest.mark.parametrize("order, count", [((0, 1, 2, 3), 1), ((0, 2, 1, 3), 2)])
def test_sums_of_the_same_elements_read_them_once(order, count, monkeypatch):
    """Of whole numbers. Parts along other axes of g have other elements, and stay apart."""
    monkeypatch.setattr(schedule, "MULTIPROCESSORS", 1)
    monkeypatch.setattr(parts, "LONG", 64)
    monkeypatch.setattr(parts, "LEAST_SHARED", 40)
    x, g, shift = kw.input("x", (3, 12, 12, 64)), kw.input("g", (3, 12, 12, 64)), kw.input("shift", (64,))
    outputs = [g.sum((0, 1, 2)), (g.transpose(order) * (x - shift)).sum((0, 1, 2))]
    kernels = run([x, g, shift], outputs, whole_numbers([x, g, shift]), tolerance=0)
    first = [k for k in kernels if "_parts" in k.name]
    assert strips_of_four(first) and len(first) == count
    for k in first:
        (argument,) = (name for b, name in k.source.names.buffers.items() if b.name == "g")
        assert k.source.text.count(f"{argument}[") == 1


def test_a_sum_that_needs_another_one_stays_behind_it(monkeypatch):
    monkeypatch.setattr(schedule, "MULTIPROCESSORS", 1)
    x = kw.input("x", (100, 64))
    value = np.random.default_rng(2).integers(-3, 4, x.shape).astype("float32")
    total = x.sum(0)
    kernels = run([x], [(x * total).sum(0)], [value], tolerance=0)
    assert [len(k.kernel.stores) for k in kernels] == [1, 1]


@pytest.mark.parametrize("dtype, width", [("float32", "v4.f32"), ("bfloat16", "v4.u16")])
def test_columns_are_read_by_four(toolkit, dtype, width):
    x = kw.input("x", (64, 28, 28, 256), dtype)
    first, _ = program.build_kernels([x], [x.astype("float32").sum((0, 1, 2))], {}).kernels
    code = first.compile((9, 0))
    assert set(re.findall(r"ld\.global\S*?\.((?:v\d\.)?[a-z]\d+) ", code.ptx)) == {width}
    assert code.cubin is None or "0 bytes spill stores" in code.log


@pytest.mark.parametrize("dtype, width", [("float32", "v4.f32"), ("bfloat16", "v4.u16")])
def test_windows_of_channels_last_are_read_by_four(toolkit, dtype, width):
    """The maximum, its place (a byte) and the gradient."""
    x = kw.input("x", (16, 56, 56, 64), dtype)
    y = kw.max_pool(x.transpose((0, 3, 1, 2)), 3, stride=2, pad=1)
    (gradient,) = kw.grad((y.astype("float32") ** 2).sum(), [x])
    kernels = program.build_kernels([x], [y.transpose((0, 2, 3, 1)), gradient], {}).kernels
    windows = [k for k in kernels if "window" in k.name]
    assert len(windows) == 3
    for kernel in windows:
        code = kernel.compile((9, 0))
        found = re.findall(r"(?:ld|st)\.global\S*?\.((?:v\d\.)?[a-z]\d+) ", code.ptx)
        assert set(found) <= {width, "v4.u8"}, kernel
        assert code.cubin is None or "0 bytes spill stores" in code.log


def test_the_executor_finds_a_strip_without_its_barrier():
    x = kw.input("x", (100, 40))
    (kernel,) = program.build_kernels([x], [x.sum(0)], {}).kernels
    from kernelwright.compiler.targets.cuda import lockstep

    text = kernel.source.text.replace("cuda.syncthreads()", "lane = lane")
    memory = [np.ones(4000, "float32"), np.zeros(40, "float32")]
    with pytest.raises(LockstepError, match="race"):
        lockstep.run(text, kernel.source.launch.threads, program.blocks(kernel.source.launch, {}), memory)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_gradients_of_few_weights_are_summed_in_parts(precision, monkeypatch):
    monkeypatch.setattr(parts, "LONG", 64)
    monkeypatch.setattr(parts, "LEAST_TERMS", 32)
    x, w = kw.input("x", (6, 4, 8, 8)), kw.input("w", (16, 4, 3, 3))
    y = kw.conv(x, w, pad=1)
    g = kw.input("g", y.shape)
    (gradient,) = kw.grad((y * g).sum(), [w])
    inputs = [x, w, g]
    kernels = run(inputs, [gradient], whole_numbers(inputs), precision, 0)
    assert any(k.name.endswith("_parts") for k in kernels)
    assert isinstance(kernels[-1].schedule, PerThread | PerStrip | schedule.PerGroup)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_parts_of_a_batch_of_any_size_are_pieces_of_it(precision, monkeypatch):
    """The pieces of 32 are of (batch + 31) // 32 places; past the batch's end they have none."""
    monkeypatch.setattr(parts, "LONG", 64)
    monkeypatch.setattr(parts, "LEAST_TERMS", 4)
    x, w, g = kw.input("x", (None, 36)), kw.input("w", (36, 20)), kw.input("g", (None, 20))
    (gradient,) = kw.grad(((x @ w) * g).sum(), [w])
    built = program.build_kernels([x, w, g], [gradient], {}, precision)
    assert [k.kernel.axes[0].extent for k in built.kernels if k.name.endswith("_parts")] == [32]
    rng = np.random.default_rng(0)
    for batch in (128, 37, 5, 1):
        a, c = (rng.integers(-4, 5, (batch, n)).astype("float32") for n in (36, 20))
        (got,) = program.run_program(built, [a, np.ones((36, 20), "float32"), c])
        np.testing.assert_array_equal(got, a.T @ c)


def test_sums_of_long_columns_are_shared_by_more_threads(monkeypatch):
    monkeypatch.setattr(parts, "LONG", 64)
    monkeypatch.setattr(schedule, "MANY_POINTS", 8192)
    x = kw.input("x", (101, 8192))
    value = np.random.default_rng(3).integers(-9, 9, x.shape).astype("float32")
    kernels = run([x], [x.sum(0)], [value])
    assert [program.blocks(k.source.launch, {}) for k in kernels] == [96, 32]


def test_a_mean_of_everything_is_summed_in_parts():
    x = kw.input("x", (64, 3, 40, 40))
    value = np.random.default_rng(2).normal(size=x.shape).astype("float32")
    kernels = run([x], [x.mean((0, 2, 3))], [value])
    assert [k.name.endswith("_parts") for k in kernels] == [True, False]


@pytest.mark.parametrize("shape", [(100003,), (1, 9000), (3, 5, 700)])
def test_a_sum_of_everything_is_shared_by_many_blocks(shape):
    """Of whole numbers. 100003 is no whole number of pieces."""
    x = kw.input("x", shape)
    value = np.random.default_rng(4).integers(-9, 9, shape).astype("float32")
    first, last = run([x], [x.sum() * 2], [value], tolerance=0)
    assert program.blocks(first.source.launch, {}) >= 8 and program.blocks(last.source.launch, {}) == 1


@pytest.mark.parametrize("batch", [4096, 37, 1])
def test_a_loss_is_summed_in_parts_whatever_the_batch(batch):
    """Parts planned for 4096 rows: of 37, and of one, there are parts that begin past the last row."""
    x, t = kw.input("x", (None, 10)), kw.input("t", (None,), "int32")
    rng = np.random.default_rng(5)
    value, labels = rng.integers(-9, 9, (batch, 10)).astype("float32"), rng.integers(0, 10, batch).astype("int32")
    with typical({"batch": 4096}):
        built = program.build_kernels([x, t], [kw.where(kw.one_hot(t, 10) > 0, x, 0.0).sum()], {})
    assert [k.name.endswith("_parts") for k in built.kernels[-2:]] == [True, False]
    (got,) = program.run_program(built, [value, labels])
    assert got == value[np.arange(batch), labels].sum()


def test_a_row_has_a_block_where_rows_are_few():
    """A term for each of its threads; many rows have a warp each, eight to a block."""
    groups = {rows: run([x := kw.input("x", (rows, 1000))], [kw.softmax(x)], whole_numbers([x])) for rows in (64, 2048)}
    assert [groups[rows][0].schedule.group for rows in (64, 2048)] == [256, 32]


@pytest.mark.parametrize("rows, kernels", [(128, 2), (1 << 20, 3)])
def test_a_small_value_is_computed_again_instead_of_a_launch(rows, kernels):
    """y has two readers of other shapes. Thirty functions of each of 33 million take longer than to load what they
    give, those of 4096 do not."""
    x = kw.input("x", (None, 32))
    y = x
    for _ in range(30):
        y = kw.erf(y)
    with typical({"batch": rows}):
        built = program.build_kernels([x], [(y * 2).sum(1), y.sum(0)], {})
    assert len([k for k in built.kernels if "_parts" not in k.name]) == kernels
    value = np.random.default_rng(6).random((64, 32), "float32")
    exact = value.astype("float64")
    for _ in range(30):
        exact = np.vectorize(math.erf)(exact)
    by_rows, by_columns = program.run_program(built, [value])
    np.testing.assert_allclose(by_rows, 2 * exact.sum(1), rtol=1e-5)
    np.testing.assert_allclose(by_columns, exact.sum(0), rtol=1e-5)
