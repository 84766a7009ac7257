"""Algebra: what leaves values as they are (up to reassociation, which kernels are compiled with anyway).

Not here: x * 0 -> 0 and x - x -> 0, which would hide a NaN. Leans on `rewrite`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..ops.elementwise import maximum, minimum, rsqrt, sqrt, where
from ..ops.registry import OPS
from ..rewrite import Any_, Number, Op, Pattern, Rule, Table, op
from ..shapes import product
from ..tensor import Tensor, apply, cast, full

x, y, z = Any_("x"), Any_("y"), Any_("z")
c, d = Number("c"), Number("d")


def _like(node: Tensor, number: Any) -> Tensor:
    return full(node.shape, number, node.dtype)


def _all(op_name: str, count: int) -> Op:
    return Op(op_name, tuple(Number(f"c{i}") for i in range(count)), "node")


def _fold(node: Tensor, **_: Any) -> Tensor | None:
    """An elementwise op of numbers is a number: its reference says which."""
    ones = [np.full((1,), _number(i), i.dtype) for i in node.inputs]
    with np.errstate(all="ignore"):
        result = node.op.reference(node, {}, *ones)
    return full(node.shape, result.ravel()[0].item(), node.dtype)


def _number(node: Tensor) -> Any:
    from ..tensor import full_value

    return full_value(node)


def _is_float(x: Tensor, **_: Any) -> bool:
    return dtypes.is_float(x.dtype)


_FOLDED = [
    Rule(f"{o.name} of numbers", _all(o.name, len(o.samples[0].shapes)), _fold)
    for o in OPS.values()
    if o.kind == "elementwise" and o.samples and o.name != "bits_to_uniform"
]

_IDENTITIES = [
    Rule("x + 0", x + 0, lambda x: x),
    Rule("x - 0", x - 0, lambda x: x),
    Rule("0 - x", 0 - x, lambda x: -x),
    Rule("x * 1", x * 1, lambda x: x),
    Rule("x * -1", x * -1, lambda x: -x),
    Rule("x / 1", x / 1, lambda x: x),
    Rule("-(-x)", op("neg", -x), lambda x: x),
    Rule("x + -y", x + -y, lambda x, y: x - y),
    Rule("x - -y", x - -y, lambda x, y: x + y),
    Rule("-x * -y", (-x) * (-y), lambda x, y: x * y),
    Rule("-x * c", (-x) * c, lambda x, c: x * _like(x, -c)),
    Rule("-(x - y)", -(x - y), lambda x, y: y - x),
    Rule("-(x * c)", -(x * c), lambda x, c: x * _like(x, -c)),
    Rule("x ** 1", x**1, lambda x: x),
    Rule("x ** 2", x**2, lambda x: x * x),
    Rule("x ** 0.5", x**0.5, lambda x: sqrt(x)),
    Rule("x ** -0.5", x**-0.5, lambda x: rsqrt(x)),
    Rule("x ** -1", x**-1, lambda x: 1.0 / x),
    Rule("max(x, x)", op("maximum", x, x), lambda x: x),
    Rule("min(x, x)", op("minimum", x, x), lambda x: x),
    Rule("max(max(x, c), d)", op("maximum", op("maximum", x, c), d), lambda x, c, d: maximum(x, _like(x, max(c, d)))),
    Rule("min(min(x, c), d)", op("minimum", op("minimum", x, c), d), lambda x, c, d: minimum(x, _like(x, min(c, d)))),
    Rule("where(c, x, x)", op("where", y, x, x), lambda x, y: x),
    Rule("where(number, x, y)", op("where", c, x, y), lambda c, x, y: x if c else y),
    Rule("stop_gradient(x)", op("stop_gradient", x), lambda x: x),
    Rule("check_range(x)", op("check_range", x), lambda x: x),
]

_NUMBERS_TOGETHER = [
    Rule("(x * c) * d", (x * c) * d, lambda x, c, d: x * _like(x, c * d)),
    Rule("(x + c) + d", (x + c) + d, lambda x, c, d: x + _like(x, c + d)),
    Rule("(x - c) + d", (x - c) + d, lambda x, c, d: x + _like(x, d - c)),
    Rule("(x * c) * y", (x * c) * y, lambda x, c, y: (x * y) * _like(x, c), lambda x, c, y: _number(y) is None),
    Rule("x / c", x / c, lambda x, c: x * _like(x, 1.0 / c), lambda x, c: c != 0 and np.isfinite(1.0 / c)),
    Rule("1 / sqrt(x)", 1 / op("sqrt", x), lambda x: rsqrt(x)),
    Rule("y / sqrt(x)", y / op("sqrt", x), lambda x, y: y * rsqrt(x)),
    Rule("log(x) of y ** c", op("log", y**c), lambda y, c: c * op_log(y), lambda y, c: c % 2 == 1 or c == 0.5),
]


def op_log(v: Tensor) -> Tensor:
    return apply("log", (v,))


def _cast_of_cast(node: Tensor, inner: Tensor, x: Tensor) -> Tensor | None:
    """A widening first cast changes nothing."""
    order = [dtypes.BOOL, dtypes.UINT8, dtypes.INT32, dtypes.INT64]
    wide = inner.dtype in order and x.dtype in order and order.index(inner.dtype) >= order.index(x.dtype)
    wide |= (x.dtype, inner.dtype) == (dtypes.FLOAT32, dtypes.FLOAT64)
    return cast(x, node.dtype) if wide else None


def _factor_of_sum(node: Tensor, x: Tensor, c: Any) -> Tensor:
    total = apply("sum", (x,), **dict(node.attrs.items()))
    return total * _like(total, c)


def _factor_of_contraction(node: Tensor, x: Tensor, y: Tensor, c: Any) -> Tensor | None:
    first = node.inputs[0] is not y
    inputs = (x, y) if first else (y, x)
    result = apply("contract", inputs, **dict(node.attrs.items()))
    return result * _like(result, c)


def _negative_operand(node: Tensor, x: Tensor, y: Tensor) -> Tensor:
    inputs = (x, y) if node.inputs[0] is not y else (y, x)
    return -apply("contract", inputs, **dict(node.attrs.items()))


def _sum_of_number(node: Tensor, c: Any) -> Tensor | None:
    count = product(node.inputs[0].shape[a] for a in node.attrs.axes)
    return _like(node, c * count) if isinstance(count, int) else None


def _either(name: str, make: Any, build: Any) -> Sequence[Rule]:
    """The rule for either operand of a contraction."""
    return [
        Rule(f"contract({name}, y)", Op("contract", (make, y), "node"), build),
        Rule(f"contract(y, {name})", Op("contract", (y, make), "node"), build),
    ]


_scaled: Pattern = x * c
_FACTORS = [
    Rule("cast(cast(x))", op("cast", op("cast", x, bind="inner"), bind="node"), _cast_of_cast),
    Rule("sum(x * c)", Op("sum", (_scaled,), "node"), _factor_of_sum, lambda node, x, c: dtypes.is_float(x.dtype)),
    Rule("sum(-x)", op("sum", -x, bind="node"), lambda node, x: -apply("sum", (x,), **dict(node.attrs.items()))),
    Rule("sum(number)", op("sum", c, bind="node"), _sum_of_number),
    *_either("x * c", _scaled, _factor_of_contraction),
    *_either("-x", -x, _negative_operand),
    Rule(
        "where(c, x * a, 0)",
        op("where", z, x * c, 0),
        lambda x, c, z: where(z, x, _like(x, 0)) * _like(x, c),
        lambda x, c, z: dtypes.is_float(x.dtype) and np.isfinite(c),
    ),
]

TABLE = Table("algebra", [*_FOLDED, *_IDENTITIES, *_NUMBERS_TOGETHER, *_FACTORS])
