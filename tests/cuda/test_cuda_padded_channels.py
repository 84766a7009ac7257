"""Convolutions of few channels on tensor cores: over padded channels, in wide copies, with the same values."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import kernelwright as kw
from kernelwright.compiler.passes import Trace, run_graph_passes
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.cuda import padded_channels, program
from kernelwright.compiler.targets.cuda.target import Cuda
from kernelwright.compiler.targets.cuda.tensor_cores import TensorCoreTiled
from kernelwright.compiler.targets.cuda.warpgroups import WarpgroupTiled

FILTERS = 16
RULE = "channels of convolutions padded"


@pytest.fixture
def any_work(monkeypatch):
    """Pad however little there is to do."""
    monkeypatch.setattr(padded_channels, "LEAST_PRODUCTS", 0)
    monkeypatch.setattr(padded_channels, "SMALL", 0)
    monkeypatch.setattr(padded_channels, "READS", 1)


def graph(channels, window, stride, pad, dtype="float32", batch=2, size=(11, 13), groups=1):
    """(inputs x, w, g; y and the gradients of (y * g).sum() by x and w)."""
    x = kw.input("x", (batch, channels, *size), dtype)
    w = kw.input("w", (FILTERS, channels // groups, window, window), dtype)
    y = kw.conv(x, w, stride=stride, pad=pad, groups=groups)
    g = kw.input("g", y.shape, dtype)
    outputs = [y, *kw.grad((y * g).astype("float32").sum(), [x, w])]
    return [x, w, g], [o.astype("float32") for o in outputs]


def whole_numbers(inputs):
    """Signs, of whose products every precision holds the sums here."""
    rng = np.random.default_rng(0)
    return [rng.integers(-1, 2, size=i.shape).astype("float32") for i in inputs]


def by_numpy(x, w, g, stride, pad):
    """A convolution and its gradients by x and w as sums over the window."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, w.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    back = np.zeros_like(padded)
    height, width = (stride * n for n in g.shape[2:])
    for i, j in np.ndindex(w.shape[2:]):
        back[:, :, i : i + height : stride, j : j + width : stride] += np.einsum("nkhw,kc->nchw", g, w[:, :, i, j])
    inside = back[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]
    return np.einsum("nchwij,kcij->nkhw", windows, w), inside, np.einsum("nchwij,nkhw->kcij", windows, g)


def passed(outputs, target):
    """What a target's graph passes make of the outputs, and the rules of them."""
    trace = Trace()
    made = run_graph_passes(target.graph_passes(), outputs, trace)
    return made, sum((step.hits for step in trace.steps), start=type(trace.steps[0].hits)())


def copies(built):
    """Bytes of each copy of either operand, for every contraction on tensor cores."""
    tiled = [k.schedule for k in built.kernels if isinstance(k.schedule, TensorCoreTiled)]
    return [{p.nbytes for p in (s.a_panel, s.b_panel)} for s in tiled]


@pytest.mark.parametrize("kind", ["tf32", "bfloat16", "words"])
@pytest.mark.parametrize("channels", [1, 3, 5, 6])
@pytest.mark.parametrize("window, stride, pad", [(3, 1, 1), (5, 2, 2), (4, 2, 0)])
def test_values_are_those_of_the_sums_over_windows(channels, window, stride, pad, kind, any_work):
    """float32 in both precisions, and words of bfloat16: the result and both gradients."""
    dtype, precision = ("bfloat16", "tf32") if kind == "words" else ("float32", kind)
    inputs, outputs = graph(channels, window, stride, pad, dtype)
    values = whole_numbers(inputs)
    given = [kw.to_bfloat16(v) for v in values] if kind == "words" else values
    built = program.build_kernels(inputs, outputs, {}, precision, (9, 0))
    for found, want in zip(program.run_program(built, given), by_numpy(*values, stride, pad), strict=True):
        np.testing.assert_array_equal(found, want)


def test_second_derivatives(any_work):
    """That of half the squared norm of the gradient by the weights, along the images."""
    inputs, (_, _, by_weights) = graph(3, 3, 2, 1)
    (twice,) = kw.grad((by_weights * by_weights).sum() * 0.5, inputs[:1])
    values = whole_numbers(inputs)
    built = program.build_kernels(inputs, [twice], {}, "tf32")
    x, _, g = values
    (got,) = program.run_program(built, values)
    norm = by_numpy(*values, 2, 1)[2]  # of which the images' gradient is that of a convolution with these weights
    np.testing.assert_array_equal(got, by_numpy(x, norm, g, 2, 1)[1])


@pytest.mark.parametrize(
    "dtype, window, stride, width",
    [
        ("float32", 7, 2, 16),
        ("float32", 3, 1, 16),
        ("bfloat16", 3, 1, 8),
        ("bfloat16", 7, 2, 16),
        ("bfloat16", 11, 4, 16),
    ],
)
def test_three_channels_come_in_wide_copies(dtype, window, stride, width):
    """Beside other layers' tensors, whose channels are last."""
    x, w = kw.input("x", (16, 3, 64, 64), dtype), kw.input("w", (FILTERS, 3, window, window), dtype)
    y = kw.conv(x, w, stride=stride, pad=window // 2).transpose((0, 2, 3, 1))
    g = kw.input("g", y.shape, dtype)
    (by_weights,) = kw.grad((y * g).sum(), [w])
    built = program.build_kernels([x, w, g], [y, by_weights], {}, "tf32")
    assert [min(each) for each in copies(built)] == [width, width]


def test_rows_of_strided_windows_are_multiplied_by_warpgroups(any_work):
    """Seven pixels and one of zeros are four copies of 16 bytes, in the images that hold their padding."""
    x, w = kw.input("x", (4, 3, 32, 32), "bfloat16"), kw.input("w", (64, 3, 7, 7), "bfloat16")
    y = kw.conv(x, w, stride=2, pad=3)
    g = kw.input("g", (4, 16, 16, 64), "bfloat16")
    outputs = [y.transpose((0, 2, 3, 1)), *kw.grad((y * g.transpose((0, 3, 1, 2))).astype("float32").sum(), [w])]
    outputs = [o.astype("float32") for o in outputs]
    values = whole_numbers([x, w, g])
    values[2][2:] = 0  # sums that words of bfloat16 hold
    built = program.build_kernels([x, w, g], outputs, {}, "bfloat16", (9, 0))
    tiled = sorted(k.schedule.sizes() for k in built.kernels if isinstance(k.schedule, WarpgroupTiled))
    assert tiled == [(1, 1024, 64, 224), (4, 64, 224, 256)]  # the gradient's sums in four parts
    got = program.run_program(built, [kw.to_bfloat16(v) for v in values])
    want = by_numpy(values[0], values[1], values[2].transpose(0, 3, 1, 2), 2, 3)
    np.testing.assert_array_equal(got[0], want[0].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(got[1], want[2])


def test_gradients_of_weights_are_not_rounded_to_words_on_their_way(any_work):
    """1 + 2^-9 is no bfloat16: sums reach the float32 that the graph asks for as they are."""
    x, w = kw.input("x", (2, 3, 9, 9), "bfloat16"), kw.input("w", (FILTERS, 3, 3, 3))
    y = kw.conv(x, w.astype("bfloat16"), stride=2)
    (by_weights,) = kw.grad(y.astype("float32").sum(), [w])
    one, small = np.zeros(x.shape, "float32"), np.zeros(x.shape, "float32")
    one[0], small[1] = 1 / 16, 2.0**-13  # sixteen places each
    values = [one + small, np.zeros(w.shape, "float32")]
    built = program.build_kernels([x, w], [by_weights], {}, "bfloat16", (9, 0))
    (got,) = program.run_program(built, [kw.to_bfloat16(values[0]), values[1]])
    np.testing.assert_array_equal(got, np.full(w.shape, 1 + 2.0**-9, "float32"))


@pytest.mark.parametrize("channels, dtype, padded", [(1, "float32", 1), (1, "bfloat16", 2), (2, "bfloat16", 2)])
def test_no_more_zeros_than_make_copies_fewer(channels, dtype, padded):
    _, (y, _, _) = graph(channels, 5, 1, 0, dtype, batch=16, size=(64, 64))
    (made,), rules = passed([y], Cuda(Options(precision="tf32")))
    assert rules[RULE] == (padded != channels)
    products = [n for n in kw.compiler.graph.node.toposort([made]) if n.op.name == "contract"]
    assert [n.attrs.spec.red[0] for n in products] == [padded]


@pytest.mark.parametrize(
    "target, settings",
    [
        (Cuda(Options(precision="float32")), {}),
        (Cpu(Options()), {}),
        (Cuda(Options(precision="tf32")), {"channels": 4}),
        (Cuda(Options(precision="tf32")), {"window": 1, "pad": 0}),
        (Cuda(Options(precision="tf32")), {"window": 2, "stride": 2, "pad": 0}),
        (Cuda(Options(precision="tf32")), {"channels": 48, "groups": 16}),
        (Cuda(Options(precision="tf32")), {"batch": 1, "size": (12, 12)}),
    ],
    ids=["float32", "cpu", "four channels", "one tap", "no overlap", "groups", "little work"],
)
def test_what_would_not_gain_stays(target, settings):
    given = {"channels": 3, "window": 3, "stride": 1, "pad": 1, "batch": 16, "size": (64, 64)} | settings
    _, outputs = graph(**given)
    assert passed(outputs, target)[1][RULE] == 0


def test_products_of_matrices_stay():
    a, b = kw.input("a", (4096, 3)), kw.input("b", (3, 4096))
    assert passed([a @ b], Cuda(Options(precision="tf32")))[1][RULE] == 0
