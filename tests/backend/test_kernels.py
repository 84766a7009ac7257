"""What the compiler makes of small programs: kernel counts, vector code, in-place updates, layouts, bits."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu import packing
from kernelwright.compiler.targets.cpu.machine import lanes, target

RNG = np.random.default_rng(5)


def f32(*shape):
    return RNG.normal(size=shape).astype("float32")


def dense_step(batch_norm=False):
    x, t = kw.input("x", (None, 20)), kw.input("t", (None,), "int32")
    w1, b1 = kw.variable("w1", f32(20, 32)), kw.variable("b1", f32(32))
    w2 = kw.variable("w2", f32(32, 10))
    hidden = kw.relu(x @ w1 + b1)
    loss = kw.cross_entropy(hidden @ w2, t)
    parameters = [w1, b1, w2]
    updates = {p: p - 0.1 * g for p, g in zip(parameters, kw.grad(loss, parameters))}
    return [x, t], loss, updates, parameters


def batch(n):
    return f32(n, 20), RNG.integers(0, 10, n).astype("int32")


def test_elementwise_chains_are_one_kernel():
    x, y = kw.input("x", (None, 50)), kw.input("y", (50,))
    program = kw.compile([x, y], kw.sigmoid(kw.tanh(x * 2 + y).reshape(-1, 5, 10).sum(-1)) * 3)
    assert len(program.kernels) == 1
    assert {"tanh", "sum", "sigmoid"} <= set(program.kernels[0].fused)
    assert all(program.kernels[0].reasons)


def test_a_contraction_takes_its_epilogue():
    x, w, b = kw.input("x", (None, 64)), kw.input("w", (64, 48)), kw.input("b", (48,))
    program = kw.compile([x, w, b], kw.tanh(x @ w + b))
    assert len(program.kernels) == 1
    assert "_tile_" in program.kernels[0].source and "tanh(" in program.kernels[0].source


def test_a_contraction_of_joined_parts_is_a_tile():
    x = kw.input("x", (None, 16, 6, 6))
    parts = kw.concat([kw.relu(x), kw.tanh(x)], 1)
    program = kw.compile([x], [kw.conv(parts, kw.variable("w", f32(24, 32, 1, 1)))])
    joined, contraction = program.kernels
    assert any(reason.startswith("concat: parts of a contraction") for reason in joined.reasons)
    assert "tile" in str(contraction.schedule)


def test_the_gradient_of_a_strided_convolution_is_a_tile():
    x, w = kw.input("x", (None, 16, 9, 8)), kw.variable("w", f32(32, 16, 3, 3))
    gradient = kw.grad((kw.conv(x, w, 2, 1) ** 2).sum(), [x])
    native, reference = (kw.compile([x], gradient, device=device) for device in ("cpu", "reference"))
    contractions = [k for k in native.kernels if "contract" in k.fused]
    assert contractions and all("tile" in str(k.schedule) for k in contractions)
    image = f32(3, 16, 9, 8)
    np.testing.assert_allclose(native(image), reference(image), rtol=1e-4, atol=1e-3)


def test_kernel_names_and_lines_come_from_the_user():
    x, w = kw.input("pixels", (None, 64)), kw.input("weights", (64, 48))
    with kw.scope("first"):
        y = kw.tanh(x @ w)
    (kernel,) = kw.compile([x, w], y).kernels
    assert kernel.name == "first_contract_tanh"
    assert "pixels = float32_at" in kernel.source and "weights = float32_at" in kernel.source
    assert any(line.startswith(f"{__file__}:") for line in kernel.lines)


def test_fusion_is_bounded():
    x = kw.input("x", (None, 8))
    y = x
    for i in range(200):
        y = kw.tanh(y + float(i))
    program = kw.compile([x], y)
    assert 3 <= len(program.kernels) <= 20
    many = [kw.input(f"m{i}", (None, 8)) for i in range(40)]
    total = many[0]
    for m in many[1:]:
        total = total * m
    program = kw.compile(many, total)
    assert all(k.source.count("_at(table") <= 20 for k in program.kernels)


@pytest.mark.skipif(not target().triple.startswith("x86_64"), reason="names x86 registers")
def test_vector_instructions_are_used():
    register = {64: "zmm", 32: "ymm"}[target().vector_bytes]
    x, y, w = kw.input("x", (None, 512)), kw.input("y", (512,)), kw.input("w", (512, 512))
    elementwise, reduction, product = (
        kw.compile([x, y], kw.tanh(x * y)),
        kw.compile([x], x.sum(-1)),
        kw.compile([x, w], x @ w),
    )
    assert re.search(rf"vmulps\s.*%{register}", elementwise.kernels[0].asm)
    assert re.search(rf"vaddps\s.*%{register}", reduction.kernels[0].asm)
    assert re.search(rf"vfmadd\w+ps\s.*%{register}", product.kernels[0].asm)


def test_a_training_step_matches_the_reference_and_updates_in_place():
    inputs, loss, updates, parameters = dense_step()
    data = batch(33)
    before = [kw.get_value(p) for p in parameters]
    want_loss = kw.compile(inputs, loss, updates, device="reference")(*data)
    want = [kw.get_value(p) for p in parameters]
    for p, value in zip(parameters, before):
        kw.set_value(p, value)
    program = kw.compile(inputs, loss, updates, threads=2)
    assert program(*data) == pytest.approx(float(want_loss), rel=1e-5)
    for p, value in zip(parameters, want):
        np.testing.assert_allclose(kw.get_value(p), value, rtol=1e-4, atol=1e-6)
    assert sum("_new" in b for k in program.kernels for b in k.buffers) == 0


def test_updates_that_read_each_other_see_the_old_values():
    a, b = kw.variable("a", f32(40)), kw.variable("b", f32(40))
    old_a, old_b = kw.get_value(a), kw.get_value(b)
    kw.compile([], (a + b).sum(), {a: b * 2, b: a + 1}, threads=2)()
    np.testing.assert_array_equal(kw.get_value(a), old_b * 2)
    np.testing.assert_array_equal(kw.get_value(b), old_a + 1)
    m = kw.variable("m", f32(8, 8))
    old = kw.get_value(m)
    kw.compile([], m.sum(), {m: m @ m.T}, threads=2)()
    np.testing.assert_allclose(kw.get_value(m), old @ old.T, rtol=1e-4, atol=1e-5)


def test_one_program_serves_every_batch_size():
    inputs, loss, _, _ = dense_step()
    program = kw.compile(inputs, loss, threads=2)
    reference = kw.compile(inputs, loss, device="reference")
    for n in (1, 2, 3, 16, 17, 64, 100):
        data = batch(n)
        assert program(*data) == pytest.approx(float(reference(*data)), rel=1e-5)


def test_many_steps_in_one_call_are_the_same_as_one_by_one():
    results = []
    for together in (True, False):
        global RNG
        RNG = np.random.default_rng(9)
        inputs, loss, updates, parameters = dense_step()
        xs, ts = f32(6, 32, 20), RNG.integers(0, 10, (6, 32)).astype("int32")
        program = kw.compile(inputs, loss, updates, threads=2)
        if together:
            (losses,) = program.run([xs, ts], steps=6, per_step=(0, 1))
        else:
            losses = np.array([program(x, t) for x, t in zip(xs, ts)])
        results.append((losses, *map(kw.get_value, parameters)))
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_same_seed_and_threads_give_the_same_bits(threads):
    def run():
        global RNG
        RNG = np.random.default_rng(1)
        inputs, loss, updates, parameters = dense_step()
        program = kw.compile(inputs, loss, updates, threads=threads)
        data = batch(50)
        for _ in range(5):
            program(*data)
        return [kw.get_value(p) for p in parameters]

    for a, b in zip(run(), run()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.chosen_threads
def test_little_work_runs_on_one_thread_and_much_on_all():
    inputs, loss, updates, parameters = dense_step()
    program = kw.compile(inputs, loss, updates, threads=3)
    assert program.threads_for(batch=2) == 1
    assert program.threads_for(batch=1 << 16) == 3
    before = [kw.get_value(p) for p in parameters]
    data, results = batch(2), []
    for executable in (program, kw.compile(inputs, loss, updates, threads=1)):
        for p, value in zip(parameters, before):
            kw.set_value(p, value)
        results.append([executable(*data), *(kw.get_value(p) for p in parameters)])
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


def test_nan_survives():
    x = kw.input("x", (None, 40))
    values = f32(3, 40)
    values[1, 7] = np.nan
    outs = kw.compile([x], [kw.relu(x), x.max(-1), x.sum(-1), kw.clip(x, -1, 1)], threads=1)(values)
    assert np.isnan(outs[0][1, 7]) and np.isnan(outs[1][1]) and np.isnan(outs[2][1]) and np.isnan(outs[3][1, 7])
    assert np.isfinite(outs[1][[0, 2]]).all()


@pytest.mark.parametrize("k", [1, 6, lanes("float32"), 33])
def test_odd_filters_and_sizes(k):
    x, w = kw.input("x", (None, 3, 7, 9)), kw.input("w", (k, 3, 3, 3))
    y = kw.conv(x, w, pad=1)
    feeds = f32(5, 3, 7, 9), f32(k, 3, 3, 3)
    outputs = [y, *kw.grad((y * y).sum(), [x, w])]
    for a, b in zip(
        kw.compile([x, w], outputs, threads=2)(*feeds), kw.compile([x, w], outputs, device="reference")(*feeds)
    ):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_hessian_vector_product():
    x = kw.input("x", (6,), "float64")
    a = RNG.normal(size=(6, 6))
    f = (kw.tanh(kw.as_tensor(a) @ x) ** 2).sum()
    v = kw.input("v", (6,), "float64")
    (hv,) = kw.hvp(f, [x], [v])
    at = RNG.normal(size=6)
    program = kw.compile([x, v], hv, threads=1)
    dense = np.stack([program(at, e) for e in np.eye(6)])
    gradient = kw.compile([x], kw.grad(f, x), threads=1)
    numeric = np.stack([(gradient(at + 1e-6 * e) - gradient(at - 1e-6 * e)) / 2e-6 for e in np.eye(6)])
    np.testing.assert_allclose(dense, numeric, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dense, dense.T, rtol=1e-9, atol=1e-12)


def test_the_graph_as_a_networkx_digraph():
    x = kw.input("x", (None, 4))
    y = kw.tanh(x) * x
    graph = kw.to_networkx([y])
    assert set(graph.predecessors(y)) == {kw.tanh(x), x}
    assert graph.nodes[x]["op"] == "input" and graph.nodes[y]["shape"] == y.shape


def test_an_input_can_be_an_output_beside_what_is_made_of_it():
    x = kw.input("x", (None, 3))
    value = f32(4, 3)
    same, twice = kw.compile([x], [x, x * 2])(value)
    np.testing.assert_array_equal(same, value)
    np.testing.assert_array_equal(twice, value * 2)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_long_sums_go_in_blocks(threads, monkeypatch):
    """A product that sums over many places goes through them in parts, each shared by neighbouring tiles, where its
    operands are not packed."""
    monkeypatch.setattr(packing, "SMALL", float("inf"))
    x, g = kw.input("x", (None, 270)), kw.input("g", (None, 275))
    program = kw.compile([x, g], kw.tanh(x).T @ kw.sigmoid(g) + 1, threads=threads, typical={"batch": 30_000})
    assert any("tiles together" in k.schedule for k in program.kernels)
    a, b = f32(3001, 270), f32(3001, 275)
    expected = np.tanh(a).T @ (1 / (1 + np.exp(-b))) + 1
    np.testing.assert_allclose(program(a, b), expected, rtol=2e-4, atol=2e-2)


@pytest.mark.parametrize("batch_size", [1, 4, 5])
@pytest.mark.parametrize("window, stride, pad, groups", [(3, 1, 1, 1), (5, 2, 2, 1), (3, 1, (1, 2), 2), (2, 3, 1, 1)])
def test_convolutions_read_panels(batch_size, window, stride, pad, groups):
    """Rows of pixels are copied with their padding, so that tiles along them are full whatever the batch."""
    x, w = kw.input("x", (None, 8, 13, 22)), kw.input("w", (40, 8 // groups, window, window))
    y = kw.conv(kw.tanh(x), kw.sigmoid(w), stride=stride, pad=pad, groups=groups)
    outputs = [y, *kw.grad(kw.sin(y).sum(), [x, w])]
    program = kw.compile([x, w], outputs, typical={"batch": 2})
    assert any("panel" in k.schedule for k in program.kernels)
    arrays = f32(batch_size, 8, 13, 22), f32(40, 8 // groups, window, window)
    for got, expected in zip(program(*arrays), kw.compile([x, w], outputs, device="reference")(*arrays)):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5 * float(np.abs(expected).max()))
