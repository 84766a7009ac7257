"""Strided convolutions: their gradients run by phases, as register tiles, and agree with the reference."""

import numpy as np
import pytest

import kernelwright as kw

RNG = np.random.default_rng(17)


def f32(*shape):
    return RNG.normal(size=shape).astype("float32")


def contractions(program):
    return [k for k in program.kernels if "contract" in k.fused]


def input_gradient(size, window, channels=8, filters=16, **how):
    """(input of a strided convolution, the gradient of a function of its result by that input)."""
    x = kw.input("x", (None, channels, *size))
    groups = how.get("groups", 1)
    w = kw.variable("w", f32(filters, channels // groups, *window))
    return x, kw.grad(kw.sin(kw.conv(x, w, **how)).sum(), [x])


@pytest.mark.parametrize(
    ("size", "window", "how"),
    [
        ((12, 10), (3, 3), {"stride": 2, "pad": 1}),
        ((11, 9), (3, 3), {"stride": 2, "pad": 1}),  # sizes that the stride does not divide
        ((12, 9), (3, 2), {"stride": (2, 3), "pad": (0, 1)}),
        ((8, 6), (1, 1), {"stride": 2}),
        ((8, 6), (1, 1), {"stride": 2, "pad": 1}),
        ((8, 8), (5, 4), {"stride": 4, "pad": (3, 2)}),
        ((16, 12), (2, 2), {"stride": 4}),  # windows smaller than the stride
        ((12, 12), (3, 3), {"stride": 3, "pad": 2, "dilation": 2}),
        ((12, 8), (3, 3), {"stride": 2, "pad": 2, "dilation": 2}),  # all taps in one phase
        ((8, 12), (3, 3), {"stride": 2, "pad": 1, "groups": 2}),
        ((2, 4), (3, 3), {"stride": 2, "pad": 1}),
    ],
)
def test_gradients_of_strided_convolutions(size, window, how):
    x, gradient = input_gradient(size, window, **how)
    image = f32(3, 8, *size)
    native, reference = (kw.compile([x], gradient, device=device)(image) for device in ("cpu", "reference"))
    np.testing.assert_allclose(native, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize(("window", "pad"), [(3, 1), (1, 0), (4, 1), (5, 2)])
def test_gradients_of_strided_convolutions_are_tiles(batch, window, pad):
    x, gradient = input_gradient((16, 16), (window, window), 16, 32, stride=2, pad=pad)
    program = kw.compile([x], gradient, typical={"batch": batch})
    assert all("tile" in str(k.schedule) for k in contractions(program))


def test_phases_use_only_their_own_taps():
    x, gradient = input_gradient((8, 8), (3, 3), stride=2, pad=1)
    loops = contractions(kw.compile([x], gradient))[-1].loops
    assert "Divides" not in loops


def test_a_transposed_convolution_runs_by_phases():
    x = kw.input("x", (None, 8, 5, 6))
    y = kw.conv_transpose(x, kw.variable("w", f32(8, 16, 4, 4)), stride=2, pad=1)
    (kernel,) = contractions(kw.compile([x], [y]))
    assert "Divides" not in kernel.loops and "tile" in str(kernel.schedule)
    image = f32(2, 8, 5, 6)
    native, reference = (kw.compile([x], [y], device=device)(image) for device in ("cpu", "reference"))
    np.testing.assert_allclose(native, reference, rtol=1e-4, atol=1e-4)


def test_second_derivatives_of_strided_convolutions():
    x, w = kw.input("x", (2, 4, 6, 8)), kw.input("w", (6, 4, 3, 3))
    first = kw.grad(kw.sin(kw.conv(x, w, stride=2, pad=1)).sum(), [x])[0]
    second = kw.grad((first * first).sum(), [x, w])
    arrays = f32(2, 4, 6, 8), f32(6, 4, 3, 3)
    native, reference = (kw.compile([x, w], second, device=device)(*arrays) for device in ("cpu", "reference"))
    for a, b in zip(native, reference):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_a_contraction_of_a_strided_gradient_is_vector_code():
    x, gradient = input_gradient((16, 16), (3, 3), 16, 32, stride=2, pad=1)
    kernel = contractions(kw.compile([x], gradient))[-1]
    assert "vfmadd" in kernel.asm


@pytest.mark.slow
def test_resnet20s_training_step_has_no_contraction_in_plain_loops():
    model = kw.models.build("resnet20")
    images, labels = model.images(), kw.input("labels", (None,), "int32")
    loss = kw.cross_entropy(model(images, training=True), labels)
    gradients = kw.grad(loss, model.parameters())
    program = kw.compile([images, labels], [loss, *gradients], typical={"batch": 32})
    assert all("tile" in str(k.schedule) for k in contractions(program))
