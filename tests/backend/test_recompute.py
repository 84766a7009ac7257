"""Elementwise results that their readers compute again instead of loading them, and those that stay stored."""

import numpy as np
import pytest

import kernelwright as kw

RNG = np.random.default_rng(11)
AGAIN = "cheaper to compute again"


def f32(*shape):
    return RNG.normal(size=shape).astype("float32")


def agree(inputs, outputs, *arrays, rtol=2e-4, atol=2e-5, **options):
    program = kw.compile(inputs, outputs, threads=2, **options)
    want = kw.compile(inputs, outputs, device="reference").run(arrays)
    for got, expected in zip(program.run(arrays), want):
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol * max(1.0, float(np.abs(expected).max())))
    return program


def normalised(x):
    centred = x - x.mean((0, 2, 3), keepdims=True)
    return centred * kw.rsqrt((centred * centred).mean((0, 2, 3), keepdims=True) + 1e-5)


def large(kernel):
    """How many images the kernel reads or writes."""
    return sum("batch" in b.split("(", 1)[1] for b in kernel.buffers)


def test_normalising_passes_over_memory_four_times():
    x = kw.input("x", (None, 12, 9, 7))
    program = agree([x], [kw.relu(normalised(x))], f32(5, 12, 9, 7), typical={"batch": 64})
    assert sum(map(large, program.kernels)) == 4  # the mean, the variance, and one kernel that reads and writes
    assert any(AGAIN in reason for k in program.kernels for reason in k.reasons)


def test_its_gradient_agrees():
    x, g = kw.input("x", (None, 12, 5, 7)), kw.input("g", (None, 12, 5, 7))
    loss = (kw.relu(normalised(x)) * g).sum()
    agree([x, g], [loss, *kw.grad(loss, [x, g])], f32(6, 12, 5, 7), f32(6, 12, 5, 7))


def test_what_is_dear_is_computed_once():
    x, y = kw.input("x", (None, 64)), kw.input("y", (None, 64, 200))
    outer = kw.tanh(kw.tanh(kw.tanh(x)))
    z = (outer.reshape(-1, 64, 1) * y).sum(-1)
    program = agree([x, y], [z, outer.sum()], f32(3, 64), f32(3, 64, 200))
    assert any("tanh" in k.fused and "sum" not in k.fused for k in program.kernels)


def test_the_operand_of_a_contraction_is_stored_for_several_products():
    x, w, v = kw.input("x", (None, 33)), kw.input("w", (33, 20)), kw.input("v", (33, 21))
    h = kw.exp(kw.tanh(x))
    program = agree([x, w, v], [h @ w, h @ v, h.sum()], f32(7, 33), f32(33, 20), f32(33, 21))
    assert sum("tanh" in k.fused for k in program.kernels) == 1


def test_a_large_variable_gets_no_more_readers():
    w = kw.variable("w", f32(300, 200))
    x = kw.input("x", (300, 200))
    step = w * 0.5 + x
    program = kw.compile([x], [step.sum(), (step * step).sum()], {w: w - step}, threads=2)
    assert not any("_store" in k.name for k in program.kernels)


def test_a_small_variable_may_be_updated_while_its_readers_recompute():
    x, scale = kw.input("x", (None, 8)), kw.variable("scale", np.ones(8, "float32"))
    y = kw.tanh(x * scale) * x
    loss = (y * y).mean()
    updates = {scale: scale - 0.1 * kw.grad(loss, [scale])[0]}
    data = f32(9, 8)
    want = kw.compile([x], loss, updates, device="reference")
    results = []
    for program in (want, kw.compile([x], loss, updates, threads=2)):
        kw.set_value(scale, np.ones(8, "float32"))
        results.append([float(program(data)) for _ in range(3)] + list(kw.get_value(scale)))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (4, 1, 6, 1)])
def test_axes_of_size_one(shape):
    x = kw.input("x", (None, *shape[1:]))
    y = normalised(x)
    agree([x], [kw.relu(y), (y * y).sum()], f32(*shape), atol=1e-4)


def test_softmax_of_long_rows_is_one_kernel():
    x = kw.input("x", (None, 512))
    data = f32(37, 512)
    program = kw.compile([x], kw.softmax(x), threads=2, typical={"batch": 4096})
    assert len(program.kernels) == 1  # the exponentials are not stored between their sum and the quotient
    e = np.exp(data.astype("float64") - data.max(1, keepdims=True))
    np.testing.assert_allclose(program(data), e / e.sum(1, keepdims=True), rtol=2e-6)


def test_the_gradient_of_softmax_is_one_more_kernel():
    x, g = kw.input("x", (None, 512)), kw.input("g", (None, 512))
    y = kw.softmax(x)
    (gradient,) = kw.grad((y * g).sum(), [x])
    data, weights = f32(19, 512), f32(19, 512)
    program = kw.compile([x, g], [y, gradient], threads=2, typical={"batch": 4096})
    assert len(program.kernels) == 2
    e = np.exp(data.astype("float64") - data.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    got = program.run([data, weights])
    np.testing.assert_allclose(got[0], p, rtol=2e-6)
    np.testing.assert_allclose(got[1], p * (weights - (p * weights).sum(1, keepdims=True)), rtol=1e-5, atol=1e-7)


def test_a_row_is_not_reduced_again_for_each_of_its_places():
    x = kw.input("x", (None, 512))
    e = kw.exp(x - x.max(1, keepdims=True))
    down = kw.compile([x], e.sum(0), threads=2, typical={"batch": 4096})
    assert len(down.kernels) > 1  # a sum down the rows would find each row's maximum for each column
    data = f32(29, 512)
    np.testing.assert_allclose(down(data), np.exp(data - data.max(1, keepdims=True)).sum(0), rtol=2e-5)
    y = kw.input("y", (None, 512, 4))
    across = kw.compile([y], kw.softmax(y, 1), threads=2, typical={"batch": 4096})
    assert len(across.kernels) == 2  # rows that do not lie along the last axis
    data = f32(3, 512, 4)
    e = np.exp(data - data.max(1, keepdims=True))
    np.testing.assert_allclose(across(data), e / e.sum(1, keepdims=True), rtol=2e-5)
