"""Where nodes were written, and nodes made again from another's attributes."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import ShapeError
from kernelwright.compiler.graph.node import location, scope
from kernelwright.compiler.graph.tensor import apply, apply_with


def test_nodes_of_one_line_and_layer_say_so():
    x = kw.input("x", (None, 3))
    with scope("layer"):
        y, line = kw.tanh(x) + 1.0, sys._getframe().f_lineno
        z = kw.exp(x)
    assert location(y).line == line and location(z).line == line + 1
    assert {location(n).scope for n in (y, z)} == {"layer"} and location(x).scope == ""
    assert location(y).file == location(z).file == __file__


def test_a_node_made_again_with_anothers_attributes_is_that_node():
    x = kw.input("x", (None, 3))
    y = x.reshape(-1)
    assert apply_with("reshape", (x,), y.attrs) is y
    assert apply("tanh", [x]) is kw.tanh(x)


@pytest.mark.parametrize("dtype", ["float32", "int32", "bfloat16"])
def test_operands_of_one_shape_and_dtype_keep_both(dtype):
    x, y = kw.input("x", (None, 3), dtype), kw.input("y", (None, 3), dtype)
    total = x + y
    assert total.inputs == (x, y) and total.dtype == dtype and total.shape == x.shape


def test_division_of_integers_gives_floats():
    x = kw.input("x", (4,), "int32")
    quotient = kw.compile([x], x / x, device="reference")(np.arange(1, 5, dtype="int32"))
    assert quotient.dtype == np.float32 and (quotient == 1).all()


def test_sizes_that_are_none_are_refused_in_a_tuple_too():
    for wrong in ((3, -1), (True, 3), (2.0, 3)):
        with pytest.raises(ShapeError, match="a size must be"):
            kw.input("x", wrong)
