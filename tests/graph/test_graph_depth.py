"""Graphs are deeper than Python's stack: building, walking, printing, differentiating, running, deleting."""

import gc
import sys

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.node import Node, consumers, to_networkx, toposort
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.rewriting.rules import simplify


@pytest.mark.parametrize("depth", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_long_chain(depth):
    assert depth > 4 * sys.getrecursionlimit()
    gc.collect()
    x = kw.input("x", (), "float64")
    before = len(Node._interned)
    y = x
    for i in range(depth):
        y = y * 1.0001 if i % 2 else kw.sin(y)
    order = toposort([y])
    assert len(order) == depth + 2  # x and 1.0001
    assert order[0] is x and order[-1] is y
    position = {node: i for i, node in enumerate(order)}
    assert all(position[i] < position[n] for n in order for i in n.inputs)
    assert len(consumers(order)[order[1]]) == 1
    assert to_networkx([y]).number_of_nodes() == len(order)
    assert "mul() float64" in repr(y)

    gradient = kw.grad(y, x)
    feed = {x: np.asarray(0.5)}
    value, slope = evaluate([y, gradient], feed)
    up, down = (evaluate([y], {x: np.asarray(0.5 + h)})[0] for h in (1e-6, -1e-6))
    assert slope == pytest.approx((up - down) / 2e-6, rel=1e-3, abs=1e-9)
    simple, _ = simplify([y])
    assert evaluate(simple, feed)[0] == pytest.approx(value, rel=1e-9)

    del y, gradient, order, position, simple
    gc.collect()
    assert len(Node._interned) <= before


def test_a_graph_with_exponentially_many_paths_is_walked_once():
    x = kw.input("x", (), "float64")
    y = x
    for _ in range(2_000):
        y = y + y
    assert len(toposort([y])) == 2_001
    assert len(toposort([kw.grad(y, x)])) <= 2_001


def test_a_node_with_many_operands_and_many_readers():
    x = kw.input("x", (2,), "float64")
    parts = [x * float(i) for i in range(2_000)]
    y = kw.concat(parts)
    assert len(toposort([y])) == 4_002
    value, g = evaluate([y, kw.grad(y.sum(), x)], {x: np.array([1.0, 2.0])})
    assert value.shape == (4_000,)
    np.testing.assert_allclose(g, np.full(2, sum(range(2_000))))
