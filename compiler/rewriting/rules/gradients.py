"""Stability of gradients: quotients that differentiation leaves behind, where 0 / 0 or inf * 0 can be avoided.

Differentiating log(softmax(x)) gives g / p * p, which is NaN where p underflows to 0. Mathematically p (a
sigmoid, a softmax, an exponential) is never 0, so it cancels, and with it a NaN that p alone has. Where the original is
finite the value is the same up to rounding. Leans on `rows`.
"""

from __future__ import annotations

from ...graph.ops.elementwise import exp, sigmoid, sign
from ...graph.tensor import Tensor, apply, full_value
from ..rewrite import Any_, Rule, Table, op
from . import rows

x, y, z, p, b = Any_("x"), Any_("y"), Any_("z"), Any_("p"), Any_("b")
_exp_x = op("exp", x)


def _never_zero(p: Tensor, **_: Tensor) -> bool:
    if p.op.name == "sub":
        return full_value(p.inputs[0]) == 1 and p.inputs[1].op.name == "sigmoid"
    return p.op.name in ("exp", "sigmoid") or rows.is_softmax(p)


def _spread_quotient(node: Tensor, e: Tensor) -> tuple[Tensor, rows.Axes] | None:
    """(y, axes) where `node` is y / sum(e), or for y = sum(z) the sum of z / sum(e), spread over the rows of e.

    The sum of z may overflow where that of the quotients does not, for |z| within a factor of their number of the
    largest float; so does log_softmax's own gradient, -p * sum(g). What it is for: sum(e) itself overflows, or is 0.
    """
    if node.op.name != "broadcast_to":
        return None
    row: Tensor = node.inputs[0]
    row = row.inputs[0] if row.op.name == "reshape" else row
    if row.op.name == "div":
        found, y = rows.exp_sum(row.inputs[1]), row.inputs[0]
    elif row.op.name == "sum" and row.inputs[0].op.name == "div":
        total = rows.spread_exp_sum(row.inputs[0].inputs[1])
        found = (total[0], total[2]) if total is not None and total[2] == row.attrs.axes else None
        y = apply("sum", (row.inputs[0].inputs[0],), axes=row.attrs.axes)
    else:
        return None
    if found is None or found[0] is not e or rows.spread_row(node, found[1]) is not row:
        return None
    return y, found[1]


def _log_sum_exp(x: Tensor, y: Tensor) -> Tensor | None:
    found = _spread_quotient(y, exp(x))
    if found is None or not rows.has_elements(x, found[1]):
        return None
    return rows.spread(found[0], found[1], x) * rows.softmax(x, found[1])


def _quotient(x: Tensor, y: Tensor, b: Tensor) -> Tensor | None:
    found = rows.spread_exp_sum(b)
    if found is None or found[0] is not exp(x) or not rows.has_elements(x, found[2]):
        return None
    return y * rows.softmax(x, found[2])


def _softmax_gradient(x: Tensor, y: Tensor, z: Tensor, b: Tensor) -> Tensor | None:
    total, part = rows.spread_exp_sum(b), _spread_quotient(z, exp(x))
    if (
        total is None
        or total[0] is not exp(x)
        or part is None
        or part[1] != total[2]
        or not rows.has_elements(x, part[1])
    ):
        return None
    return (y + rows.spread(part[0], part[1], x)) * rows.softmax(x, part[1])


TABLE = Table(
    "gradients",
    [
        Rule("(y / p) * p", (y / p) * p, lambda y, p: y, _never_zero),
        Rule("-(y / p) * p", -(y / p) * p, lambda y, p: -y, _never_zero),
        Rule("((y / p) * z) * p", ((y / p) * z) * p, lambda y, z, p: y * z, _never_zero),
        Rule("(-(y / p) * z) * p", (-(y / p) * z) * p, lambda y, z, p: -(y * z), _never_zero),
        Rule("(y / p + z) * p", (y / p + z) * p, lambda y, z, p: y + z * p, _never_zero),
        Rule("(y / (1 + exp(x))) * exp(x)", (y / (1 + _exp_x)) * _exp_x, lambda x, y: y * sigmoid(x)),
        Rule("sigmoid(-x) * exp(x)", op("sigmoid", -x) * _exp_x, lambda x: sigmoid(x)),
        Rule("sigmoid(x) * exp(-x)", op("sigmoid", x) * op("exp", -x), lambda x: sigmoid(-x)),
        Rule("(y / abs(x)) * x", (y / op("abs", x)) * x, lambda x, y: y * sign(x)),
        Rule("spread(y / sum(exp(x))) * exp(x)", y * _exp_x, _log_sum_exp),
        Rule("(y / sum(exp(x))) * exp(x)", (y / b) * _exp_x, _quotient),
        Rule("(y / sum(exp(x)) + spread(z / sum(exp(x)))) * exp(x)", (y / b + z) * _exp_x, _softmax_gradient),
    ],
)
