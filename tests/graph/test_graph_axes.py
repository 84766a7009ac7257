"""Every function that takes axes: negative ones, NumPy's integers, and errors for those that cannot be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate

ARRAY = np.random.default_rng(0).normal(size=(2, 3, 4))
X = kw.input("x", (2, 3, 4), "float64")
POSITIONS = kw.input("positions", (2,), "int32")
REDUCTIONS = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "mean": np.mean}
SEVERAL = {
    **{name: getattr(kw, name) for name in REDUCTIONS},
    **{f".{name}": (lambda x, a, name=name: getattr(x, name)(a)) for name in REDUCTIONS if name != "prod"},
    "argmax": kw.argmax,
    "argmin": kw.argmin,
    "softmax": kw.softmax,
    "log_softmax": kw.log_softmax,
    "flip": kw.flip,
    "squeeze": lambda x, a: kw.squeeze(x[:1, :1, :1], a),
}
ONE = {
    "concat": (lambda x, a: kw.concat([x, x], a), 3),
    "stack": (lambda x, a: kw.stack([x, x], a), 4),
    "gather": (lambda x, a: kw.gather(x, POSITIONS, a), 3),
    "scatter_add": (lambda x, a: kw.scatter_add(x[:, :2, :2], POSITIONS, 5, a), 3),
    "expand_dims": (kw.expand_dims, 4),
    "transpose": (lambda x, a: kw.transpose(x, (a, *sorted({0, 1, 2} - {int(a) % 3}))), 3),
    "flatten": (lambda x, a: kw.flatten(x, a), 4),
}
NO_AXES = ["a", 1.0, True, np.bool_(True), 0.5j]


def run(y):
    return evaluate([y], {X: ARRAY, POSITIONS: np.array([1, 0], "int32")})[0]


@pytest.mark.parametrize("name", SEVERAL)
def test_ways_to_name_the_same_axes(name):
    f = SEVERAL[name]
    assert f(X, 1) is f(X, -2) is f(X, np.int64(1)) is f(X, np.array(1)) is f(X, (1,)) is f(X, [-2])
    assert f(X, (0, 2)) is f(X, (-1, 0)) is f(X, [np.int32(2), 0]) is f(X, np.array([0, 2]))
    assert f(X, None) is f(X, (0, 1, 2))


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("axis", [3, -4, (0, 3), (0, 0), (1, -2), *NO_AXES, (0, "b"), [[0]]], ids=repr)
def test_axes_that_do_not_fit(name, axis):
    with pytest.raises(kw.ShapeError) as error:
        SEVERAL[name](X, axis)
    text = str(error.value)
    reduced = "max" if name in ("softmax", "log_softmax") else name.strip(".")
    assert text.startswith(f"{reduced}: ax") and __file__ in text
    assert ("repeat" if repr(axis) in ("(0, 0)", "(1, -2)") else "[-3, 3)") in text


@pytest.mark.parametrize("name", ONE)
def test_ways_to_name_the_same_axis(name):
    f, limit = ONE[name]
    assert f(X, 1) is f(X, np.int64(1)) is f(X, np.array(1))
    if name != "flatten":  # whose -1 is the last axis, not the end
        assert f(X, 1) is f(X, 1 - limit)


@pytest.mark.parametrize("name", sorted(set(ONE) - {"transpose"}))
@pytest.mark.parametrize("axis", [4, -5, 7, *NO_AXES], ids=repr)
def test_an_axis_that_does_not_fit(name, axis):
    f, limit = ONE[name]
    with pytest.raises(kw.ShapeError, match=rf"^{name}: axis .*\[-{limit}, {limit}\)") as error:
        f(X, axis)
    assert __file__ in str(error.value)


def test_permutations():
    np.testing.assert_array_equal(run(kw.transpose(X, (-1, 0, 1))), ARRAY.transpose(-1, 0, 1))
    np.testing.assert_array_equal(run(X.T), ARRAY.T)
    ways = [X.transpose(2, 0, 1), X.transpose((2, 0, 1)), X.transpose([2, 0, 1]), X.transpose(np.array([2, 0, 1]))]
    assert len(set(ways)) == 1
    assert X.transpose(0, 1, 2) is X
    for wrong in ((0, 1), (0, 1, 1), (0, -3, 1), (0, 1, 3), ("a", 0, 1), (0, 1, 2, 3)):
        with pytest.raises(kw.ShapeError, match="transpose"):
            X.transpose(*wrong)


AXES = st.none() | st.integers(-3, 2) | st.sets(st.integers(0, 2)).map(tuple)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.sampled_from(sorted(REDUCTIONS)), AXES, st.booleans())
def test_reductions_are_numpys(name, axis, keepdims):
    got = run(getattr(kw, name)(X, axis, keepdims))
    np.testing.assert_allclose(got, REDUCTIONS[name](ARRAY, axis=axis, keepdims=keepdims), rtol=1e-12)


def test_removing_and_adding_axes_are_numpys():
    x, array = kw.input("x", (1, 3, 1), "float64"), ARRAY[:1, :, :1]
    for axis in (None, 0, -1, (0, 2), ()):
        want = array.squeeze(axis)
        np.testing.assert_array_equal(evaluate([kw.squeeze(x, axis)], {x: array})[0], want)
    with pytest.raises(kw.ShapeError, match=r"squeeze: axis 1.*size 3"):
        kw.squeeze(x, 1)
    for axis in (0, -1, (0, 2), (-1, 1, 0)):
        np.testing.assert_array_equal(run(kw.expand_dims(X, axis)), np.expand_dims(ARRAY, axis))
    assert kw.expand_dims(X, ()) is X
    with pytest.raises(kw.ShapeError, match="repeat"):
        kw.expand_dims(X, (0, -5))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 3))
def test_flatten_from_an_axis_on(start):
    assert run(kw.flatten(X, start)).shape == ARRAY.shape[:start] + (int(np.prod(ARRAY.shape[start:])),)
    assert kw.flatten(X, -1) is X


def test_a_scalar_has_no_axis_to_name():
    s = kw.input("s", ())
    assert s.sum() is s and kw.flip(s) is s
    with pytest.raises(kw.ShapeError, match="there are no axes"):
        s.sum(0)


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda: kw.concat([]), "concat: there are no parts"),
        (lambda: kw.concat(X), "concat: takes a list"),
        (lambda: kw.stack([X, X[:1]]), r"stack: parts must have one shape, not \(2, 3, 4\), \(1, 3, 4\)"),
        (lambda: kw.pad(X, 1), "pad: widths"),
        (lambda: kw.pad(X, [1, 1]), "pad: widths"),
        (lambda: kw.pad(X, [(1,), 1, 1]), "pad: widths"),
        (lambda: kw.pad(X, [(1, 2, 3), 1, 1]), "pad: widths"),
        (lambda: kw.pad(X, [1.5, 1, 1]), "pad: a size"),
        (lambda: kw.pad(X, [-1, 1, 1]), "pad: a size must be.*at least 0"),
        (lambda: kw.reshape(X, (-1, -1)), "reshape: only one"),
        (lambda: kw.reshape(X, (-2, 12)), "reshape: a size"),
        (lambda: kw.reshape(X, (5, -1)), "reshape: cannot reshape"),
        (lambda: kw.reshape(X, (2.0, 12)), "reshape: a size"),
        (lambda: kw.broadcast_to(X, (-1, 3, 4)), "broadcast_to: a size"),
        (lambda: kw.iota(-1), "iota: a size"),
        (lambda: kw.iota(1.5), "iota: a size"),
        (lambda: kw.zeros((2, -1)), "zeros: a size"),
        (lambda: kw.scatter_add(X, POSITIONS, -1), "scatter_add: a size"),
        (lambda: kw.gather(X, np.array([0, 2])), None),
        (lambda: kw.max_pool(X, 2.0), "max_pool: window"),
        (lambda: kw.max_pool(X, ()), "max_pool: the window needs"),
        (lambda: kw.max_pool(X, 2, stride="a"), "max_pool: stride"),
        (lambda: kw.conv(X, X, groups=1.0), "conv: groups"),
        (lambda: kw.conv(X, X, groups=0), "conv: groups"),
        (lambda: kw.conv(X, X, pad="same"), "conv: pad"),
        (lambda: kw.conv_transpose(X, kw.input("w", (3, 1, 2), "float64"), pad=4), "conv_transpose: padding 4"),
        (lambda: kw.conv_transpose(X, X[0]), "conv_transpose: x"),
    ],
)
def test_other_arguments_that_do_not_fit(wrong, words):
    with pytest.raises(kw.KernelwrightError, match=words) as error:
        wrong()
    assert __file__ in str(error.value)


def test_numpys_integers_wherever_numbers_are_taken():
    n = np.int64
    image, w = X[None], kw.input("w", (5, 2, 2, 2), "float64")
    assert kw.max_pool(X, n(2)) is kw.max_pool(X, (2, 2)) is kw.max_pool(X, [n(2), 2], np.array([2, 2]), n(0))
    assert kw.conv(image, w, n(1), n(1), n(1), n(1)) is kw.conv(image, w, 1, 1)
    assert kw.pad(X, [n(1), (n(0), 2), 0]) is kw.pad(X, np.array([[1, 1], [0, 2], [0, 0]]))
    assert kw.reshape(X, n(-1)) is kw.reshape(X, (n(-1),)) is X.reshape(np.array(-1)) is kw.flatten(X, 0)
    assert kw.iota(n(3)) is kw.iota(3)
    assert kw.one_hot(POSITIONS, n(3)) is kw.one_hot(POSITIONS, 3)
    assert kw.broadcast_to(X, (n(5), 2, 3, 4)) is kw.broadcast_to(X, (5, 2, 3, 4))


def test_functions_take_arrays():
    for f in (kw.sum, kw.argmax, kw.softmax, kw.flip, kw.transpose, kw.flatten, lambda x: kw.reshape(x, -1)):
        np.testing.assert_allclose(evaluate([f(ARRAY)], {})[0], run(f(X)), rtol=1e-15)
    np.testing.assert_array_equal(evaluate([kw.concat([X, ARRAY], 1)], {X: ARRAY})[0], np.concatenate([ARRAY] * 2, 1))
    np.testing.assert_allclose(evaluate([kw.matmul(ARRAY, ARRAY[0].T)], {})[0], ARRAY @ ARRAY[0].T)
    with pytest.raises(kw.KernelwrightError, match=r"\[0, 2\)"):
        kw.gather(ARRAY, np.array([0, 2]))
    with pytest.raises(kw.KernelwrightError, match=r"\[0, 3\)"):
        kw.one_hot(np.array([0, -1]), 3)
