"""What is said of kernels that are alike is found once, and names each kernel's own buffers."""

from __future__ import annotations

import numpy as np

import kernelwright as kw
from kernelwright.compiler.graph.variable import variable


def test_kernels_alike_name_their_own_buffers():
    x, y = kw.input("first", (None, 8)), kw.input("second", (None, 8))
    program = kw.compile([x, y], [kw.tanh(x).sum(1), kw.tanh(y).sum(1)])
    one, other = program.kernels
    assert "first[i0, r0]" in one.loops and "second" not in one.loops
    assert one.loops.replace("first", "second").splitlines()[0] == other.loops.splitlines()[0]
    assert [v.text for v in other.values] == [v.text.replace("first", "second") for v in one.values]
    assert "second" in other.source and "first" not in other.source


def test_places_that_are_read_from_data_are_those_of_each_kernel():
    table, rows, more = (
        variable("table", np.ones((5, 3))),
        kw.input("rows", (4,), "int32"),
        kw.input("more", (4,), "int32"),
    )
    program = kw.compile([rows, more], [kw.gather(table, rows), kw.gather(table, more)])
    texts = sorted(k.loops for k in program.kernels)
    assert ["more" in text for text in texts] == [True, False]
    assert ["rows" in text for text in texts] == [False, True]


def test_flops_and_bytes_are_those_of_the_kernel():
    x = kw.input("x", (None, 8))
    (kernel,) = kw.compile([x], [x + 1.0]).kernels
    assert kernel.flops(batch=3) == 24 and kernel.bytes(batch=3) == 2 * 24 * 4
