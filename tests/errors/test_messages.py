"""Error messages: what failed, the user's shapes, the user's file and line, and a way out."""

import numpy as np
import pytest

import kernelwright as kw

X = kw.input("images", (None, 3, 8, 8))
FLAT = kw.input("flat", (None, 20))


def line_of(error):
    return error.traceback[0].lineno + 1


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda: FLAT @ kw.input("w", (10, 4)), ["matmul", "(batch, 20)", "(10, 4)", "20", "10"]),
        (lambda: FLAT + kw.input("b", (19,)), ["add", "(batch, 20)", "(19,)", "broadcast"]),
        (lambda: kw.conv(X, kw.input("w", (4, 2, 3, 3))), ["conv", "3 channels", "takes 2"]),
        (lambda: kw.conv(X, kw.input("w", (4, 3, 9, 9))), ["conv", "larger"]),
        (lambda: kw.max_pool(X, 9), ["max_pool", "9", "(batch, 3, 8, 8)"]),
        (lambda: kw.reshape(FLAT, (7, -1)), ["reshape", "(batch, 20)"]),
        (lambda: FLAT.sum(3), ["sum", "axis 3", "(batch, 20)", "[-2, 2)"]),
        (lambda: kw.concat([FLAT, kw.input("other", (None, 21, 2))], 1), ["concat", "(batch, 21, 2)"]),
        (
            lambda: kw.cross_entropy(FLAT, kw.input("t", (None, 3), "int32")),
            ["cross_entropy", "(batch, 20)", "(batch, 3)"],
        ),
        (lambda: FLAT[0:2, 25], ["index 25", "out of range"]),
        (lambda: kw.input("x", (-3,)), ["-3"]),
    ],
)
def test_shape_errors(wrong, words):
    with pytest.raises(kw.ShapeError) as error:
        wrong()
    text = str(error.value)
    assert all(word in text for word in words), text


def test_the_users_line_is_named():
    with pytest.raises(kw.ShapeError) as error:
        FLAT @ kw.input("w", (10, 4))
    assert __file__ in str(error.value)


def test_dtype_errors():
    with pytest.raises(kw.DTypeError, match="complex64"):
        kw.input("x", (3,), "complex64")
    with pytest.raises(kw.DTypeError, match="bool"):
        (FLAT > 0) + (FLAT > 0)


def test_truth_of_a_tensor():
    with pytest.raises(TypeError, match=r"kw\.where"):
        bool(FLAT > 0)


def test_gradients_that_do_not_exist():
    with pytest.raises(kw.ShapeError, match=r"scalar.*\.sum\(\)"):
        kw.grad(FLAT, FLAT)
    n = kw.input("n", (), "int32")
    with pytest.raises(kw.GradientError, match="float"):
        kw.grad(n, n)


def test_programs_that_cannot_be():
    with pytest.raises(kw.CompileError, match=r"tpu.*cpu"):
        kw.compile([FLAT], FLAT + 1, device="tpu")
    with pytest.raises(kw.CompileError, match="flat"):
        kw.compile([], FLAT + 1)
    with pytest.raises(kw.CompileError, match="variables"):
        kw.compile([FLAT], FLAT, {FLAT: FLAT + 1})
    v = kw.variable("v", np.zeros(3, "float32"))
    with pytest.raises(kw.CompileError, match="does not fit"):
        kw.compile([FLAT], FLAT, {v: v.sum()})


def test_arrays_that_do_not_fit_leave_the_program_usable():
    program = kw.compile([FLAT], FLAT * 2, threads=1)
    with pytest.raises(kw.InputError, match="1 inputs expected"):
        program(np.zeros((2, 20), "float32"), 1)
    with pytest.raises(kw.InputError, match=r"float32.*float64.*astype"):
        program(np.zeros((2, 20)))
    with pytest.raises(kw.KernelwrightError, match=r"flat"):
        program(np.zeros((2, 21), "float32"))
    assert (program(np.ones((2, 20), "float32")) == 2).all()


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("key", [slice(None, 10), slice(-3, None), 4])
def test_slices_of_a_symbolic_axis_that_do_not_fit(device, key):
    x = kw.input("x", (None, 3))
    program = kw.compile([x], [x[key]], device=device)
    full = np.arange(36, dtype="float32").reshape(12, 3)
    np.testing.assert_array_equal(program(full), full[key])
    with pytest.raises(kw.KernelwrightError, match=r"slice.*axis 0"):
        program(full[:2])
