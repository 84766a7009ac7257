"""Nodes and errors carry the innermost line of the user's code, however they were made."""

import functools
import operator
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import kernelwright as kw
from kernelwright.compiler.graph.node import location, toposort

X = kw.input("x", (None, 4))


def this_line():
    return sys._getframe(1).f_lineno


def helper(x, scale):
    return kw.tanh(x * scale), this_line()


def lines(y):
    """The lines of all nodes between X and y."""
    nodes = [n for n in toposort([y], leaf=lambda n: n is X) if n is not X]
    assert nodes and all(location(n).file == __file__ for n in nodes)
    return {location(n).line for n in nodes}


def test_operators_and_functions():
    y, line = X * 31.0 + 1.5, this_line()
    assert lines(y) == {line}
    y, line = kw.softmax(X * 32.0), this_line()
    assert lines(y) == {line}
    y, line = (X * 30.0)[:, ::-1][1:, 0:2].reshape(-1)[:4], this_line()
    assert lines(y) == {line}


def test_a_users_helper_is_the_users_code():
    y, line = helper(X, 33.0)
    assert lines(y) == {line}


def test_lambdas_comprehensions_and_reductions():
    ys, line = [f(X) for f in (lambda x: x * 34.0, lambda x: x * 35.0)], this_line()
    assert set().union(*map(lines, ys)) == {line}
    y, line = functools.reduce(operator.add, [X * 36.0, X * 37.0]), this_line()
    assert lines(y) == {line}


def test_a_library_in_between_is_passed_over():
    through = functools.singledispatch(kw.exp)
    y, line = through(X * 38.0), this_line()
    assert lines(y) == {line}
    layer = functools.singledispatch(kw.nn.LayerNorm())
    y, line = layer(X * 39.0), this_line()
    assert line in lines(y)


def test_without_any_line_of_the_user_the_librarys_is_named():
    with ThreadPoolExecutor(1) as pool:
        y = pool.submit(kw.exp, X * 40.0).result()
    assert location(y).file.endswith("thread.py")


def test_code_without_a_file():
    names = {"kw": kw, "X": X}
    exec(compile("\ny = kw.tanh(X * 41.0)", "<typed>", "exec"), names)
    assert str(location(names["y"])) == f"{__file__}:{this_line() - 1}"


def test_layers_name_the_users_line_and_their_scope():
    net = kw.nn.Sequential(kw.nn.Dense(3), kw.nn.Dense(2))
    y, line = net(X), this_line()
    assert {location(n).line for n in toposort([y], leaf=lambda n: n.op.kind == "source") if n.inputs} == {line}
    assert {location(n).scope for n in toposort([y]) if n.op.name == "contract"} == {"dense1", "dense2"}


def test_gradients_inherit_the_line_of_what_they_differentiate():
    inner, line = kw.tanh(X * 42.0), this_line()
    loss = (inner * inner).sum()
    g, last = kw.grad(loss, X), this_line()
    found = {location(n).line for n in toposort([g])}
    assert {line, line + 1} <= found <= {line, line + 1, last, location(X).line}


def test_the_first_line_stays():
    first, line = X * 43.0, this_line()
    again = X * 43.0
    assert again is first and location(again).line == line


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: X + kw.input("y", (3,)),
        lambda: X @ kw.input("w", (5, 2)),
        lambda: X.sum(5),
        lambda: X[:, 9],
        lambda: X.reshape(7, -1),
        lambda: kw.softmax(X, 7),
        lambda: kw.conv(X, X),
        lambda: kw.max_pool(X, 9),
        lambda: kw.concat([X, X[:, :2]]),
        lambda: kw.cross_entropy(X, X[:, :2]),
        lambda: X + "text",
        lambda: ~X,
        lambda: helper(X, "text"),
        lambda: kw.sum_pool(X, 1),
    ],
)
def test_errors_name_the_users_line(wrong):
    with pytest.raises(kw.KernelwrightError) as error:
        wrong()
    line = [entry.lineno + 1 for entry in error.traceback if str(entry.path) == __file__][-1]
    assert f"{__file__}:{line}" in str(error.value)
