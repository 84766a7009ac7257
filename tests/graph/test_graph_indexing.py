"""Indexing is NumPy's: every key that NumPy's basic indexing takes gives the same elements, or both refuse it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate

QUIET = settings(derandomize=True, deadline=None)
BOUND = st.none() | st.integers(-6, 6) | st.integers(-4, 4).map(np.int64)
STEP = st.none() | st.sampled_from([-3, -2, -1, 1, 2, 5, np.int32(-2)])
SLICE = st.builds(slice, BOUND, BOUND, STEP)
ITEM = st.one_of(st.integers(-5, 5), st.integers(-2, 2).map(np.int64), SLICE, SLICE, st.none(), st.just(Ellipsis))
SHAPE = st.lists(st.integers(0, 4), max_size=3).map(tuple)


def same(got, want):
    assert got.shape == want.shape
    np.testing.assert_array_equal(got, want)


@settings(QUIET, max_examples=400)
@given(SHAPE, st.lists(ITEM, max_size=4).map(tuple))
def test_known_sizes(shape, key):
    array = np.arange(np.prod(shape, dtype=int), dtype="float64").reshape(shape)
    x = kw.input("x", shape, "float64")
    try:
        want = array[key]
    except IndexError:
        with pytest.raises(kw.ShapeError):
            x[key]
        return
    y = x[key]
    assert y.shape == want.shape
    same(evaluate([y], {x: array})[0], want)


@settings(QUIET, max_examples=100)
@given(st.integers(0, 3), ITEM.filter(lambda k: k is not Ellipsis))
def test_one_key_without_a_tuple(size, key):
    array = np.arange(size * 2.0).reshape(size, 2)
    x = kw.input("x", (size, 2), "float64")
    try:
        want = array[key]
    except IndexError:
        with pytest.raises(kw.ShapeError):
            x[key]
        return
    same(evaluate([x[key]], {x: array})[0], want)


def bounds(key, size):
    """(start, stop) of a slice of step 1 or -1 as it was written, with negative bounds counted from the end."""
    back = key.step == -1
    start = (size - 1 if back else 0) if key.start is None else key.start + size * (key.start < 0)
    stop = (-1 if back else size) if key.stop is None else key.stop + size * (key.stop < 0)
    return start, stop


def fits(key, size):
    """Does the slice lie inside an axis of this size as it was written, without being cut to it?"""
    start, stop = bounds(key, size)
    low, high = (stop + 1, start + 1) if key.step == -1 else (start, stop)
    return low == high or 0 <= low < high <= size


def known_empty(key):
    """Do the bounds alone say that nothing is taken?"""
    if key.start is None or key.stop is None or (key.start < 0) != (key.stop < 0):
        return False
    return key.stop >= key.start if key.step == -1 else key.stop <= key.start


@settings(QUIET, max_examples=300)
@given(st.integers(0, 5), st.builds(slice, BOUND, BOUND, st.sampled_from([None, 1, -1])), st.booleans())
def test_symbolic_sizes_take_slices_that_lie_inside(size, key, middle):
    where = (slice(None), key) if middle else (key,)
    array = np.arange(2 * size * 3.0).reshape((2, size, 3) if middle else (size, 2, 3))
    x = kw.input("x", (2, None, 3) if middle else (None, 2, 3), "float64")
    y = x[where]
    if known_empty(key) or fits(key, size):
        same(evaluate([y], {x: array})[0], array[where])
    else:
        with pytest.raises(kw.KernelwrightError, match="slice"):
            evaluate([y], {x: array})


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_symbolic_slices_run_on_every_device(device):
    x = kw.input("x", (None, 3), "float64")
    keys = [slice(None, None, -1), slice(-1, 0, -1), slice(1, -1), -2, slice(None, 1, -1), (Ellipsis, None, -1)]
    program = kw.compile([x], [x[k] for k in keys], device=device)
    for size in (2, 3, 6):
        array = np.arange(size * 3.0).reshape(size, 3)
        for got, key in zip(program.run([array]), keys):
            same(got, array[key])
    with pytest.raises(kw.KernelwrightError, match=r"slice.*axis 0"):
        program.run([np.zeros((1, 3))])


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_a_slice_that_would_have_a_negative_size_is_refused(device):
    x = kw.input("x", (None,))
    program = kw.compile([x], [x[3:-1]], device=device)
    same(program(np.arange(6, dtype="float32")), np.arange(3, 5, dtype="float32"))
    same(program(np.arange(4, dtype="float32")), np.zeros(0, "float32"))
    with pytest.raises(kw.KernelwrightError, match=r"slice.*axis 0"):
        program(np.zeros(2, "float32"))


def test_bounds_may_be_symbolic():
    x = kw.input("x", (None, 2), "float64")
    batch = x.shape[0]
    array = np.arange(8.0).reshape(4, 2)
    same(evaluate([x[1:batch]], {x: array})[0], array[1:4])
    same(evaluate([x[batch - 2 : batch]], {x: array})[0], array[2:4])
    same(evaluate([x[batch - 1 : 0 : -1]], {x: array})[0], array[3:0:-1])
    assert x[0:batch] is x


@pytest.mark.parametrize("key", [[2, 0, 0], np.array([[1, -1], [0, 2]]), [-3]])
def test_positions_from_a_list_or_an_array(key):
    array = np.arange(6.0).reshape(3, 2)
    x = kw.input("x", (3, 2), "float64")
    same(evaluate([x[key]], {x: array})[0], array[key])


@pytest.mark.parametrize(
    "key, words",
    [
        (3, "index 3.*axis 0"),
        ((0, -4), "index -4.*axis 1"),
        ((0, 0, 0), r"3 indices.*2 axes|\(2, 3\).*3 indices"),
        ((..., ...), r"more than one \.\.\."),
        (1.0, "1.0"),
        ("a", "'a'"),
        (True, "mask"),
        (np.bool_(False), "mask"),
        (slice(0.5, None), "integers"),
        (slice("a", None), "integers"),
        (slice(None, None, 0), "step other than 0"),
        ([2], r"\[2\] is out of range"),
        ([0, -3], "out of range"),
        (([0], 1), "kw.gather"),
    ],
)
def test_keys_that_do_not_fit(key, words):
    with pytest.raises(kw.ShapeError, match=words) as error:
        kw.input("x", (2, 3))[key]
    assert __file__ in str(error.value)


@pytest.mark.parametrize("step", [2, -2])
def test_steps_along_symbolic_sizes_are_refused(step):
    with pytest.raises(kw.ShapeError, match=f"run time only.*not {step}"):
        kw.input("x", (None, 3))[::step]


def test_masks_are_refused_with_a_way_out():
    x = kw.input("x", (2, 3))
    with pytest.raises(kw.DTypeError, match=r"mask lt\(2, 3\) bool.*kw.where"):
        x[x > 0]


def test_iteration_and_length():
    x = kw.input("x", (3, 2))
    assert len(x) == 3
    assert [row.shape for row in x] == [(2,)] * 3
    with pytest.raises(TypeError, match="no length"):
        len(kw.input("x", (None, 2)))
    with pytest.raises(TypeError, match="no length"):
        list(kw.input("x", ()))
