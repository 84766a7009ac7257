"""Equal expressions are one object as long as anyone needs them; expressions that differ in a type are not equal."""

import gc

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.node import Attrs, Node
from kernelwright.compiler.graph.tensor import apply

X = kw.input("x", (None, 3))


def test_equal_expressions_are_one_object():
    assert (X + 1) * 2 is (X + 1) * 2
    assert kw.input("x", (None, 3)) is X
    assert X.sum(-1) is X.sum((1,)) is kw.sum(X, np.int64(1))
    assert X.reshape(-1) is X.reshape((-1,)) is X.reshape(np.array([-1]))
    assert X + np.ones(3, "float32") is X + np.ones(3, "float32")


def test_operands_order_and_names_are_part_of_the_expression():
    y = kw.input("y", (None, 3))
    assert X - y is not y - X
    assert X is not y
    assert kw.input("x", (None, 3), "float64") is not X
    assert kw.input("x", (4, 3)) is not X


def test_a_users_name_is_not():
    named = (X * 5).named("five")
    assert X * 5 is named
    assert (X * 5).name == "five"


@pytest.mark.parametrize("pair", [(1, True), (1, 1.0), (1.0, True), (0.0, -0.0), ((1, 2), (1, 2.0)), ((0,), (False,))])
def test_attributes_of_different_types_differ_though_they_compare_equal(pair):
    one, other = (Attrs(a=value) for value in pair)
    assert pair[0] == pair[1]
    assert one != other
    assert len({one, other}) == 2
    assert Attrs(a=pair[0]) == one and hash(Attrs(a=pair[0])) == hash(one)


def test_not_a_number_equals_itself_as_an_attribute():
    assert Attrs(a=float("nan")) == Attrs(a=float("nan"))
    assert kw.pad(X, [0, 1], float("nan")) is kw.pad(X, [0, 1], float("nan"))


@pytest.mark.parametrize("values", [(1, 1.0, True), (0.0, -0.0)])
def test_nodes_with_such_attributes_are_different(values):
    edges = {"low": (0, 1), "high": (0, 0), "interior": (0, 0)}
    assert len({apply("pad", (X,), value=v, **edges) for v in values}) == len(values)


def test_arrays_are_compared_by_content_and_dtype():
    assert kw.as_tensor(np.arange(3)) is kw.as_tensor(np.arange(3))
    assert kw.as_tensor(np.zeros(2)) is not kw.as_tensor(-np.zeros(2))
    assert kw.as_tensor(np.zeros(2)) is not kw.as_tensor(np.zeros(2, "float32"))
    assert kw.as_tensor(np.zeros((2, 1))) is not kw.as_tensor(np.zeros((1, 2)))


def test_a_constant_does_not_follow_its_array():
    array = np.ones(3)
    constant = kw.as_tensor(array)
    array[:] = 5
    np.testing.assert_array_equal(kw.compile([], [constant], device="reference")(), np.ones(3))


def test_variables_of_one_name_are_different():
    assert kw.variable("v", np.zeros(2)) is not kw.variable("v", np.zeros(2))


def test_what_nobody_holds_is_forgotten():
    gc.collect()
    before = len(Node._interned)
    y = X
    for i in range(50):
        y = kw.tanh(y * (i + 1001.5))
    grown = len(Node._interned)
    assert grown >= before + 100
    inner = y.inputs[0].inputs[0]
    del y
    gc.collect()
    assert before < len(Node._interned) < grown
    assert inner.inputs[0].inputs[1].op.name == "full"  # what is still held keeps what it needs
    del inner
    gc.collect()
    assert len(Node._interned) == before


def test_no_stale_node_is_found_by_a_reused_address():
    for i in range(200):
        y = kw.exp(X * (i + 0.25))
        assert y.inputs[0].inputs[1].attrs.value == repr(i + 0.25)
        del y
