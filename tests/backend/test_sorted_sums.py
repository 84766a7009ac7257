"""Scatter-adds over sorted sources: NumPy's sums, in the order of the sources, on any number of threads."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.lowering.sorted_sums import sorted_sums


def gradient(rows, width, dtype="float32", kind="int32"):
    """(inputs, the gradient of a table of which rows are read, weighted by what is given)."""
    table = kw.variable("table", np.zeros((rows, width), dtype))
    at, g = kw.input("at", (None,), kind), kw.input("g", (None, width), dtype)
    return [at, g], kw.grad((kw.gather(table, at) * g).sum(), [table])[0]


def draw(rows, width, count, dtype="float32", kind="int32"):
    rng = np.random.default_rng(count)
    at = rng.integers(0, rows, count).astype(kind)
    at[: count // 3] = at[:1]  # one row is read often
    return at, rng.normal(size=(count, width)).astype(dtype)


def added(rows, at, g):
    out = np.zeros((rows, g.shape[1]))
    np.add.at(out, at, g.astype("float64"))
    return out


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_sums_are_numpys_for_any_positions(kind):
    inputs, y = gradient(900, 64, "float64", kind)
    assert sorted_sums([y])[1].hits["scatter-add of sorted sources"] == 1
    program = kw.compile(inputs, [y], threads=2)
    for count in (0, 1, 2, 7, 333):
        at, g = draw(900, 64, count, "float64", kind)
        np.testing.assert_allclose(program(at, g), added(900, at, g), rtol=1e-12, atol=1e-12)


def test_threads_change_no_bit_and_the_order_is_that_of_the_sources():
    inputs, y = gradient(900, 64)
    at, g = draw(900, 64, 500)
    one, three = (np.asarray(kw.compile(inputs, [y], threads=n)(at, g)) for n in (1, 3))
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(one, added(900, at, g).astype("float32"))  # float64 in the order of the sources


def test_rows_that_are_read_once_have_what_was_sent_to_them():
    inputs, y = gradient(900, 64)
    at, g = np.random.default_rng(1).permutation(900).astype("int32"), draw(900, 64, 900)[1]
    want = np.zeros((900, 64), "float32")
    want[at] = g
    np.testing.assert_array_equal(kw.compile(inputs, [y], threads=2)(at, g), want)


def test_positions_of_several_axes_along_a_later_one():
    x, at = kw.input("x", (3, 20, 30, 4)), kw.input("at", (20, 30), "int32")
    y = kw.scatter_add(x, at, 700, axis=1)
    assert sorted_sums([y])[1].hits["scatter-add of sorted sources"] == 1
    rng = np.random.default_rng(3)
    values, places = rng.normal(size=(3, 20, 30, 4)).astype("float32"), rng.integers(0, 700, (20, 30)).astype("int32")
    want = np.zeros((3, 700, 4))
    np.add.at(want, (slice(None), places), values.astype("float64"))
    np.testing.assert_allclose(kw.compile([x, at], [y], threads=2)(values, places), want, rtol=1e-6, atol=1e-6)


def test_positions_out_of_range_are_refused():
    inputs, y = gradient(900, 64)
    at, g = draw(900, 64, 50)
    at[7] = 900
    with pytest.raises(kw.IndexLimitError, match=r"900 at position \[7\]"):
        kw.compile(inputs, [y])(at, g)


def test_a_small_table_is_summed_directly():
    _, y = gradient(10, 4)
    assert not sorted_sums([y])[1].hits
