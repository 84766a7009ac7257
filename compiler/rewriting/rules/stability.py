"""Numerical stability: forms that overflow or cancel, written so that they do not.

Where the original is finite the value is the same. Their gradients are in `gradients`. Leans on `rows`.
"""

from __future__ import annotations

from ...graph.functions import softplus
from ...graph.ops.elementwise import abs_, exp, expm1, log, log1p, sigmoid, tanh
from ...graph.tensor import Tensor, apply
from ..rewrite import Any_, Rule, Table, op
from . import rows

x, y = Any_("x"), Any_("y")
_exp_x, _sigmoid_x = op("exp", x), op("sigmoid", x)


def _log_softmax(x: Tensor, y: Tensor) -> Tensor | None:
    found = rows.spread_exp_sum(y)
    if found is None or found[0] is not exp(x):
        return None
    return x - rows.spread(log(found[1]), found[2], x)


def _shift_softmax(x: Tensor, y: Tensor) -> Tensor | None:
    found = rows.spread_exp_sum(y)
    if found is None or found[0] is not exp(x) or rows.is_shifted(x) or not rows.has_elements(x, found[2]):
        return None
    return rows.softmax(x, found[2])


def _log_sum_exp(x: Tensor, total: Tensor) -> Tensor | None:
    """The shift is kept finite, so that a row of nothing but -inf stays -inf."""
    axes = total.attrs.axes
    if rows.is_shifted(x) or not rows.has_elements(x, axes):
        return None
    peak = rows.finite(apply("max", (x,), axes=axes))
    return log(apply("sum", (exp(x - rows.spread(peak, axes, x)),), axes=axes)) + peak


TABLE = Table(
    "stability",
    [
        Rule("log(softmax(x))", op("log", _exp_x / y), _log_softmax),
        Rule("exp(x) / sum(exp(x))", _exp_x / y, _shift_softmax),
        Rule("log(sum(exp(x)))", op("log", op("sum", _exp_x, bind="total")), _log_sum_exp),
        Rule("log(1 + exp(x))", op("log", 1 + _exp_x), lambda x: softplus(x)),
        Rule(
            "log1p(exp(x))",
            op("log1p", _exp_x),
            lambda x: softplus(x),
            lambda x: not (x.op.name == "neg" and x.inputs[0].op.name == "abs"),
        ),
        Rule("log(1 + x)", op("log", 1 + x), lambda x: log1p(x)),
        Rule("exp(x) - 1", _exp_x - 1, lambda x: expm1(x)),
        Rule("exp(x) + -1", _exp_x + -1, lambda x: expm1(x)),
        Rule("1 / (1 + exp(-x))", 1 / (1 + op("exp", -x)), lambda x: sigmoid(x)),
        Rule("1 / (1 + exp(x))", 1 / (1 + _exp_x), lambda x: sigmoid(-x)),
        Rule("exp(x) / (1 + exp(x))", _exp_x / (1 + _exp_x), lambda x: sigmoid(x)),
        Rule(
            "(exp(x) - exp(-x)) / (exp(x) + exp(-x))",
            (_exp_x - op("exp", -x)) / (_exp_x + op("exp", -x)),
            lambda x: tanh(x),
        ),
        Rule("log(sigmoid(x))", op("log", _sigmoid_x), lambda x: -softplus(-x)),
        Rule("log(1 - sigmoid(x))", op("log", 1 - _sigmoid_x), lambda x: -softplus(x)),
        Rule("sqrt(x * x)", op("sqrt", x * x), lambda x: abs_(x)),
    ],
)
