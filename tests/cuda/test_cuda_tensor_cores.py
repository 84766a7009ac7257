"""Contractions on tensor cores, in lockstep against sums of operands rounded as the precision says; barriers; PTX."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.shapes import typical
from kernelwright.compiler.targets.cuda import lockstep, mma, program, tensor_cores
from kernelwright.compiler.targets.cuda.intrinsics import TWINS
from kernelwright.compiler.targets.cuda.lockstep_memory import LockstepError
from kernelwright.compiler.targets.cuda.panels import SharedPanel
from kernelwright.compiler.targets.cuda.tensor_cores import BLOCKS, TensorCoreTiled

NARROW = ("tf32", "bfloat16")
EXACT = 2.0**-17  # float32 sums of some hundred products in another order


def rounded(x, precision):
    if precision == "tf32":
        return mma.cut_tf32(mma.round_tf32(x.view(np.uint32)))
    return (mma.round_bfloat16(x).astype(np.uint32) << np.uint32(16)).view(np.float32)


def run(inputs, outputs, values, precision, forms=TensorCoreTiled):
    """Outputs in lockstep, at least one kernel of them on tensor cores."""
    built = program.build_kernels(inputs, outputs, {}, precision)
    assert any(isinstance(k.schedule, forms) for k in built.kernels), [str(k.schedule) for k in built.kernels]
    return built, program.run_program(built, values)


def arrays(inputs, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=x.shape).astype("float32") for x in inputs]


@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize("tile", BLOCKS, ids=str)
def test_products_with_every_tile(tile, precision, monkeypatch):
    monkeypatch.setattr(tensor_cores, "BLOCKS", (tile,))
    a, b = kw.input("a", (70, 37)), kw.input("b", (37, 136))
    values = arrays([a, b])
    _, (got,) = run([a, b], [kw.relu(a @ b)], values, precision)
    left, right = (rounded(v, precision).astype("float64") for v in values)
    np.testing.assert_allclose(got, np.maximum(left @ right, 0), rtol=0, atol=37 * EXACT)


@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize(
    "stride, pad, dilation, groups",
    [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (1, 1, 1, 2), (2, 0, 1, 3), (3, 2, 2, 1)],
)
def test_convolutions_and_both_gradients(stride, pad, dilation, groups, precision):
    """Small integers, which both precisions hold exactly: padding, strides and groups alone can make a difference."""
    x, w = kw.input("x", (2, 48, 9, 10)), kw.input("w", (48, 48 // groups, 3, 3))
    y = kw.conv(x, w, stride=stride, pad=pad, dilation=dilation, groups=groups)
    g = kw.input("g", y.shape)
    gx, gw = kw.grad((y * g).sum(), [x, w])
    rng = np.random.default_rng(0)
    values = [rng.integers(-4, 5, size=i.shape).astype("float32") for i in (x, w, g)]
    built, got = run([x, w, g], [y, gx, gw], values, precision)
    assert sum(isinstance(k.schedule, TensorCoreTiled) for k in built.kernels) == 3
    for found, want in zip(got, evaluate([y, gx, gw], dict(zip([x, w, g], values)))):
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("size, window, pad", [((8, 6), 1, 0), ((9, 7), 1, 0), ((8, 8), 3, 1), ((20, 18), 7, 3)])
def test_gradients_of_strided_convolutions_to_images_are_products(size, window, pad):
    """A stride leaves at most half of the taps, rounded up, to a place of each remainder: no more terms are summed."""
    x, w = kw.input("x", (2, 8, *size)), kw.input("w", (16, 8, window, window))
    y = kw.conv(x, w, stride=2, pad=pad)
    g = kw.input("g", y.shape)
    (gx,) = kw.grad((y * g).sum(), [x])
    rng = np.random.default_rng(0)
    values = [rng.integers(-4, 5, size=i.shape).astype("float32") for i in (w, g)]
    built, (got,) = run([w, g], [gx], values, "tf32")
    (want,) = evaluate([gx], dict(zip([w, g], values)))
    np.testing.assert_array_equal(got, want)
    (product,) = (k.schedule for k in built.kernels if isinstance(k.schedule, TensorCoreTiled))
    taps = (window + 1) // 2 if size[0] % 2 == 0 else window
    assert product.sizes()[3] == 16 * taps * taps


def test_rows_of_no_fixed_number():
    x, w = kw.input("x", (None, 20)), kw.input("w", (20, 24))
    built = program.build_kernels([x, w], [x @ w], {}, "tf32")
    for batch in (1, 33):
        value = np.random.default_rng(batch).integers(-3, 4, size=(batch, 20)).astype("float32")
        (got,) = program.run_program(built, [value, np.ones((20, 24), "float32")])
        np.testing.assert_array_equal(got, value @ np.ones((20, 24), "float32"))


def test_operands_that_are_computed_are_stored_by_threads():
    x, w, c = kw.input("x", (40, 24)), kw.input("w", (24, 32)), kw.input("c", (24,))
    values = [np.random.default_rng(0).integers(-3, 4, size=i.shape).astype("float32") for i in (x, w, c)]
    _, (got,) = run([x, w, c], [(x * c) @ w], values, "tf32")
    np.testing.assert_array_equal(got, (values[0] * values[2]) @ values[1])


@pytest.mark.parametrize("a_turned", [False, True])
@pytest.mark.parametrize("b_turned", [False, True])
@pytest.mark.parametrize("tile", (BLOCKS[0], BLOCKS[-1]), ids=str)
def test_bfloat16_in_memory_is_multiplied_as_it_is(a_turned, b_turned, tile, monkeypatch):
    """Copied as words and loaded as matrices, transposed where they lie the other way; whatever the precision."""
    monkeypatch.setattr(tensor_cores, "BLOCKS", (tile,))
    a, b = kw.input("a", (40, 72) if a_turned else (72, 40), "bfloat16"), kw.input("b", (136, 40), "bfloat16")
    b = b if b_turned else kw.input("b", (40, 136), "bfloat16")
    y = (a.transpose((1, 0)) if a_turned else a) @ (b.transpose((1, 0)) if b_turned else b)
    values = [np.random.default_rng(i).integers(-9, 10, size=x.shape).astype("float32") for i, x in enumerate((a, b))]
    built, (got,) = run([a, b], [y.astype("float32")], [kw.to_bfloat16(v) for v in values], "float32")
    left, right = (v.T if turned else v for v, turned in zip(values, (a_turned, b_turned)))
    np.testing.assert_array_equal(got, left @ right)
    (s,) = (k.schedule for k in built.kernels)
    assert s.precision == "bfloat16" and [p.vector for p in (s.a_panel, s.b_panel)] == [8, 8]


def test_float32_and_float64_stay_exact():
    a, b = kw.input("a", (64, 64)), kw.input("b", (64, 64))
    (kernel,) = program.build_kernels([a, b], [a @ b], {}, "float32").kernels
    assert not isinstance(kernel.schedule, TensorCoreTiled)
    a, b = kw.input("a", (64, 64), "float64"), kw.input("b", (64, 64), "float64")
    (kernel,) = program.build_kernels([a, b], [a @ b], {}, "bfloat16").kernels
    assert not isinstance(kernel.schedule, TensorCoreTiled)


def test_neighbours_are_copied_16_bytes_at_a_time_where_they_lie_so():
    def ways(*shapes, transposed=False):
        a, b = (kw.input(n, s) for n, s in zip("ab", shapes))
        (kernel,) = program.build_kernels([a, b], [(a.transpose((1, 0)) if transposed else a) @ b], {}, "tf32").kernels
        return [(p.vector, p.along_terms) for p in (kernel.schedule.a_panel, kernel.schedule.b_panel)]

    assert ways((64, 32), (32, 64)) == [(4, True), (4, False)]
    assert ways((64, 30), (30, 64)) == [(2, True), (4, False)]
    assert ways((32, 64), (32, 62), transposed=True) == [(4, False), (2, False)]


def panels(along_terms):
    """Every kind of panel: tf32, bfloat16 from float32, bfloat16."""
    kinds = (("float32", False), ("float32", True), ("bfloat16", False))
    return [SharedPanel(None, (), along_terms, 4, words, packed) for words, packed in kinds]


def run_rows(tile):
    """Neighbouring rows or columns that a lane loads at once, of operands that lie along them."""
    panel = SharedPanel(None, (), False, 4)
    fields = dict.fromkeys(("batch", "rows", "columns", "summed", "reduction", "a", "b"), ())
    return set(TensorCoreTiled(**fields, tile=tile, precision="tf32", a_panel=panel, b_panel=panel).runs)


@pytest.mark.parametrize("tile", BLOCKS, ids=str)
@pytest.mark.parametrize("along_terms", [True, False])
def test_a_fragment_is_read_from_32_banks(tile, along_terms):
    """What a warp reads at once, 128 bytes, lies in all of shared memory's 32 banks of 4 bytes."""
    lanes = np.arange(32)
    for size in {tile.rows, tile.columns}:
        for panel in panels(along_terms):
            row, term = panel.steps(size, tile.depth)
            assert max(row, term) % 16 == 0 and panel.room(size, tile.depth) % 16 == 0
            if panel.by_matrices:  # eight lines of 16 bytes at a time
                first = np.arange(8)[:, None] * max(row, term) + np.arange(0, 16, 4)
            elif panel.packed and along_terms:  # half a warp at a time, 8 bytes for each lane
                first = (lanes[:16] // 4 * row + lanes[:16] % 4 * 2 * term)[:, None] + np.arange(0, 8, 4)
            elif panel.packed:
                first = lanes // 4 * row + lanes % 4 * 2 * term
            else:  # a quarter of a warp with 16 bytes for each lane, or half with 8
                assert run_rows(tile) <= {2, 4}
                for run in run_rows(tile):
                    few = lanes[: 32 // run]
                    first = (few // 4 * run * row + few % 4 * term)[:, None] + np.arange(0, 4 * run, 4)
                    assert len(set((first.reshape(-1) // 4 % 32).tolist())) == 32
            assert len(set((first.reshape(-1) // 4 % 32).tolist())) == 32


@pytest.mark.parametrize("tile", BLOCKS, ids=str)
def test_every_tile_fits_a_multiprocessor(tile):
    assert tile.rows % tile.high == tile.columns % tile.wide == tile.high % 16 == tile.wide % 8 == tile.depth % 16 == 0
    assert tile.wide % 16 == 0 and tile.threads <= 1024 and tile.sums <= 128 and 2 <= tile.stages <= 4
    for along in (True, False):
        for panel in panels(along):
            rooms = [panel.room(size, tile.depth) for size in (tile.rows, tile.columns)]
            blocks = 1 if panel.packed else 2  # on a multiprocessor; float32 of bfloat16 is padded most
            assert blocks * (tile.stages * sum(rooms) + 1024) <= 228 * 1024
    assert 2 * (tile.rows * tile.results_pitch * 4 + 1024) <= 228 * 1024
    for size in (tile.rows, tile.columns):
        assert tile.threads % size == 0 and tile.threads % tile.depth == 0


def kernel_and_memory(precision="tf32"):
    a, b = kw.input("a", (40, 80)), kw.input("b", (80, 32))
    (kernel,) = program.build_kernels([a, b], [a @ b], {}, precision).kernels
    return kernel, [np.ones(40 * 80, "float32"), np.ones(80 * 32, "float32"), np.zeros(40 * 32, "float32")]


@pytest.mark.parametrize(
    "was, becomes, error",
    [
        ("cuda.syncthreads()", "t = t", "race|has not brought"),
        ("wait_copies_2()", "t = t", "has not brought"),
        ("commit_copies()", "t = t", "has not brought"),
        ("stage == 4", "stage == 3", "race|has not brought"),
        ("ready = int32(1)", "ready = int32(2)", "race|has not brought"),
        ("m0 + a_line, 40 - 1", "m0 + a_line, 40", "load of argument 0"),
        ("a_fast = rest(t, 4) * 4", "a_fast = rest(t, 4) * 4 + 1", "no multiple"),
        ("if m < 40", "if m < 41", "store to argument 2"),
        ("    cuda.syncthreads()\n    results", "    results", "for something else with no barrier"),
        ("    cuda.syncthreads()\n    row", "    row", "race"),
    ],
)
def test_the_executor_finds_what_would_be_wrong_without_a_word(was, becomes, error):
    kernel, memory = kernel_and_memory()
    assert was in kernel.source.text
    changed = kernel.source.text.replace(was, becomes)
    grid = program.blocks(kernel.source.launch, {})
    with pytest.raises(LockstepError, match=error):
        lockstep.run(changed, kernel.source.launch.threads, grid, memory)


def test_tf32_is_near_without_a_bias():
    """Exact where tf32 holds the number; else off by 0.7 of the last of 10 bits at most, and over many by nothing."""
    exact = np.array([0.0, -0.0, 1.0, -1.5, 1 + 2**-10, 513 * 2.0**-40, 2.0**127, np.inf, -np.inf], "float32")
    np.testing.assert_array_equal(rounded(exact, "tf32"), exact)
    assert np.isnan(rounded(np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000], np.uint32).view("float32"), "tf32")).all()
    x = np.exp2(np.random.default_rng(0).uniform(-20, 20, size=1 << 20)).astype("float32")
    places = (rounded(x, "tf32") - x.astype("float64")) / 2.0 ** (np.floor(np.log2(x)) - 10)
    assert np.abs(places).max() < 0.7 and abs(places.mean()) < 0.01 and np.sqrt((places**2).mean()) < 0.32


def test_bfloat16_rounds_to_nearest():
    x = np.array([1 + 2**-8, 1 + 3 * 2**-8, 3.4028235e38, np.inf, -0.0], "float32")
    want = np.array([1, 1 + 2**-6, np.inf, np.inf, -0.0], "float32")
    np.testing.assert_array_equal(rounded(x, "bfloat16"), want)  # ties to even
    assert np.isnan(rounded(np.array([np.nan], "float32"), "bfloat16")).all()


def test_bfloat16_rounds_as_torch_does():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=10000).astype("float32")
    np.testing.assert_array_equal(rounded(x, "bfloat16"), torch.tensor(x).bfloat16().float().numpy())


@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize("arch", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def test_the_instructions_are_in_the_ptx(toolkit, precision, arch):
    kernel, _ = kernel_and_memory(precision)
    code = kernel.compile(arch)
    shape = {"tf32": "m16n8k8.row.col.f32.tf32.tf32.f32", "bfloat16": "m16n8k16.row.col.f32.bf16.bf16.f32"}[precision]
    assert f"mma.sync.aligned.{shape}" in code.ptx
    assert {"tf32": "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "bfloat16": "cvt.rn.bf16x2.f32"}[precision] in code.ptx
    assert "cp.async.cg.shared.global" in code.ptx and "cp.async.wait_group 2" in code.ptx
    if code.cubin is not None:
        assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", code.log)


def test_a_precision_that_is_none_is_one_error():
    x = kw.input("x", (2, 2))
    with pytest.raises(kw.CompileError, match="there is no precision 'half'"):
        program.build_kernels([x], [x @ x], {}, "half")


def test_precisions_are_of_the_gpu():
    x = kw.input("x", (2, 2))
    with pytest.raises(kw.CompileError, match="precision 'tf32' is not for device 'cpu'"):
        kw.compile([x], [x @ x], precision="tf32")
    with pytest.raises(kw.CompileError, match="there is no precision 'half'"):
        kw.compile([x], [x @ x], device="cuda", precision="half")


def test_the_trainer_lowers_the_graph_for_bfloat16_and_not_for_tf32(without_driver):
    assert kw.Trainer(kw.models.lenet5(), device="cuda", precision="bfloat16").updating.precision == "bfloat16"
    trainer = kw.Trainer(kw.models.lenet5(), device="cuda", precision="tf32")
    assert trainer.updating.precision is None
    with pytest.raises(kw.CompileError, match="device 'cuda' needs"):
        trainer.predict(np.zeros((1, 1, 28, 28), "float32"))
    with pytest.raises(ValueError, match="tf32 is of the tensor cores"):
        kw.Trainer(kw.models.lenet5(), precision="tf32")


@pytest.mark.parametrize(
    "precision, arch", [("float32", (9, 0)), ("tf32", (8, 0)), ("tf32", (9, 0)), ("bfloat16", (9, 0))]
)
def test_parts_of_a_batch_smaller_than_most_are_have_no_terms(precision, arch):
    """A sum over the batch is parted for 4096 rows; of 33 there are parts that begin past the last row."""
    rng = np.random.default_rng(0)
    x, g = (kw.input(name, (None, 128), "bfloat16" if precision == "bfloat16" else "float32") for name in "xg")
    with typical({"batch": 4096}):
        built = program.build_kernels([x, g], [(x.transpose((1, 0)) @ g).astype("float32")], {}, precision, arch)
    assert len(built.kernels) > 1
    assert precision == "float32" or "_end = int32(max(0, " in built.kernels[0].source.text
    values = [rng.integers(-3, 4, (33, 128)).astype("float32") for _ in "xg"]
    given = [kw.to_bfloat16(v) for v in values] if precision == "bfloat16" else values
    (got,) = program.run_program(built, given)
    want = values[0].T @ values[1]
    np.testing.assert_array_equal(got, kw.from_bfloat16(kw.to_bfloat16(want)) if precision == "bfloat16" else want)


def test_a_condition_is_one_comparison_without_signs():
    """As on a GPU: what is not negative is below a negative size, so that sizes may not be."""
    within = TWINS["within"]
    np.testing.assert_array_equal(within(np.array([-1, 0, 4, 5]), 5), [False, True, True, False])
    assert within(3, -2)
