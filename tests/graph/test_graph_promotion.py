"""Operands of arithmetic: broadcasting, promotion, and numbers, NumPy scalars and arrays on either side.

The rule of promotion: of two tensors or arrays, a float and anything else give the (larger) float, integers and bools
what NumPy gives, the smallest integer type that holds both, and float64 where none does. Numbers, NumPy's scalars too,
are weak: they take the tensor's type, but a float makes integers float32, and an integer makes bools int32.
"""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernelwright as kw
from kernelwright.compiler import dtypes
from kernelwright.compiler.graph.reference import evaluate

DTYPES = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64")
NUMBERS = (2, 1.5, np.int64(2), np.int32(2), np.uint8(2), np.float64(1.5), np.float32(1.5))
ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv)
COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge)
LOGIC = (operator.and_, operator.or_)


def values(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(1, 5, size=shape).astype(dtype)


def promoted(a, b):
    """The stated rule, by NumPy's."""
    floats = [d for d in (a, b) if d.startswith("float")]
    if floats:
        return max(floats)
    return np.promote_types(a, b).name


@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", DTYPES)
def test_two_tensors(a, b):
    assert dtypes.promote(a, b) == dtypes.promote(b, a) == promoted(a, b)
    x, y = kw.input("x", (2,), a), kw.input("y", (2,), b)
    if (a, b) == ("bool", "bool"):
        with pytest.raises(kw.DTypeError, match=r"bool; use \.astype"):
            x * y
        return
    assert (x * y).dtype == promoted(a, b)
    assert kw.where(x > y, x, y).dtype == promoted(a, b)
    left, right = values((2,), a, 1), values((2,), b, 2)
    (got,) = evaluate([x * y], {x: left, y: right})
    np.testing.assert_array_equal(got, left.astype(promoted(a, b)) * right.astype(promoted(a, b)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: f"{type(n).__name__}({n})")
def test_numbers_are_weak(dtype, number):
    x = kw.input("x", (2,), dtype)
    whole = isinstance(number, (int, np.integer))
    want = dtype if dtype.startswith("float") else "float32" if not whole else "int32" if dtype == "bool" else dtype
    array = values((2,), dtype)
    for op in ARITHMETIC[:3]:
        for y, theirs in (
            (op(x, number), op(array.astype(want), np.dtype(want).type(number))),
            (op(number, x), op(np.dtype(want).type(number), array.astype(want))),
        ):
            assert y.dtype == want
            np.testing.assert_array_equal(evaluate([y], {x: array})[0], theirs)
    for op in COMPARISONS:
        for y, theirs in ((op(x, number), op(array, number)), (op(number, x), op(number, array))):
            assert y.dtype == "bool"
            np.testing.assert_array_equal(evaluate([y], {x: array})[0], theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_quotients_and_functions_of_whole_numbers_are_floats(dtype):
    x = kw.input("x", (2,), dtype)
    want = dtype if dtype.startswith("float") else "float32"
    assert (x / 2).dtype == (2 / x).dtype == kw.exp(x).dtype == kw.mean(x).dtype == want


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_arrays_on_either_side(op, dtype):
    x, array, other = kw.input("x", (2, 3), dtype), values((2, 3), dtype, 3), values((3,), dtype, 4)
    exact = np.testing.assert_array_equal if op is not operator.truediv else np.testing.assert_allclose
    exact(evaluate([op(x, other)], {x: array})[0], op(array, other))
    exact(evaluate([op(other, x)], {x: array})[0], op(other, array))
    assert op(other, x).shape == (2, 3)


def test_arrays_and_powers_products_and_logic():
    x, a = kw.input("x", (2, 2), "float64"), np.array([[1.0, 2.0], [3.0, 4.0]])
    m, b = kw.input("m", (2,), "bool"), np.array([True, False])
    pairs = [
        (x**a, a**a),
        (a**x, a**a),
        (x**2, a**2),
        (2**x, 2**a),
        (np.float64(2) ** x, 2**a),
        (x @ a, a @ a),
        (a @ x, a @ a),
        (a[0] @ x, a[0] @ a),
        (x @ a[0], a @ a[0]),
        (+x, a),
        (-x, -a),
        (abs(-x), a),
        (m & b, b),
        (b & m, b),
        (b | ~m, b | ~b),
        (m & True, b),
        (np.True_ & m, b),
        (False | m, b),
        (m ^ True, ~b),
        (b ^ m, b ^ b),
        (kw.invert(m), ~b),
        (a // x, a // a),
        (9 // x, 9 // a),
        (x // 2, a // 2),
        (7 % x, 7 % a),
        (x % a[0], a % a[0]),
    ]
    for got, (_, want) in zip(evaluate([p for p, _ in pairs], {x: a, m: b}), pairs):
        np.testing.assert_allclose(got, want)
        assert got.dtype == want.dtype


def test_sequences_of_numbers_are_constants_of_the_default_float():
    x = kw.input("x", (2, 3))
    assert (x + [1.5, 2.5, 3.5]).dtype == "float32"
    array = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(evaluate([x + [1, 2, 3]], {x: array})[0], [[2, 3, 4]] * 2)


SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(SHAPES, SHAPES, st.booleans())
def test_broadcasting_is_numpys(a, b, constant):
    left, right = values(a, "float64", 1), values(b, "float64", 2)
    x, y = kw.input("x", a, "float64"), right if constant else kw.input("y", b, "float64")
    feed = {x: left} if constant else {x: left, y: right}
    try:
        want = left - right
    except ValueError:
        with pytest.raises(kw.ShapeError, match="do not broadcast") as error:
            x - y
        assert str(a if len(a) != 1 else f"({a[0]},)") in str(error.value) and __file__ in str(error.value)
        return
    got = evaluate([x - y], feed)[0]
    assert got.shape == (x - y).shape == want.shape
    np.testing.assert_array_equal(got, want)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(SHAPES, SHAPES)
def test_broadcast_to_is_numpys(a, b):
    array, x = values(a, "float64"), kw.input("x", a, "float64")
    try:
        want = np.broadcast_to(array, b)
    except ValueError:
        with pytest.raises(kw.ShapeError, match="broadcast"):
            kw.broadcast_to(x, b)
        return
    np.testing.assert_array_equal(evaluate([kw.broadcast_to(x, b)], {x: array})[0], want)


def test_broadcasting_along_a_symbolic_axis():
    x = kw.input("x", (None, 1, 3))
    assert (x + kw.input("y", (4, 1))).shape == (x.shape[0], 4, 3)
    assert kw.broadcast_to(kw.input("z", (3,)), (None, 3)).shape == (x.shape[0], 3)
    with pytest.raises(kw.ShapeError, match="batch"):
        x + kw.input("y", (2, 1, 3))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x + 2**40,
        lambda x: x.astype("uint8") + 300,
        lambda x: x.astype("uint8") + -1,
        lambda x: x.astype("float32") + 10**400,
        lambda x: x + "text",
        lambda x: x + None,
        lambda x: x + 1j,
        lambda x: x + np.ones(3, "complex64"),
        lambda x: x & 1.5,
        lambda x: ~x.astype("float32"),
        lambda x: (x > 1) // (x > 2),
        lambda x: x.astype("uint64") << x,
        lambda x: -(x > 1),
        lambda x: x @ np.ones((3, 3)),
        lambda x: kw.pad(x, [1], 0.5),
        lambda x: kw.pad(x, [1], 2**40),
        lambda x: x.astype("float16"),
    ],
)
def test_what_no_dtype_holds(wrong):
    with pytest.raises(kw.DTypeError):
        wrong(kw.input("x", (3,), "int32"))


@pytest.mark.parametrize("use", [np.asarray, np.sin, float, int, bool, lambda x: x + [x[0], 1.0]])
def test_a_tensor_has_no_value_yet(use):
    with pytest.raises(TypeError):
        use(kw.input("x", (2,)))
    with pytest.raises(TypeError, match=r"kw\.compile"):
        np.asarray(kw.input("x", (2,)))


def test_python_integers_keep_all_their_digits():
    x = kw.input("x", (), "int64")
    big = 2**53 + 1
    assert evaluate([x + big], {x: np.asarray(0)})[0] == big
    assert evaluate([kw.pad(x[None], [1], big)], {x: np.asarray(0)})[0].tolist() == [big, 0, big]
