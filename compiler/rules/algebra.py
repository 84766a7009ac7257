"""Algebra: what leaves values as they are (up to reassociation, which kernels are compiled with anyway).

Numbers are put together in the arithmetic of their dtype: integers wrap, and a float that would overflow or
become subnormal is left apart. x / c becomes x * (1 / c) for any such c (kernels allow reciprocals too).
Not here: x * 0 -> 0 and x - x -> 0, which would hide a NaN. Leans on `rewrite`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..ops.elementwise import rsqrt, sqrt, where
from ..rewrite import Any_, Number, Op, Pattern, Rule, Table, op
from ..shapes import product
from ..tensor import Tensor, apply, cast, full, full_value

x, y, z = Any_("x"), Any_("y"), Any_("z")
c, d = Number("c"), Number("d")


def _like(node: Tensor, number: Any) -> Tensor:
    return full(node.shape, number, node.dtype)


def _merged(name: str, dtype: str, c: Any, d: Any) -> Any:
    """`c name d` in the dtype's own arithmetic (integers wrap); None where a finite result leaves a float's range."""
    held = dtypes.computed(dtype)
    with np.errstate(all="ignore"):
        result = _UFUNC[name](np.full(1, c, held), np.full(1, d, held))[0]
    if dtypes.is_float(dtype) and not (np.isfinite(result) and (abs(result) >= np.finfo(held).tiny or result == 0)):
        return None
    lost = name in ("multiply", "divide") and dtypes.is_float(dtype) and result == 0 and c != 0 and d != 0
    return None if lost else result.item()


_UFUNC: dict[str, Any] = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}


def _then(x: Tensor, op_name: str, name: str, c: Any, d: Any) -> Tensor | None:
    """`x op (c name d)`, where that number is one that the dtype holds well."""
    number = _merged(name, x.dtype, c, d)
    return None if number is None else apply(op_name, (x, _like(x, number)))


def _extreme(x: Tensor, name: str, c: Any, d: Any) -> Tensor:
    number = (np.maximum if name == "maximum" else np.minimum)(c, d)  # NaN stays NaN
    return apply(name, (x, _like(x, number.item())))


def _finite(dtype: str, c: Any) -> bool:
    return dtypes.is_float(dtype) and bool(np.isfinite(np.full(1, c, dtypes.computed(dtype)))[0])


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
    Rule("-x * c", (-x) * c, lambda x, c: _then(x, "mul", "subtract", 0, c)),
    Rule("-(x - y)", -(x - y), lambda x, y: y - x),
    Rule("-(x * c)", -(x * c), lambda x, c: _then(x, "mul", "subtract", 0, c)),
    Rule("x ** 1", x**1, lambda x: x),
    Rule("x ** 2", x**2, lambda x: x * x),
    Rule("x ** 0.5", x**0.5, lambda x: sqrt(x)),
    Rule("x ** -0.5", x**-0.5, lambda x: rsqrt(x)),
    Rule("x ** -1", x**-1, lambda x: 1.0 / x),
    Rule("max(x, x)", op("maximum", x, x), lambda x: x),
    Rule("min(x, x)", op("minimum", x, x), lambda x: x),
    Rule("max(max(x, c), d)", op("maximum", op("maximum", x, c), d), lambda x, c, d: _extreme(x, "maximum", c, d)),
    Rule("min(min(x, c), d)", op("minimum", op("minimum", x, c), d), lambda x, c, d: _extreme(x, "minimum", c, d)),
    Rule("where(c, x, x)", op("where", y, x, x), lambda x, y: x),
    Rule("where(number, x, y)", op("where", c, x, y), lambda c, x, y: x if c else y),
    Rule("stop_gradient(x)", op("stop_gradient", x), lambda x: x),
    Rule("check_range(x)", op("check_range", x), lambda x: x),
]

_NUMBERS_TOGETHER = [
    Rule("(x * c) * d", (x * c) * d, lambda x, c, d: _then(x, "mul", "multiply", c, d)),
    Rule("(x + c) + d", (x + c) + d, lambda x, c, d: _then(x, "add", "add", c, d)),
    Rule("(x - c) + d", (x - c) + d, lambda x, c, d: _then(x, "add", "subtract", d, c)),
    Rule("(x * c) * y", (x * c) * y, lambda x, c, y: (x * y) * _like(x, c), lambda x, c, y: full_value(y) is None),
    Rule("x / c", x / c, lambda x, c: _then(x, "mul", "divide", 1, c)),
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
    wide |= x.dtype == dtypes.BFLOAT16 and inner.dtype in (dtypes.FLOAT32, dtypes.FLOAT64)
    return cast(x, node.dtype) if wide else None


def _factor_of_sum(node: Tensor, x: Tensor, c: Any) -> Tensor:
    total = apply("sum", (x,), **dict(node.attrs.items()))
    return total * _like(total, c)


def _factor_of_contraction(node: Tensor, x: Tensor, y: Tensor, c: Any) -> Tensor | None:
    if dtypes.is_float(x.dtype) and not _finite(x.dtype, c):
        return None
    inputs = (x, y) if node.inputs[0] is not y else (y, x)
    result = apply("contract", inputs, **dict(node.attrs.items()))
    return result * _like(result, c)


def _negative_operand(node: Tensor, x: Tensor, y: Tensor) -> Tensor:
    inputs = (x, y) if node.inputs[0] is not y else (y, x)
    return -apply("contract", inputs, **dict(node.attrs.items()))


def _sum_of_number(node: Tensor, c: Any) -> Tensor | None:
    count = product(node.inputs[0].shape[a] for a in node.attrs.axes)
    if not isinstance(count, int) or (count and _merged("multiply", node.dtype, c, count) is None):
        return None
    return _like(node, _merged("multiply", node.dtype, c, count) if count else 0)


def _either(name: str, make: Any, build: Any) -> Sequence[Rule]:
    """The rule for either operand of a contraction."""
    return [
        Rule(f"contract({name}, y)", Op("contract", (make, y), "node"), build),
        Rule(f"contract(y, {name})", Op("contract", (y, make), "node"), build),
    ]


_scaled: Pattern = x * c
_FACTORS = [
    Rule("cast(cast(x))", op("cast", op("cast", x, bind="inner"), bind="node"), _cast_of_cast),
    Rule("sum(x * c)", Op("sum", (_scaled,), "node"), _factor_of_sum, lambda node, x, c: _finite(x.dtype, c)),
    Rule("sum(-x)", op("sum", -x, bind="node"), lambda node, x: -apply("sum", (x,), **dict(node.attrs.items()))),
    Rule("sum(number)", op("sum", c, bind="node"), _sum_of_number),
    *_either("x * c", _scaled, _factor_of_contraction),
    *_either("-x", -x, _negative_operand),
    Rule(
        "where(c, x * a, 0)",
        op("where", z, x * c, 0),
        lambda x, c, z: where(z, x, _like(x, 0)) * _like(x, c),
        lambda x, c, z: _finite(x.dtype, c),
    ),
]

TABLE = Table("algebra", [*_IDENTITIES, *_NUMBERS_TOGETHER, *_FACTORS])
