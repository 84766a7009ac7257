"""Sizes are polynomials in symbols: the laws of arithmetic, division as the inverse of multiplication, shapes."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import kernelwright as kw
from kernelwright.compiler.shapes import Size, broadcast, divide, from_user, product, show, surely, symbol, value

QUIET = settings(derandomize=True, deadline=None)
NAMES = ("batch", "height", "time")
BATCH = symbol("batch")
ENVIRONMENTS = st.fixed_dictionaries({name: st.integers(0, 7) for name in NAMES})
SIZES = st.recursive(
    st.one_of(st.integers(-4, 6), st.sampled_from(NAMES).map(symbol)),
    lambda inner: st.tuples(st.sampled_from("+-*"), inner, inner).map(
        lambda t: {"+": t[1] + t[2], "-": t[1] - t[2], "*": t[1] * t[2]}[t[0]]
    ),
    max_leaves=5,
)


@QUIET
@given(SIZES, SIZES, SIZES)
def test_the_laws_of_a_commutative_ring(a, b, c):
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) + c == a + (b + c)
    assert (a * b) * c == a * (b * c)
    assert a * (b + c) == a * b + a * c
    assert a + 0 == a * 1 == a
    assert a - a == a * 0 == 0
    assert a - b == -(b - a) == a + b * -1


@QUIET
@given(SIZES, SIZES)
def test_equal_sizes_have_equal_hashes(a, b):
    assert hash(a + b) == hash(b + a)
    assert (a == b) == (a - b == 0)


@QUIET
@given(SIZES, SIZES, ENVIRONMENTS)
def test_evaluation_respects_arithmetic(a, b, env):
    assert value(a + b, env) == value(a, env) + value(b, env)
    assert value(a - b, env) == value(a, env) - value(b, env)
    assert value(a * b, env) == value(a, env) * value(b, env)


@QUIET
@given(SIZES, SIZES)
def test_division_inverts_multiplication(a, b):
    assume(b != 0)
    assert divide(a * b, b) == a


@QUIET
@given(SIZES, SIZES)
def test_a_quotient_is_one(a, b):
    quotient = divide(a, b)
    assert quotient is None or quotient * b == a


@pytest.mark.parametrize("a, b", [(7, 2), (BATCH, 2), (6, BATCH), (BATCH + 1, BATCH), (3, 0), (0, 0), (BATCH, 0)])
def test_what_has_no_quotient(a, b):
    assert divide(a, b) is None


@QUIET
@given(st.lists(SIZES, max_size=4), ENVIRONMENTS)
def test_product(sizes, env):
    assert value(product(sizes), env) == np.prod([value(s, env) for s in sizes], dtype=object)


QUOTIENTS = st.recursive(
    SIZES,
    lambda inner: st.tuples(st.sampled_from([1, 2, 3, 6]), inner, st.integers(-3, 3), inner).map(
        lambda t: (t[1] + t[2]) // t[0] * t[2] + t[3]
    ),
    max_leaves=4,
)


@QUIET
@given(QUOTIENTS, st.integers(1, 6), QUOTIENTS, ENVIRONMENTS)
def test_quotients_are_rounded_down_as_pythons(a, by, b, env):
    assert value(a // by, env) == value(a, env) // by
    assert value(a // by * b + b // by, env) == value(a, env) // by * value(b, env) + value(b, env) // by


@QUIET
@given(QUOTIENTS, st.integers(-4, 4), ENVIRONMENTS)
def test_what_is_surely_not_negative_never_is(a, b, env):
    for size in (a + b, a - a // 3 * 3 + b, b - a + a // 2 * 2):
        assert not surely(size) or value(size, env) >= 0


def test_what_is_surely_not_negative():
    h = symbol("height")
    places = (h - 3) // 2 + 1
    assert surely(h - 1 - (2 * (places - 1) + 2)), "the last window of 3 lies inside"
    assert not surely(h - 1 - (2 * (places - 1) + 3))
    assert surely(3 * (h // 3) - h + 2) and not surely(3 * (h // 3) - h + 1)
    assert surely(0) and not surely(-1)


def test_equal_quotients_are_found_equal():
    h = symbol("height")
    assert (2 * h) // 2 == h and (2 * h + 1) // 2 == h and (6 * h + 3) // 4 == h + (2 * h + 3) // 4
    assert h // 2 // 3 == h // 6 and ((h - 1) // 2 + 1 - 1) // 2 + 1 == (h - 1) // 4 + 1
    assert h // 2 * 4 // 4 == h // 2 and h // 1 == h
    assert h // 2 * 2 != h
    assert -(-h // 2) == h - h // 2


def test_how_quotients_read():
    h = symbol("height")
    assert str(h // 2) == "height // 2" and str((h - 1) // 2 + 1) == "(height + 1) // 2"
    assert str(2 * (h // 2) * BATCH + 3) == "2*(height // 2)*batch + 3"


@pytest.mark.parametrize("by", [0, -2, 0.5, BATCH, None])
def test_only_positive_numbers_divide(by):
    with pytest.raises(TypeError):
        BATCH // by


def test_a_size_without_symbols_is_an_integer():
    assert type(BATCH - BATCH + 3) is int
    assert type(BATCH * 0) is int


def test_numpys_integers_count_as_integers():
    assert BATCH * np.int64(3) == np.int64(3) * BATCH == BATCH * 3
    assert BATCH + np.int32(2) == BATCH + 2
    assert all(type(c) is int for _, c in (BATCH * np.int64(3)).terms)


@pytest.mark.parametrize("other", [0.5, "batch", None, True])
def test_arithmetic_with_what_is_no_size_is_refused(other):
    for wrong in (lambda: BATCH + other, lambda: BATCH * other, lambda: other - BATCH):
        with pytest.raises(TypeError):
            wrong()


def test_a_users_shape():
    assert from_user((None, 3)) == (BATCH, 3)
    assert from_user(("time", BATCH * 2, np.int64(4))) == (symbol("time"), BATCH * 2, 4)
    assert from_user(5) == from_user(np.int32(5)) == from_user([5]) == (5,)
    assert from_user("time") == (symbol("time"),)
    assert from_user(()) == ()


@pytest.mark.parametrize("wrong", [-1, 2.5, (3, -2), (1.0,), (True,), ((2, 3),)])
def test_shapes_that_cannot_be_name_the_users_line(wrong):
    with pytest.raises(kw.ShapeError, match="a size must be") as error:
        kw.input("x", wrong)
    assert __file__ in str(error.value) and str(error.value).startswith("input: ")


def test_how_sizes_and_shapes_read():
    assert str(BATCH * 784) == "784*batch"
    assert show((BATCH, 3)) == "(batch, 3)"
    assert show((3,)) == "(3,)"


@QUIET
@given(st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=1, max_size=3))
def test_broadcasting_of_numbers_is_numpys(shapes):
    try:
        want = np.broadcast_shapes(*shapes)
    except ValueError:
        want = None
    assert broadcast(*shapes) == want


def test_broadcasting_of_symbols():
    assert broadcast((BATCH, 1), (1, 3)) == (BATCH, 3)
    assert broadcast((BATCH,), (BATCH,)) == (BATCH,)
    assert broadcast((BATCH,), (3,)) is None
    assert broadcast((BATCH,), (symbol("time"),)) is None


def test_reshape_divides_by_a_symbolic_size():
    x = kw.input("x", (None, 3, 4))[1:]
    assert x.reshape(x.shape[0], -1).shape == (BATCH - 1, 12)
    assert isinstance(x.shape[0], Size)
    program = kw.compile([kw.input("x", (None, 3, 4))], [x.reshape(x.shape[0], -1)], device="reference")
    array = np.arange(36, dtype="float32").reshape(3, 3, 4)
    np.testing.assert_array_equal(program(array), array[1:].reshape(2, 12))


def test_a_symbolic_size_is_a_number_in_arithmetic():
    x = kw.input("x", (None, 3))
    outputs = [x.sum() / x.shape[0], x.shape[0] * x, 1 - x.shape[0] * x, kw.maximum(x, x.shape[0] * 2)]
    array = np.arange(6, dtype="float32").reshape(2, 3)
    wanted = [array.sum() / 2, array * 2, 1 - 2 * array, np.maximum(array, 4)]
    for device in ("cpu", "reference"):
        for got, want in zip(kw.compile([x], outputs, device=device).run([array]), wanted):
            np.testing.assert_array_equal(got, want)
            assert got.dtype == "float32"
