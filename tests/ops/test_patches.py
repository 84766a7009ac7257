"""unfold, pixel_shuffle and back, put_along_axis, take, median, attention and names from elsewhere, against PyTorch and
NumPy."""

import math

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import DTypeError, ShapeError

RNG = np.random.default_rng(1)


def value(f, *arrays):
    xs = [kw.input(f"x{i}", a.shape, a.dtype.name) for i, a in enumerate(arrays)]
    return kw.compile(xs, [f(*xs)])(*arrays)


@pytest.mark.parametrize(
    "options",
    [
        {"window": 3},
        {"window": (2, 3), "stride": (2, 1), "pad": (1, 0)},
        {"kernel_size": 2, "dilation": 2, "padding": 1},
    ],
)
def test_unfold_is_pytorchs(options):
    torch = pytest.importorskip("torch")
    array = RNG.normal(size=(2, 3, 6, 7))
    names = {"window": "kernel_size", "pad": "padding"}
    right = torch.nn.functional.unfold(torch.tensor(array), **{names.get(k, k): v for k, v in options.items()})
    np.testing.assert_array_equal(value(lambda x: kw.unfold(x, **options), array), right.numpy())


def test_a_convolution_is_a_product_with_the_windows():
    x, w = RNG.normal(size=(2, 3, 5, 6)), RNG.normal(size=(4, 3, 3, 3))
    xi, wi = kw.input("x", x.shape, "float64"), kw.input("w", w.shape, "float64")
    product = (wi.reshape(4, -1) @ kw.unfold(xi, 3, pad=1)).reshape(2, 4, 5, 6)
    both = [product, kw.conv(xi, wi, pad=1)]
    got = kw.compile([xi, wi], [*both, *(g for y in both for g in kw.grad((y * y).sum(), [xi, wi]))])(x, w)
    for a, b in ((0, 1), (2, 4), (3, 5)):
        np.testing.assert_allclose(got[a], got[b], rtol=1e-9, atol=1e-9)


def test_pixels_are_shuffled_and_back():
    torch = pytest.importorskip("torch")
    array = RNG.normal(size=(2, 12, 3, 5))
    shuffled = value(lambda x: kw.pixel_shuffle(x, 2), array)
    np.testing.assert_array_equal(shuffled, torch.nn.functional.pixel_shuffle(torch.tensor(array), 2).numpy())
    np.testing.assert_array_equal(value(lambda x: kw.pixel_unshuffle(x, 2), shuffled), array)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: kw.unfold(x, 9), "no window of (9, 9) fits"),
        (lambda x: kw.unfold(x, (2, 2, 2)), "window=(2, 2, 2)"),
        (lambda x: kw.unfold(kw.input("y", (1, 1, "h", 4)), 2), "a convolution takes any size"),
        (lambda x: kw.pixel_shuffle(x, 2), "2x2 divides"),
        (lambda x: kw.pixel_unshuffle(x, 4), "4 divides"),
        (lambda x: kw.median(kw.input("y", (3, None))), "known while compiling"),
    ],
)
def test_what_does_not_fit_is_said(call, said):
    with pytest.raises(ShapeError) as error:
        call(kw.input("x", (None, 3, 4, 6)))
    assert said in str(error.value) and "test_patches.py" in str(error.value)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_put_along_axis_is_numpys_and_the_last_wins(axis):
    x, values = RNG.normal(size=(4, 5, 3)), RNG.normal(size=(4, 5, 3))
    at = RNG.integers(0, x.shape[axis], x.shape).astype("int64")
    right = x.copy()
    np.put_along_axis(right, at, values, axis)
    np.testing.assert_array_equal(value(lambda a, i, v: kw.put_along_axis(a, i, v, axis), x, at, values), right)


def test_the_gradient_of_put_along_axis_goes_to_what_is_seen():
    x, v = kw.input("x", (1, 4)), kw.input("v", (1, 3))
    at = np.array([[2, 0, 2]], "int32")
    y = kw.put_along_axis(x, kw.as_tensor(at), v)
    weights = np.array([[1.0, 2, 3, 4]], "float32")
    to_x, to_v = kw.compile([x, v], kw.grad((y * weights).sum(), [x, v]))(np.ones((1, 4), "f4"), np.ones((1, 3), "f4"))
    np.testing.assert_array_equal(to_x, [[0, 2, 0, 4]])
    np.testing.assert_array_equal(to_v, [[0, 1, 3]])  # the first of the two at place 2 is covered


def test_take_is_numpys():
    x, at = RNG.normal(size=(3, 4)), np.array([[2, 0], [1, 1]])
    np.testing.assert_array_equal(value(lambda a, i: kw.take(a, i), x, at), np.take(x, at))
    np.testing.assert_array_equal(value(lambda a, i: kw.take(a, i, 1), x, at), np.take(x, at, 1))


@pytest.mark.parametrize("size", [1, 4, 7])
def test_median_is_numpys(size):
    x = RNG.normal(size=(3, size, 2))
    x[1, 0, 1] = math.nan
    np.testing.assert_array_equal(value(lambda a: kw.median(a, 1), x), np.median(x, 1))
    np.testing.assert_array_equal(value(lambda a: kw.median(a, 1, True), x), np.median(x, 1, keepdims=True))
    with pytest.raises(DTypeError, match="cast"):
        kw.median(kw.input("i", (3, 4), "int32"))


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}])
@pytest.mark.parametrize("mask", [None, "bool", "float64"])
def test_attention_is_pytorchs(options, mask):
    torch = pytest.importorskip("torch")
    if mask and options.get("is_causal"):
        pytest.skip("PyTorch takes one of the two")
    q, k, v = RNG.normal(size=(2, 3, 4, 5)), RNG.normal(size=(2, 3, 6, 5)), RNG.normal(size=(2, 3, 6, 7))
    given = None if mask is None else (RNG.random((4, 6)) < 0.7 if mask == "bool" else RNG.normal(size=(4, 6)))
    if mask == "bool":
        given[:, 0] = True
    tensors = [torch.tensor(a, requires_grad=True) for a in (q, k, v)]
    right = torch.nn.functional.scaled_dot_product_attention(
        *tensors, attn_mask=None if given is None else torch.tensor(given), **options
    )
    (right**2).sum().backward()
    xs = [kw.input(name, a.shape, "float64") for name, a in zip("qkv", (q, k, v))]
    y = kw.scaled_dot_product_attention(*xs, attn_mask=given, **options)
    got = kw.compile(xs, [y, *kw.grad((y * y).sum(), xs)])(q, k, v)
    for ours, wanted in zip(got, [right.detach(), *(t.grad for t in tensors)]):
        np.testing.assert_allclose(ours, wanted.numpy(), rtol=1e-9, atol=1e-12)


def test_prelu_has_one_slope_or_one_for_each_channel():
    x, a = RNG.normal(size=(2, 3, 4)), np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(value(kw.prelu, x, a), np.where(x > 0, x, x * a[:, None]), rtol=1e-15)
    np.testing.assert_allclose(value(kw.prelu, x, a[:1]), np.where(x > 0, x, x * 0.1), rtol=1e-15)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("conv2d", "kw.conv, for one to three spatial axes"),
        ("Linear", "kw.nn.Dense"),
        ("scatter", "kw.put_along_axis"),
        ("bmm", "kw.matmul"),
        ("unique", "depends on data"),
        ("softmx", "did you mean"),
    ],
)
def test_names_from_elsewhere_say_what_to_write(name, said):
    with pytest.raises(AttributeError) as error:
        getattr(kw, name)
    assert said in str(error.value)
