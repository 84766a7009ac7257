"""`kw.scan` and what is made of it as CUDA kernels that run turn after turn, in lockstep without a GPU."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from standin import on

import kernelwright as kw
from kernelwright.compiler.targets.cuda import program
from kernelwright.compiler.targets.cuda.compiled import CudaListing
from kernelwright.compiler.targets.cuda.tensor_cores import TensorCoreTiled

sys.path.insert(0, str(Path(__file__).parents[1] / "scan"))
from test_scan import arrays, graph, recurrence
from test_scan_gradients import loss_in_torch, loss_of


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_program_runs_any_number_of_turns(library, dtype, reverse):
    compiled = on(library, *graph(dtype, "time", reverse))
    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    for turns, batch in ((0, 3), (1, 1), (6, 3)):
        given = arrays(dtype, turns, batch)
        for got, wanted in zip(compiled(*given), recurrence(*given, reverse=reverse), strict=True):
            np.testing.assert_allclose(got, wanted, tolerance, tolerance)


def test_turns_are_launches_of_one_graph_and_the_kernels_do_not_grow_with_them(library):
    x, start = kw.input("x", ("time", 4)), np.zeros(4, "float32")
    last, _ = kw.scan(lambda s, p: (s * p + 1, None), kw.as_tensor(start), x)
    compiled = on(library, [x], last)
    turning = [k for k in compiled.kernels if k.times is not None]
    for turns in (2, 50):
        before = library.log.count("cuLaunchKernel"), library.log.count("cuGraphLaunch")
        compiled(np.ones((turns, 4), "float32"))
        launches, replays = (
            library.log.count("cuLaunchKernel") - before[0],
            library.log.count("cuGraphLaunch") - before[1],
        )
        once = len(compiled.kernels) - len(turning)
        assert (launches, replays) == (once + turns * len(turning), 1)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_the_unrolled_loop(reverse):
    torch = pytest.importorskip("torch")
    shapes = {"h": (2, 4), "x": (3, 2, 3), "w": (4, 4), "u": (3, 4)}
    given = [kw.input(name, shape, "float64") for name, shape in shapes.items()]
    loss = loss_of(*given, reverse)
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape) for shape in shapes.values()]
    got = program.run_program(program.build_kernels(given, [loss, *kw.grad(loss, given)], {}), values)
    leaves = [torch.tensor(a, requires_grad=True) for a in values]
    total = loss_in_torch(torch, *leaves, reverse)
    for mine, wanted in zip(got, [total, *torch.autograd.grad(total, leaves)], strict=True):
        np.testing.assert_allclose(mine, wanted.detach().numpy(), 1e-9, 1e-9)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent_layers_and_their_gradients(library, kind):
    """The reference's are compared with PyTorch's elsewhere."""
    x = kw.input("x", ("time", None, 3), "float64")
    with kw.init.precision("float64"), kw.init.seeded(0):
        layer = getattr(kw.nn, kind)(5, bidirectional=kind == "LSTM")
        y, state = layer(x)
    outputs = [y, *(state if isinstance(state, tuple) else [state])]
    loss = sum((o * o * (i + 1)).sum() for i, o in enumerate(outputs))
    outputs += kw.grad(loss, [x, *layer.parameters()])
    compiled, reference = on(library, [x], outputs), kw.compile([x], outputs, device="reference")
    for time, batch in ((1, 2), (4, 3)):
        value = np.random.default_rng(time).standard_normal((time, batch, 3))
        for got, wanted in zip(compiled(value), reference(value), strict=True):
            np.testing.assert_allclose(got, wanted, 1e-10, 1e-10)


def test_memory_between_loops_and_sequences_that_are_computed(library):
    x, w = kw.input("x", ("time", 3, 3), "float64"), kw.input("w", (3, 3), "float64")
    _, sums = kw.scan(lambda s, p: (s + p @ w, kw.tanh(s @ w)), kw.as_tensor(np.zeros((3, 3))), x * 2)
    last, products = kw.scan(lambda s, p: (s * p, s @ p), sums[0] + 1, kw.exp(sums), reverse=True)
    compiled = on(library, [x, w], [last, products])
    rng = np.random.default_rng(0)
    xs, ws = rng.random((5, 3, 3)), rng.random((3, 3))
    s, rows = np.zeros((3, 3)), []
    for p in 2 * xs:
        rows.append(np.tanh(s @ ws))
        s = s + p @ ws
    t, wanted = rows[0] + 1, [np.zeros(())] * 5
    for i in reversed(range(5)):
        wanted[i] = t @ np.exp(rows[i])
        t = t * np.exp(rows[i])
    got_last, got = compiled(xs, ws)
    np.testing.assert_allclose(got_last, t, 1e-12)
    np.testing.assert_allclose(got, wanted, 1e-12)


def test_variables_as_states_and_sequences_in_steps_of_one_call(library):
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal(shape) for name, shape in (("h", (4,)), ("xs", (5, 4)), ("w", (4, 4)))}
    h, xs, w = (kw.variable(name, value) for name, value in values.items())
    gain = kw.input("gain", (), "float64")
    final, ys = kw.scan(lambda s, x: (kw.tanh(w @ s + gain * x), s), h, xs)
    got_ys, got_final = on(library, [gain], [ys, final], {h: final}).run(
        [np.array([0.5, 1.0, 2.0])], steps=3, per_step=[0]
    )
    s = values["h"]
    for i, g in enumerate((0.5, 1.0, 2.0)):
        for t, x in enumerate(values["xs"]):
            np.testing.assert_allclose(got_ys[i, t], s, 1e-12)
            s = np.tanh(values["w"] @ s + g * x)
        np.testing.assert_allclose(got_final[i], s, 1e-12)
    np.testing.assert_allclose(kw.get_value(h), s, 1e-12)


def test_long_axes_are_sorted_turn_by_turn():
    x = kw.input("x", (2, 1030))
    value = np.random.default_rng(0).integers(0, 300, (2, 1030)).astype("float32")
    (got,) = program.run_program(program.build_kernels([x], [kw.argsort(x, 1)], {}), [value])
    np.testing.assert_array_equal(got, np.argsort(value, 1, kind="stable"))


# ---------------------------------------------------------------- places of sequences begin anywhere


def halves(size):
    """The first 256 elements of each place of a sequence times two, as kernels."""
    x = kw.input("x", (4, size))
    _, doubled = kw.scan(lambda _, p: (None, p[:256] * 2), None, x)
    return program.build_kernels([x], [doubled], {})


def test_places_that_begin_between_boundaries_are_read_element_by_element(toolkit):
    (aligned,), (anywhere,) = halves(260).kernels, halves(259).kernels
    assert "ld.global.nc.v4.f32" in aligned.compile((8, 0)).ptx
    ptx = anywhere.compile((8, 0)).ptx
    assert "ld.global.nc.v" not in ptx and "ld.global.nc.f32" in ptx
    value = np.arange(4 * 259, dtype="float32").reshape(4, 259)
    np.testing.assert_array_equal(program.run_program(halves(259), [value])[0], value[:, :256] * 2)


@pytest.mark.parametrize("size", [259, 260])
def test_copies_to_tensor_cores_are_of_16_bytes_where_places_begin_there(size):
    """Sums of products of small integers, which tf32 does not round."""
    x, u = kw.input("x", (3, size)), kw.input("u", (8, 24))
    last, _ = kw.scan(lambda s, p: (s + p[:256].reshape(32, 8) @ u, None), kw.zeros((32, 24)), x)
    built = program.build_kernels([x, u], [last], {}, "tf32")
    (product,) = [k.schedule for k in built.kernels if isinstance(k.schedule, TensorCoreTiled)]
    assert max(product.a_panel.vector, product.b_panel.vector) == 4
    assert min(product.a_panel.vector, product.b_panel.vector) == (1 if size % 4 else 4)
    rng = np.random.default_rng(0)
    xs, us = rng.integers(-9, 9, (3, size)).astype("float32"), rng.integers(-9, 9, (8, 24)).astype("float32")
    (got,) = program.run_program(built, [xs, us])
    np.testing.assert_array_equal(got, sum(row[:256].reshape(32, 8) @ us for row in xs))


# ---------------------------------------------------------------- all kernels of a training step


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_every_kernel_of_an_lstms_training_step_compiles_without_spills(toolkit, arch, precision):
    x, labels = kw.input("x", ("time", None, 32)), kw.input("labels", (None,), "int32")
    layer, head = kw.nn.LSTM(64), kw.nn.Dense(10)
    _, (last, _) = layer(x)
    loss = kw.losses.cross_entropy(head(last[-1]), labels)
    weights = [*layer.parameters(), *head.parameters()]
    updates = kw.optim.SGD(0.1).updates(weights, kw.grad(loss, weights))
    listing = CudaListing([x, labels], [loss], updates, arch, {"time": 100, "batch": 64}, precision)
    assert {str(k.times) for k in listing.kernels} == {"None", "time"}
    listing.compile(*listing.kernels)
    for kernel in listing.kernels:
        said = kernel.resources
        assert "0 bytes spill stores, 0 bytes spill loads" in said or "nvJitLink is not installed" in said, (
            kernel.source
        )
