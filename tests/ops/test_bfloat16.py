"""bfloat16: rounding and words, promotion, what is stored and what is computed, and misuse."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler import dtypes

RNG = np.random.default_rng(8)
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, 1e-40, 1.00390625, 1.01171875, -2.5e-41, 65504.0]


def as_torch(words):
    torch = pytest.importorskip("torch")
    return torch.tensor(words.view("int16")).view(torch.bfloat16)


def by_torch(values):
    """The words that PyTorch rounds to."""
    torch = pytest.importorskip("torch")
    return torch.tensor(np.asarray(values, "float32")).bfloat16().view(torch.int16).numpy().view("uint16")


NUMBERS = np.concatenate([SPECIAL, RNG.standard_normal(999) * 10.0 ** RNG.integers(-30, 30, 999)]).astype("float32")


# ------------------------------------------------------------------ rounding
def test_rounding_is_to_nearest_even_as_in_torch():
    x = NUMBERS
    real = ~np.isnan(x)
    np.testing.assert_array_equal(kw.to_bfloat16(x)[real], by_torch(x)[real])
    assert np.isnan(kw.from_bfloat16(kw.to_bfloat16(x[~real]))).all()
    loud = np.array([0x7F800001, 0xFF800001], "uint32").view("float32")  # NaNs whose upper halves are infinities
    assert np.isnan(kw.from_bfloat16(kw.to_bfloat16(loud))).all()


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_words_come_back_in_any_shape(shape):
    words = kw.to_bfloat16(np.ones(shape))
    assert words.shape == shape and words.dtype == "uint16"
    again = kw.from_bfloat16(words)
    assert again.shape == shape and again.dtype == "float32" and (again == 1).all()


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_casts_round_on_every_device_and_give_the_words(device):
    x = kw.input("x", (None,))
    narrow = x.astype("bfloat16")
    words, inside = kw.compile([x], [narrow, narrow.astype("float32") - x], device=device).run([NUMBERS])
    real = ~np.isnan(NUMBERS)
    np.testing.assert_array_equal(words[real], by_torch(NUMBERS)[real])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(inside, kw.from_bfloat16(kw.to_bfloat16(NUMBERS)) - NUMBERS)
    assert np.isnan(kw.from_bfloat16(words)[~real]).all()


def test_numbers_of_the_graph_are_rounded():
    x = kw.input("x", (3,), "bfloat16")
    y = kw.compile([x], [(x * 0.1).astype("float32")], device="reference")(kw.to_bfloat16([1.0, 2.0, 4.0]))
    np.testing.assert_array_equal(y, kw.from_bfloat16(by_torch([0.1, 0.2, 0.4])))
    c = kw.as_tensor(np.array([0.1, 3.0]), "bfloat16")
    assert c.dtype == "bfloat16"
    np.testing.assert_array_equal(kw.compile([], [c])(), by_torch([0.1, 3.0]))


# ------------------------------------------------------------------ types
def test_promotion_is_that_of_torch():
    torch = pytest.importorskip("torch")
    n = kw.input("n", (2,), "bfloat16")
    for other in ("uint8", "int32", "int64", "bfloat16", "float32", "float64"):
        want = torch.promote_types(torch.bfloat16, getattr(torch, other))
        assert f"torch.{(n + kw.input('x', (2,), other)).dtype}" == str(want)
    assert {(n + 1).dtype, (2.5 * n).dtype, kw.exp(n).dtype, n.sum().dtype, n.mean().dtype} == {"bfloat16"}
    assert (n < 0.5).dtype == "bool" and dtypes.is_float("bfloat16")


def test_a_widening_cast_and_back_changes_nothing_and_a_narrowing_one_stays():
    x, n = kw.input("x", (300,)), kw.input("n", (300,), "bfloat16")
    values = RNG.standard_normal(300).astype("float32")
    words = kw.to_bfloat16(values)
    out, kept = kw.compile([x, n], [x.astype("bfloat16").astype("float32"), n.astype("float32").astype("bfloat16")])(
        values, words
    )
    np.testing.assert_array_equal(out, kw.from_bfloat16(words))
    np.testing.assert_array_equal(kept, words)


# ------------------------------------------------------------------ what is computed
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_sums_are_float32_inside(device):
    x = kw.input("x", (None, 1000), "bfloat16")
    values = kw.to_bfloat16(RNG.random((3, 1000)) + 0.5)
    want = kw.from_bfloat16(values).sum(1)
    got = kw.compile([x], [x.sum(1), x.mean(1)], device=device).run([values])
    np.testing.assert_allclose(kw.from_bfloat16(got[0]), want, rtol=2.0**-8)
    np.testing.assert_allclose(kw.from_bfloat16(got[1]), want / 1000, rtol=2.0**-8)


@pytest.mark.parametrize("m, k, n", [(13, 37, 50), (1, 64, 10), (65, 200, 33), (7, 1, 17), (40, 2, 16), (16, 255, 256)])
@pytest.mark.parametrize("flip_a, flip_b", [(False, False), (False, True), (True, False), (True, True)])
def test_matrix_products_have_float32_sums(m, k, n, flip_a, flip_b):
    a, b = (kw.to_bfloat16(RNG.standard_normal(s)) for s in ((m, k), (k, n)))
    x = kw.input("x", (k, m) if flip_a else (m, k), "bfloat16")
    y = kw.input("y", (n, k) if flip_b else (k, n), "bfloat16")
    product = (x.T if flip_a else x) @ (y.T if flip_b else y)
    program = kw.compile([x, y], [product.astype("float32"), product])
    given = [np.ascontiguousarray(v.T) if flip else v for v, flip in ((a, flip_a), (b, flip_b))]
    wide, narrow = program.run(given)
    want = kw.from_bfloat16(a).astype("float64") @ kw.from_bfloat16(b)
    np.testing.assert_allclose(wide, want, rtol=1e-5, atol=1e-5 * np.sqrt(k))
    np.testing.assert_allclose(kw.from_bfloat16(narrow), want, rtol=2.0**-8, atol=1e-5 * np.sqrt(k))


@pytest.mark.parametrize("stride, pad, window, channels", [(1, 1, 3, 16), (2, 1, 3, 5), (1, 0, 1, 32), (2, 3, 7, 3)])
def test_convolutions_and_their_gradients_agree_with_torch(stride, pad, window, channels):
    torch = pytest.importorskip("torch")
    x = kw.input("x", (None, channels, 11, 11), "bfloat16")
    w = kw.input("w", (24, channels, window, window), "bfloat16")
    y = kw.conv(x, w, stride=stride, pad=pad).astype("float32")
    g = kw.input("g", (None, *y.shape[1:]))
    gx, gw = kw.grad((y * g.astype("bfloat16").astype("float32")).sum(), [x, w])
    a, b = (kw.to_bfloat16(RNG.standard_normal(s)) for s in ((3, channels, 11, 11), (24, channels, window, window)))
    up = kw.from_bfloat16(kw.to_bfloat16(RNG.standard_normal((3, *y.shape[1:]))))
    found = kw.compile([x, w, g], [y, gx, gw])(a, b, up)
    ta, tb = (as_torch(v).double().requires_grad_() for v in (a, b))
    out = torch.nn.functional.conv2d(ta, tb, stride=stride, padding=pad)
    out.backward(torch.tensor(up, dtype=torch.float64))
    np.testing.assert_allclose(found[0], out.detach(), rtol=1e-4, atol=1e-4)
    for got, want in zip(found[1:], (ta.grad, tb.grad)):
        np.testing.assert_allclose(kw.from_bfloat16(got), want, rtol=2.0**-8, atol=1e-3)


# ------------------------------------------------------------------ misuse
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_other_arrays_are_refused_with_a_way_out(device):
    program = kw.compile([x := kw.input("x", (2,), "bfloat16")], [x + x], device=device)
    with pytest.raises(kw.compiler.errors.InputError, match=r"uint16 words, got float32 .* kw.to_bfloat16"):
        program(np.ones(2, "float32"))
    np.testing.assert_array_equal(program([1.0, 2.0]), kw.to_bfloat16([2.0, 4.0]))
    with pytest.raises(kw.compiler.errors.InputError, match="takes uint16 words, got int32"):
        kw.from_bfloat16(np.ones(2, "int32"))


def test_variables_stay_wide():
    with pytest.raises(kw.DTypeError, match="kept in float32; cast to bfloat16 where it is read"):
        kw.variable("v", np.ones(2), "bfloat16")


def test_a_rounded_value_that_several_kernels_read_is_computed_again_in_each():
    """Its price has to be known; values by hand: 1.00390625 lies half way, and goes to the even 1.0."""
    x, z = kw.input("x", (64, 64, 64)), kw.input("z", (64, 64, 64))
    scale = kw.variable("scale", np.ones(64, "float32"))
    y = (x * scale + 0.0 * scale).astype("bfloat16").astype("float32") * scale + scale
    results = [(y * 3.0).sum(0), (y + x).sum(2), (y - 1.0).max(1), (y * z).sum()]
    program = kw.compile([x, z], results)
    got = program(np.full((64, 64, 64), 1.00390625, "float32"), np.full((64, 64, 64), 0.5, "float32"))
    for value, want in zip(got, (2.0 * 3 * 64, (2.0 + 1.00390625) * 64, 1.0, 2.0 * 0.5 * 64**3)):
        np.testing.assert_array_equal(value, np.full(value.shape, want, "float32"))
