"""Numerical stability: forms that overflow or cancel, written so that they do not.

Where the original is finite the value is the same. Leans on `rewrite`.
"""

from __future__ import annotations

from typing import Any

from ..functions import softplus
from ..ops.elementwise import abs_, exp, expm1, log, log1p, sigmoid
from ..rewrite import Any_, Op, Rule, Table, op
from ..tensor import Tensor, apply, broadcast_to

x, y, s = Any_("x"), Any_("y"), Any_("s")


def _spread_sum(of: Any) -> Op:
    """sum(of, keepdims=True) spread over the row again, as softmax writes it."""
    return op("broadcast_to", op("reshape", op("sum", of, bind="total"), bind="kept"), bind="spread")


_exp_x = op("exp", x)


def _same_row(node: Tensor, x: Tensor, total: Tensor, kept: Tensor, spread: Tensor) -> bool:
    """Is the sum spread over the axes it was taken along?"""
    axes = total.attrs.axes
    want = tuple(1 if i in axes else d for i, d in enumerate(x.shape))
    return kept.shape == want and spread.shape == x.shape


def _log_softmax(node: Tensor, x: Tensor, total: Tensor, kept: Tensor, spread: Tensor) -> Tensor | None:
    if not _same_row(node, x, total, kept, spread):
        return None
    return x - broadcast_to(log(kept), x.shape)


def _is_shifted(x: Tensor) -> bool:
    """x - max(x): a softmax that is stable already."""
    return x.op.name == "sub" and any(n.op.name == "max" for n in _chain(x.inputs[1]))


def _chain(node: Tensor) -> list[Tensor]:
    found = [node]
    while node.op.kind == "movement" or node.op.name == "stop_gradient":
        node = node.inputs[0]
        found.append(node)
    return found


def _shift_softmax(node: Tensor, x: Tensor, total: Tensor, kept: Tensor, spread: Tensor) -> Tensor | None:
    if not _same_row(node, x, total, kept, spread) or _is_shifted(x):
        return None
    peak = broadcast_to(apply("max", (x,), axes=total.attrs.axes).reshape(kept.shape), x.shape)
    e = exp(x - peak)
    rows = apply("sum", (e,), axes=total.attrs.axes).reshape(kept.shape)
    return e / broadcast_to(rows, x.shape)


def _log_sum_exp(node: Tensor, x: Tensor, total: Tensor) -> Tensor | None:
    if _is_shifted(x):
        return None
    axes = total.attrs.axes
    peak = apply("max", (x,), axes=axes)
    want = tuple(1 if i in axes else d for i, d in enumerate(x.shape))
    shifted = x - broadcast_to(peak.reshape(want), x.shape)
    return log(apply("sum", (exp(shifted),), axes=axes)) + peak


TABLE = Table(
    "stability",
    [
        Rule("log(softmax(x))", op("log", op("div", _exp_x, _spread_sum(_exp_x)), bind="node"), _log_softmax),
        Rule("exp(x) / sum(exp(x))", op("div", _exp_x, _spread_sum(_exp_x), bind="node"), _shift_softmax),
        Rule("log(sum(exp(x)))", op("log", op("sum", _exp_x, bind="total"), bind="node"), _log_sum_exp),
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
        Rule("log(sigmoid(x))", op("log", op("sigmoid", x)), lambda x: -softplus(-x)),
        Rule("log(1 - sigmoid(x))", op("log", 1 - op("sigmoid", x)), lambda x: -softplus(x)),
        Rule("sqrt(x * x)", op("sqrt", x * x), lambda x: abs_(x)),
    ],
)
