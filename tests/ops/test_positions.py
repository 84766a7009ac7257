"""argmax and argmin over any axes: positions in row-major order within them, the first of equals, a NaN before all."""

import numpy as np
import pytest

import kernelwright as kw

SIGNS = {"argmax": 1, "argmin": -1}
AXES = [None, 0, -1, (0, 1), (0, 2), (2, 0), (1, 2), (0, 1, 2), ()]
OURS = {"argmax": kw.argmax, "argmin": kw.argmin}


def wanted(name, array, axis):
    """By NumPy, on the array with these axes moved to the end and flattened there."""
    axes = range(array.ndim) if axis is None else np.atleast_1d(axis).astype(int) % array.ndim
    axes = sorted(int(a) for a in axes)
    if not axes:
        return np.zeros(array.shape, "int32")
    rows = np.moveaxis(array, axes, range(-len(axes), 0))
    return getattr(np, name)(rows.reshape(*rows.shape[: array.ndim - len(axes)], -1), -1).astype("int32")


def arrays():
    rng = np.random.default_rng(1)
    plain = rng.normal(size=(4, 5, 3)).astype("float32")
    ties = rng.integers(0, 3, size=(4, 5, 3)).astype("float32")
    special = plain.copy()
    special[1, 2] = np.nan
    special[0, 0, 0], special[3] = np.inf, -np.inf
    return {
        "plain": plain,
        "ties": ties,
        "not a number": special,
        "all infinite": np.full((4, 5, 3), -np.inf, "float32"),
    }


@pytest.mark.parametrize("name", SIGNS)
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_floats(name, device):
    x = kw.input("x", (None, 5, 3))
    program = kw.compile([x], [OURS[name](x, axis) for axis in AXES], device=device, threads=2)
    for what, array in arrays().items():
        for axis, got in zip(AXES, program.run([array])):
            assert got.dtype == "int32"
            np.testing.assert_array_equal(got, wanted(name, array, axis), err_msg=f"{what}, axis {axis}")


@pytest.mark.parametrize("name", SIGNS)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint32", "int64"])
def test_integers_to_the_ends_of_their_range(name, dtype):
    limits = np.iinfo(dtype)
    array = np.array([[3, limits.max, limits.min], [limits.min, 3, limits.max]], dtype)
    x = kw.input("x", array.shape, dtype)
    outputs = [OURS[name](x, axis) for axis in (0, 1, None)]
    for device in ("reference", "cpu"):
        for axis, got in zip((0, 1, None), kw.compile([x], outputs, device=device).run([array])):
            np.testing.assert_array_equal(got, wanted(name, array, axis))


def test_kept_axes_and_positions_found_again():
    array = arrays()["plain"]
    x = kw.input("x", array.shape)
    kept, flat = kw.compile([x], [kw.argmax(x, (0, 2), keepdims=True), kw.argmax(x, (2, 0))], device="reference")(array)
    assert kept.shape == (1, 5, 1)
    np.testing.assert_array_equal(kept.reshape(5), flat)
    first, last = np.unravel_index(flat, (4, 3))
    np.testing.assert_array_equal(array[first, np.arange(5), last], array.max((0, 2)))


def test_behind_movement_and_elementwise_work():
    array = arrays()["ties"]
    x = kw.input("x", (None, 5, 3))
    y = (x.transpose(2, 0, 1) * 2 + 1)[:, ::-1]
    want = wanted("argmax", (array.transpose(2, 0, 1) * 2 + 1)[:, ::-1], (0, 1))
    np.testing.assert_array_equal(kw.compile([x], kw.argmax(y, (0, 1)), threads=2)(array), want)


def test_positions_have_no_gradient_and_do_not_stop_others():
    x = kw.input("x", (3, 4))
    loss = (x * kw.argmax(x, (0, 1)).astype("float32")).sum()
    array = np.arange(12, dtype="float32").reshape(3, 4)
    np.testing.assert_array_equal(kw.compile([x], kw.grad(loss, x), device="reference")(array), np.full((3, 4), 11))


@pytest.mark.parametrize("f", OURS.values())
def test_truth_values_are_refused(f):
    with pytest.raises(kw.DTypeError, match="bool"):
        f(kw.input("x", (3,)) > 0, 0)
