"""bfloat16 in the memory of CUDA programs: rounding, words in and out, products with float32 sums, access widths."""

import re

import numpy as np
import pytest
from standin import on

import kernelwright as kw
from kernelwright.compiler.targets.cuda import bfloat16, program

RNG = np.random.default_rng(3)
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, 1e-40, 1.00390625, 1.01171875, -2.5e-41, 65504.0]
NUMBERS = np.concatenate([SPECIAL, RNG.standard_normal(117) * 10.0 ** RNG.integers(-30, 30, 117)]).astype("float32")


def by_torch(values):
    """The words that PyTorch rounds to."""
    torch = pytest.importorskip("torch")
    return torch.tensor(np.asarray(values, "float32")).bfloat16().view(torch.int16).numpy().view("uint16")


def run(inputs, outputs, values):
    return program.run_program(program.build_kernels(inputs, outputs, {}), values)


def test_words_of_the_executor_are_those_of_torch():
    real = ~np.isnan(NUMBERS)
    np.testing.assert_array_equal(bfloat16.narrowed(NUMBERS)[real], by_torch(NUMBERS)[real])
    assert (bfloat16.narrowed(NUMBERS)[~real] == 0x7FFF).all()
    words = np.arange(0x10000).astype("uint16")
    np.testing.assert_array_equal(bfloat16.widened(words), kw.from_bfloat16(words))
    assert bfloat16.widened(np.uint16(0x3F80)) == 1.0 and bfloat16.narrowed(np.float32(-2.0)) == 0xC000


def test_casts_round_and_give_the_words():
    x = kw.input("x", (None,))
    narrow = x.astype("bfloat16")
    words, inside = run([x], [narrow, narrow.astype("float32") - x], [NUMBERS])
    real = ~np.isnan(NUMBERS)
    assert words.dtype == "uint16"
    np.testing.assert_array_equal(words[real], by_torch(NUMBERS)[real])
    assert np.isnan(kw.from_bfloat16(words)[~real]).all()
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(inside, kw.from_bfloat16(kw.to_bfloat16(NUMBERS)) - NUMBERS)


@pytest.mark.parametrize("m, k, n", [(13, 37, 50), (1, 64, 10), (7, 1, 17), (40, 2, 16), (33, 130, 65)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_products_of_words_have_float32_sums(m, k, n, precision):
    """Products of two words are exact in float32, so tensor cores change nothing but the order of sums."""
    a, b = (kw.to_bfloat16(RNG.standard_normal(s)) for s in ((m, k), (k, n)))
    x, y = kw.input("x", (m, k), "bfloat16"), kw.input("y", (k, n), "bfloat16")
    built = program.build_kernels([x, y], [(x @ y).astype("float32"), x @ y], {}, precision)
    wide, narrow = program.run_program(built, [a, b])
    want = kw.from_bfloat16(a).astype("float64") @ kw.from_bfloat16(b)
    np.testing.assert_allclose(wide, want, rtol=1e-5, atol=1e-5 * np.sqrt(k))
    np.testing.assert_allclose(kw.from_bfloat16(narrow), want, rtol=2.0**-8, atol=1e-5 * np.sqrt(k))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stride, pad, window, channels", [(1, 1, 3, 16), (2, 1, 3, 5), (1, 0, 1, 32)])
def test_convolutions_and_their_gradients_agree_with_torch(stride, pad, window, channels, precision):
    torch = pytest.importorskip("torch")
    x = kw.input("x", (None, channels, 9, 9), "bfloat16")
    w = kw.input("w", (24, channels, window, window), "bfloat16")
    y = kw.conv(x, w, stride=stride, pad=pad).astype("float32")
    g = kw.input("g", (None, *y.shape[1:]), "bfloat16")
    gx, gw = kw.grad((y * g.astype("float32")).sum(), [x, w])
    shapes = (2, channels, 9, 9), (24, channels, window, window), (2, *y.shape[1:])
    given = [kw.to_bfloat16(RNG.standard_normal(s)) for s in shapes]
    found = program.run_program(program.build_kernels([x, w, g], [y, gx, gw], {}, precision), given)
    ta, tb, up = (torch.tensor(kw.from_bfloat16(v).astype("float64")) for v in given)
    out = torch.nn.functional.conv2d(ta.requires_grad_(), tb.requires_grad_(), stride=stride, padding=pad)
    out.backward(up)
    np.testing.assert_allclose(found[0], out.detach(), rtol=1e-4, atol=1e-4)
    for got, want in zip(found[1:], (ta.grad, tb.grad)):
        np.testing.assert_allclose(kw.from_bfloat16(got), want, rtol=2.0**-8, atol=1e-3)


def test_sums_over_long_rows_are_float32_inside():
    x = kw.input("x", (None, 1000), "bfloat16")
    values = kw.to_bfloat16(RNG.random((3, 1000)) + 0.5)
    want = kw.from_bfloat16(values).sum(1)
    got = run([x], [x.sum(1), x.mean(1)], [values])
    np.testing.assert_allclose(kw.from_bfloat16(got[0]), want, rtol=2.0**-8)
    np.testing.assert_allclose(kw.from_bfloat16(got[1]), want / 1000, rtol=2.0**-8)


def test_a_program_takes_and_gives_words(library):
    """0.1 as bfloat16 is 0.10009765625; a constant of the graph lies in memory as words too."""
    x = kw.input("x", (None, 3), "bfloat16")
    tenths = kw.as_tensor(np.array([0.1, 1.0, -2.0]), "bfloat16")
    run = on(library, [x], [x * tenths, (x * tenths).astype("float32")])
    words, wide = run(kw.to_bfloat16([[1.0, 2.0, 0.5], [4.0, 0.0, -1.0]]))
    assert words.dtype == "uint16"
    want = [[0.10009765625, 2.0, -1.0], [0.400390625, 0.0, 2.0]]
    np.testing.assert_array_equal(kw.from_bfloat16(words), want)
    np.testing.assert_array_equal(wide, want)
    with pytest.raises(kw.compiler.errors.InputError, match=r"uint16 words, got float32 .* kw.to_bfloat16"):
        run(np.ones((2, 3), "float32"))


def test_what_lies_between_kernels_is_rounded_and_weights_are_not(library):
    """A step with its weights in float32: 1 + 2^-9 would round to 1 as a bfloat16; 3 * 2^-9 moves it by three."""
    x = kw.input("x", (4,), "bfloat16")
    w = kw.variable("w", np.full(4, 1 + 2.0**-9, "float32"))
    y = w.astype("bfloat16") * x
    run = on(library, [x], [y], {w: w + y.astype("float32") * (3 * 2.0**-9)})
    np.testing.assert_array_equal(kw.from_bfloat16(run(kw.to_bfloat16([1.0, 2.0, 0.0, -1.0]))), [1.0, 2.0, 0.0, -1.0])
    np.testing.assert_array_equal(w.attrs.state.get(), 1 + 2.0**-9 * np.array([4, 7, 1, -2], "float32"))


def test_recurrences_over_words(library):
    """Sequences and what is handed on are words; the sums of powers of two are exact."""
    x = kw.input("x", (None, 3), "bfloat16")
    last, seen = kw.scan(lambda carry, now: (carry + now, carry * now), kw.zeros((3,), "bfloat16"), x)
    got = on(library, [x], [last, seen])(kw.to_bfloat16([[1, 2, 4], [2, 4, 8], [0.5, 1, -2]]))
    np.testing.assert_array_equal(kw.from_bfloat16(got[0]), [3.5, 7, 10])
    np.testing.assert_array_equal(kw.from_bfloat16(got[1]), [[0, 0, 0], [2, 8, 32], [1.5, 6, -24]])


def accesses(kernel, arch):
    """Widths of global accesses in the PTX: "v4.u16", "v4.f32"."""
    return re.findall(r"\b(?:ld|st)\.global\S*?\.((?:v\d\.)?[a-z]\d+) ", kernel.compile(arch).ptx)


@pytest.mark.parametrize("arch", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def test_words_are_loaded_and_stored_by_four_and_rounded_by_one_instruction(toolkit, arch):
    x, f = kw.input("x", (None, 64), "bfloat16"), kw.input("f", (None, 64))
    (words,) = program.build_kernels([x], [kw.maximum(x + x, 0.5)], {}).kernels
    assert set(accesses(words, arch)) == {"v4.u16"}
    (mixed,) = program.build_kernels([x, f], [(x.astype("float32") + f).astype("bfloat16")], {}).kernels
    assert sorted(accesses(mixed, arch)) == ["v4.f32", "v4.u16", "v4.u16"]
    assert mixed.compile(arch).ptx.count("cvt.rn.bf16.f32") == 4
