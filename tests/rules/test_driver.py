"""The rewriting driver: cycles are named, hits counted, lines and names kept, numbers merged in their dtype."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.node import location, toposort
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.graph.tensor import apply, full
from kernelwright.compiler.rewriting.rewrite import Any_, Rule, Table, op, rewrite
from kernelwright.compiler.rewriting.rules import simplify

X = kw.input("x", (3,))
x, y = Any_("x"), Any_("y")


@pytest.mark.parametrize(
    "rules",
    [
        [Rule("there", op("exp", x), lambda x: kw.tanh(x)), Rule("back", op("tanh", x), lambda x: kw.exp(x))],
        [Rule("grow", op("exp", x), lambda x: kw.exp(x) + 1)],
        [Rule("deepen", op("exp", x), lambda x: kw.exp(x + 1))],
    ],
)
def test_rules_that_cycle_are_named(rules):
    with pytest.raises(AssertionError, match="does not end") as error:
        rewrite([kw.exp(X)], Table("cycle", rules))
    assert all(repr(rule.name) in str(error.value) for rule in rules)


def test_a_rule_that_changes_the_shape_is_named_with_its_line():
    with pytest.raises(AssertionError, match=r"rule 'bad' \(.*test_driver.py:\d+\)"):
        rewrite([kw.exp(X)], Table("bad", [Rule("bad", op("exp", x), lambda x: x.sum())]))


def test_hits_are_counted_per_run_and_tables_add_up():
    table = Table("a", [Rule("drop exp", op("exp", x), lambda x: x)]) + Table(
        "b", [Rule("same", op("sub", x, x), lambda x: x)]
    )
    for _ in range(2):
        (result,), report = rewrite([kw.exp(kw.exp(X)) - kw.exp(X)], table)
        assert result is X and dict(report.hits) == {"drop exp": 1, "same": 1}  # the second exp is the first, rebuilt
    assert table.name == "a+b"


def test_repeated_wildcards_are_one_node_and_sums_match_in_both_orders():
    other = kw.input("other", (3,))
    table = Table("t", [Rule("r", op("exp", x) + x, lambda x: x)])
    for expression, fires in [(kw.exp(X) + X, 1), (X + kw.exp(X), 1), (kw.exp(X) + other, 0)]:
        assert rewrite([expression], table)[1].hits["r"] == fires


def test_names_and_lines_are_kept():
    inner = kw.tanh(X)
    before = location(inner)
    named = (inner * 1.0).named("hidden")
    divided = X / 4
    (a, b), _ = simplify([named, divided])
    assert a is inner and a.name == "hidden" and location(inner) == before
    assert b.op.name == "mul" and location(b) == location(divided)


@pytest.mark.parametrize(
    "dtype, f, values",
    [
        ("uint8", lambda v: (v + 200) + 100, [1, 2, 250]),
        ("uint8", lambda v: -(v * 3), [1, 2, 250]),
        ("int32", lambda v: (v * 100000) * 100000, [1, -2, 2**30]),
        ("float32", lambda v: v / 1e-39, [1e-30, 1e-20, 0]),
        ("float32", lambda v: (v * 1e30) * 1e30, [1e-30, 1e-35, 0]),
        ("float32", lambda v: (v * 1e-30) * 1e-30, [1e30, 1e35, 0]),
        ("float32", lambda v: (v + 3e38) + 3e38, [-3e38, -3.1e38, -3.2e38]),
        ("float32", lambda v: kw.maximum(kw.maximum(v, 1.0), float("nan")), [0, 1, 2]),
        ("float32", lambda v: (v * float("inf")).sum(0), [0, 1, 2]),
        ("float32", lambda v: kw.broadcast_to(v, (0, 3)).sum(0), [np.inf, 1, np.nan]),
        ("float64", lambda v: (v - 0) * -1 * -1 + 0, [np.inf, -np.inf, np.nan]),
    ],
)
def test_numbers_at_the_edge_of_their_type(dtype, f, values):
    v = kw.input("v", (3,), dtype)
    feed = {v: np.array(values, dtype)}
    (after,), _ = simplify([f(v)])
    np.testing.assert_allclose(evaluate([after], feed)[0], evaluate([f(v)], feed)[0], rtol=1e-6)


def test_sums_of_numbers_wrap_and_large_arrays_stay():
    (total,), _ = simplify([apply("sum", (full((4,), 2**30, "int32"),), axes=(0,))])
    assert total.op.name == "full" and evaluate([total], {})[0] == 0
    (large,), _ = simplify([kw.exp(kw.as_tensor(np.zeros(5000, "float32")))])
    assert large.op.name == "exp"


def test_a_sum_over_repeated_and_real_axes_drops_the_repeated_ones():
    v = kw.input("v", (3, 1, 4), "float64")
    example = kw.broadcast_to(v, (2, 3, 5, 4)).sum((0, 1, 2))
    (result,), report = simplify([example])
    assert report.hits["sum of broadcast"] == 1
    assert not any(n.op.name == "broadcast_to" for n in toposort([result]))
    feed = {v: np.arange(12.0).reshape(3, 1, 4)}
    np.testing.assert_allclose(evaluate([result], feed)[0], evaluate([example], feed)[0])
