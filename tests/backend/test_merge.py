"""Axes that go on in each other become one, under the orders that the layout chose."""

import numpy as np

import kernelwright as kw
from kernelwright.compiler.loops import expressions as loops
from kernelwright.compiler.loops.expressions import at
from kernelwright.compiler.loops.kernels import Buffer, Kernel, Store, points
from kernelwright.compiler.lowering.merge import merged


def copy(order, shape=(2, 3, 4)):
    source, result = Buffer("a", shape, "float32", "temp"), Buffer("b", shape, "float32", "temp", order=order)
    axes, index = points(shape)
    return Kernel("copy", axes, (Store(result, index, loops.load(source, index, "float32")),))


def test_what_is_contiguous_throughout_is_one_axis():
    (axis,) = merged(copy((0, 1, 2))).axes
    assert axis.extent == 24


def test_a_transposition_keeps_the_axes_that_it_turns():
    assert [a.extent for a in merged(copy((2, 0, 1))).axes] == [6, 4]
    assert [a.extent for a in merged(copy((2, 1, 0))).axes] == [2, 3, 4]


def test_an_axis_in_a_condition_stays():
    kernel = copy((0, 1, 2))
    lanes = kernel.axes[2]
    (store,) = kernel.stores
    inside = loops.guard([loops.Within(at(lanes) + -1, 4)], store.value, loops.const(0.0, "float32"))
    guarded = Kernel("copy", kernel.axes, (Store(store.buffer, store.index, inside),))
    assert [a.extent for a in merged(guarded).axes] == [6, 4]


def test_sums_merge_as_well():
    x = kw.input("x", (None, 6, 10))
    program = kw.compile([x], kw.tanh(x).sum())
    assert program.kernels[0].source.count("for ") == 2, "the blocks of a long sum, and one loop over all three axes"
    value = np.linspace(-1, 2, 120, dtype="float32").reshape(2, 6, 10)
    np.testing.assert_allclose(program(value), np.tanh(value).sum(), rtol=1e-6)


def test_rows_of_a_product_run_over_whole_images():
    x, w = kw.variable("x", np.ones((4, 35, 16), "float32")), kw.input("w", (16, 32))
    program = kw.compile([w], kw.tanh(x) @ w)
    place = np.random.default_rng(0).standard_normal((16, 32)).astype("float32")
    np.testing.assert_allclose(program(place), np.tanh(np.ones((4, 35, 16))) @ place, rtol=1e-5)
    tiles = [k for k in program.kernels if "tile" in str(k.schedule)]
    assert len(tiles) == 1 and "outer none" in tiles[0].schedule


def test_a_product_whose_filters_fit_the_cache_goes_row_by_row():
    a, b, c = kw.input("a", (6400, 64)), kw.input("b", (64, 256)), kw.input("c", (6400, 256))
    program = kw.compile([a, b, c], kw.relu(a @ b + c))
    assert "row by row" in program.kernels[-1].schedule
    values = [np.random.default_rng(0).standard_normal(x.shape).astype("float32") for x in (a, b, c)]
    np.testing.assert_allclose(program(*values), np.maximum(values[0] @ values[1] + values[2], 0), rtol=1e-4, atol=1e-4)
