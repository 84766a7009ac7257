"""What compile and a run are given, on every device: the same errors, and arrays in any byte order or memory layout."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.shapes import symbol

X, Y = kw.input("x", (None, 3)), kw.input("y", (None,))
DEVICES = ("cpu", "reference")
ONES = np.ones((2, 3), "float32")


@pytest.fixture(params=DEVICES)
def program(request):
    return kw.compile([X, Y], [X + Y.reshape(-1, 1)], device=request.param)


@pytest.mark.parametrize(
    "arrays, words",
    [
        ([ONES, np.ones(5, "float32")], "input 'y': expected shape .batch,. with batch = 2, got .5,."),
        ([ONES[..., None], np.ones(2, "float32")], "input 'x': expected shape .batch, 3.*got .2, 3, 1."),
        ([ONES[:, :2], np.ones(2, "float32")], "input 'x'.*got .2, 2."),
        ([None, np.ones(2, "float32")], "input 'x'.*got"),
        ([[[1, 2, 3], [4]], np.ones(2, "float32")], "input 'x' takes float32"),
        ([X, np.ones(2, "float32")], "input 'x' takes float32.*no value"),
        ([ONES.astype("float64"), np.ones(2, "float32")], "takes float32, got float64.*astype"),
        ([ONES], "1 arrays given, 2 inputs expected"),
    ],
)
def test_arrays_that_do_not_fit(program, arrays, words):
    with pytest.raises(kw.KernelwrightError, match=words):
        program.run(arrays)
    np.testing.assert_array_equal(program.run([ONES, np.ones(2, "float32")])[0], ONES + 1)


def test_any_byte_order_and_memory_layout(program):
    array = np.arange(12, dtype="float32").reshape(3, 4)
    for x in (array.T[::2], ONES.astype(">f4"), np.broadcast_to(ONES[0], (2, 3)), ONES.tolist(), ONES[::-1, ::-1]):
        got = program.run([x, np.array([1, 2], ">f4")])[0]
        np.testing.assert_array_equal(got, np.asarray(x, "float32") + np.array([[1], [2]], "float32"))


def test_steps_that_do_not_fit(program):
    y = np.ones(2, "float32")
    with pytest.raises(ValueError, match="at least one step, not 0"):
        program.run([ONES, y], steps=0)
    with pytest.raises(
        kw.KernelwrightError, match=r"input 'x': expected a leading axis of 2 steps, got shape .3, 2, 3."
    ):
        program.run([np.ones((3, 2, 3), "float32"), y], steps=2, per_step=[0])
    assert program.run([ONES[None], y], per_step=[0])[0].shape == (1, 2, 3)


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda: kw.compile([X], [1.0]), "tensors, not 1.0"),
        (lambda: kw.compile([X], {"a": X}), "tensors, not 'a'"),
        (lambda: kw.compile([X], [X], {kw.variable("v", 1.0): 2.0}), "tensors, not 2.0"),
        (lambda: kw.compile([kw.input("z", (symbol("batch") * 2,))], []), "'batch'.*an axis of that size"),
        (lambda: kw.compile([], [kw.zeros((None,)) + 1]), "'batch'.*an axis of that size"),
        (lambda: kw.compile([X], [X + 1], threads=0), "threads.*at least 1, not 0"),
        (lambda: kw.compile([X], [X + 1], threads=-2), "threads.*at least 1, not -2"),
        (lambda: kw.compile([X], [X + 1], threads=1.5), "threads.*at least 1, not 1.5"),
        (lambda: kw.get_value(X), "only variables hold values"),
        (lambda: kw.set_value(X, 1.0), "only variables hold values"),
    ],
)
def test_programs_that_cannot_be(wrong, words):
    with pytest.raises(kw.KernelwrightError, match=words):
        wrong()


def test_one_input_needs_no_list():
    np.testing.assert_array_equal(kw.compile(X, X * 2, device="reference")(ONES), ONES * 2)


@pytest.mark.parametrize("device", DEVICES)
def test_positions_are_checked_where_they_are_inputs(device):
    at, w = kw.input("at", (2,), "int32"), kw.input("w", (4, 2))
    outputs = [kw.gather(w, at), kw.scatter_add(w[:2], at, 5)]
    program = kw.compile([w, at], outputs, device=device)
    values = np.arange(8, dtype="float32").reshape(4, 2)
    got = program.run([values, np.array([3, 0], "int32")])
    np.testing.assert_array_equal(got[0], values[[3, 0]])
    for bad in (-1, 4):
        with pytest.raises(kw.KernelwrightError, match=f"{bad}.*0"):
            program.run([values, np.array([0, bad], "int32")])


@pytest.mark.parametrize("device", DEVICES)
def test_positions_from_floats_are_not_taken_for_integers(device):
    at, w = kw.input("at", (None,)), kw.input("w", (4, 2))
    program = kw.compile([w, at], kw.gather(w, at.astype("int32")), device=device)
    values = np.arange(8, dtype="float32").reshape(4, 2)
    np.testing.assert_array_equal(program(values, np.array([3.0, 1.0], "float32")), values[[3, 1]])


@pytest.mark.parametrize("device", DEVICES)
def test_positions_outside_an_axis_of_symbolic_size_are_refused(device):
    at = kw.input("at", (2,), "int32")
    program = kw.compile([X, at], [kw.gather(X, at), kw.scatter_add(X[:2], at, X.shape[0])], device=device)
    picked, summed = program.run([ONES, np.array([1, 0], "int32")])
    np.testing.assert_array_equal(picked, [[1, 1, 1], [1, 1, 1]])
    np.testing.assert_array_equal(summed, [[1, 1, 1], [1, 1, 1]])
    with pytest.raises(kw.IndexLimitError, match="position"):
        program.run([ONES, np.array([1, 7], "int32")])
