"""Rules in place of ops' derivatives: what they are given and change, against NumPy by hand, and refusals."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import GradientError
from kernelwright.compiler.graph.reference import evaluate

X = kw.input("x", (4,), "float64")
VALUE = np.array([-2.0, -0.5, 0.5, 3.0])
PASSED = {"relu": lambda node, g: [kw.relu(g)]}


def run(y, value=VALUE):
    return evaluate([y], {X: value})[0]


def test_a_rule_is_given_the_node_and_the_sum_of_what_comes_back():
    y = kw.relu(X)
    seen = []

    def rule(node, g):
        seen.append((node, g))
        return [g * 10]

    weights = np.array([3.0, -1.0, -4.0, 2.0])
    got = run(kw.grad((y * 5 + y * weights).sum(), X, {"relu": rule}))
    assert [node for node, _ in seen] == [y]
    np.testing.assert_array_equal(run(seen[0][1]), [8, 4, 1, 7])
    np.testing.assert_array_equal(got, [80, 40, 10, 70])


def test_the_rule_comes_after_the_sum_over_both_readers():
    """relu(-3 + 1) is 0 where relu(-3) + relu(1) would be 1."""
    y = kw.relu(X)
    a, b = np.array([1.0, 1.0, 1.0, 1.0]), np.array([-3.0, 2.0, -3.0, 2.0])
    np.testing.assert_array_equal(run(kw.grad((y * a + y * b).sum(), X, PASSED)), [0, 3, 0, 3])


def test_branches_keep_to_themselves():
    a, b = np.array([2.0, 2.0, 2.0, 2.0]), np.array([5.0, -5.0, 5.0, -5.0])
    got = run(kw.grad((kw.relu(X) * a + kw.relu(-X) * b).sum(), X, PASSED))
    np.testing.assert_array_equal(got, [2 - 5, 2 - 0, 2 - 5, 2 - 0])


def test_other_ops_and_other_calls_are_left_alone():
    y = kw.tanh(kw.relu(X)).sum()
    np.testing.assert_allclose(run(kw.grad(y, X, PASSED)), 1 - np.tanh(np.maximum(VALUE, 0)) ** 2, rtol=1e-14)
    want = (1 - np.tanh(VALUE) ** 2) * (VALUE > 0)
    np.testing.assert_allclose(run(kw.grad(y, X)), want, rtol=1e-14)
    np.testing.assert_allclose(run(kw.grad(y, X, {})), want, rtol=1e-14)


def test_straight_through_an_op_of_zero_slope():
    y = (kw.round(X) * np.array([1.0, 2.0, 3.0, 4.0])).sum()
    np.testing.assert_array_equal(run(kw.grad(y, X)), np.zeros(4))
    np.testing.assert_array_equal(run(kw.grad(y, X, {"round": lambda node, g: [g]})), [1, 2, 3, 4])


def test_an_operand_without_gradient_and_one_with():
    other = kw.input("other", (4,), "float64")
    rule = {"mul": lambda node, g: [None, g] if node.inputs[1] is X else [g, None]}
    np.testing.assert_array_equal(run(kw.grad((other * X).sum(), X, rule)), np.ones(4))


@pytest.mark.parametrize(
    "rules, words",
    [
        ({"rleu": lambda node, g: [g]}, "no op; did you mean 'relu'"),
        ({"relu": 3}, "'relu' is no function"),
        ({"relu": lambda node, g: g}, "a list with a tensor or None for each of 1 operands"),
        ({"relu": lambda node, g: [g, g]}, "each of 1 operands"),
        ({"relu": lambda node, g: [1.0]}, "each of 1 operands"),
        ({"relu": lambda node, g: [g.sum()]}, "its operand's shape and dtype"),
        ({"relu": lambda node, g: [g.astype("float32")]}, "its operand's shape and dtype"),
    ],
)
def test_rules_that_do_not_fit(rules, words):
    with pytest.raises(GradientError, match=words):
        kw.grad(kw.relu(X).sum(), X, rules)
