"""Algebra: what leaves values as they are, up to the rounding of the last place.

**No rule moves a factor past data where that could leave the range that the written order stays in.** Each rule that
touches a factor says in its docstring why it cannot. Hence not here, though they hold on paper:

- `(x * c) * y -> (x * y) * c`, and `c` out of a contraction of `x * c` and `y`, on either side. x * y overflows where c
  is small, and underflows where c is large, although (x * c) * y does neither. No c is safe, a power of two included:
  0.5 fails within a factor of two of the largest float.
- `sum(x * c) -> sum(x) * c` for |c| < 1: the sum of what is still large overflows. So does `sum(x / c)` for |c| > 1.
- both for a factor that varies but repeats along the sum: nothing is known of its size.

Nor `x * 0 -> 0` and `x - x -> 0`, which would hide a NaN.

Numbers are put together in the arithmetic of their dtype: integers wrap, floats as `_factors` and `_terms` say.
Leans on `rewrite`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ... import dtypes
from ...graph.ops.elementwise import rsqrt, sqrt, where
from ...graph.tensor import Tensor, apply, cast, full
from ...shapes import product
from ..rewrite import Any_, Number, OpPattern, Rule, Table, op

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
    lost = name == "multiply" and dtypes.is_float(dtype) and result == 0 and c != 0 and d != 0
    return None if lost else result.item()


_UFUNC: dict[str, Any] = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}


def _then(x: Tensor, op_name: str, name: str, c: Any, d: Any) -> Tensor | None:
    """`x op (c name d)`, where that number is one that the dtype holds well."""
    number = _merged(name, x.dtype, c, d)
    return None if number is None else apply(op_name, (x, _like(x, number)))


def _factors(x: Tensor, c: Any, d: Any) -> Tensor | None:
    """`(x * c) * d` as one product, where the number c * d is normal and finite.

    Where neither |c| nor |d| exceeds 1, or neither falls below it, x * c lies between x and the result: it leaves the
    range only if the result does. Where one is above 1 and the other below, both must lie within 1/eps of 1 (2^23 in
    float32, 2^52 in float64). What x * c then loses by becoming subnormal ends up below the smallest normal number, and
    where x * c overflows, the single product is the number that was meant.
    """
    if dtypes.is_float(x.dtype) and c != 0 and d != 0:
        sizes = sorted((abs(c), abs(d)))
        far = 1 / float(np.finfo(dtypes.computed(x.dtype)).eps)
        if sizes[0] < 1 < sizes[1] and not (1 / far <= sizes[0] and sizes[1] <= far):
            return None
    return _then(x, "mul", "multiply", c, d)


def _terms(x: Tensor, c: Any, d: Any) -> Tensor | None:
    """`(x + c) + d` as one sum. Of floats only where c and d have one sign and c + d is exact.

    A rounded c + d could lose d beside c, which the written order keeps where x cancels c. Of opposite signs,
    (x + c) + d may be there to round x, as x + 1.5 * 2^23 - 1.5 * 2^23 does.
    """
    c, d = (None if each is None else _merged("add", x.dtype, each, 0) for each in (c, d))  # as the dtype holds them
    number = None if c is None or d is None else _merged("add", x.dtype, c, d)
    if number is None:
        return None
    if dtypes.is_float(x.dtype) and (c * d < 0 or Fraction(number) != Fraction(c) + Fraction(d)):
        return None
    return apply("add", (x, _like(x, number)))


def _by_power_of_two(x: Tensor, c: Any) -> Tensor | None:
    """`x / c` as x * (1 / c), only where that is the same number to the last bit: where c is a power of two whose
    reciprocal is normal, the two are one real number, rounded once."""
    if not dtypes.is_float(x.dtype) or not np.isfinite(c) or abs(math.frexp(c)[0]) != 0.5:
        return None
    smallest = float(np.finfo(dtypes.computed(x.dtype)).tiny)
    return x * _like(x, 1 / c) if smallest <= abs(c) <= 1 / smallest else None


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
    Rule("(x * c) * d", (x * c) * d, _factors),
    Rule("(x + c) + d", (x + c) + d, _terms),
    Rule("(x - c) + d", (x - c) + d, lambda x, c, d: _terms(x, _merged("subtract", x.dtype, 0, c), d)),
    Rule("x / c", x / c, _by_power_of_two),
    Rule("1 / sqrt(x)", 1 / op("sqrt", x), lambda x: rsqrt(x)),
    Rule("y / sqrt(x)", y / op("sqrt", x), lambda x, y: y * rsqrt(x)),
    Rule("log(x) of y ** c", op("log", y**c), lambda y, c: c * op_log(y), lambda y, c: c % 2 == 1 or c == 0.5),
]


def op_log(v: Tensor) -> Tensor:
    return apply("log", (v,))


def _cast_of_cast(node: Tensor, inner: Tensor, x: Tensor) -> Tensor | None:
    """A widening first cast changes nothing."""
    whole = not dtypes.is_float(x.dtype) and not dtypes.is_float(inner.dtype)
    wide = whole and dtypes.promote(x.dtype, inner.dtype) == inner.dtype
    wide |= (x.dtype, inner.dtype) == (dtypes.FLOAT32, dtypes.FLOAT64)
    wide |= x.dtype == dtypes.BFLOAT16 and inner.dtype in (dtypes.FLOAT32, dtypes.FLOAT64)
    return cast(x, node.dtype) if wide else None


def _factor_of_sum(node: Tensor, x: Tensor, c: Any) -> Tensor | None:
    """`sum(x * c)` as sum(x) * c, where 1 <= |c| is finite.

    Every partial sum of x is then no larger than that of x * c, so it overflows only where the written one does; and
    sums do not underflow, since sums of subnormal numbers are exact.
    """
    if not _finite(x.dtype, c) or abs(c) < 1:
        return None
    total = apply("sum", (x,), **dict(node.attrs.items()))
    return total * _like(total, c)


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
        Rule(f"contract({name}, y)", OpPattern("contract", (make, y), "node"), build),
        Rule(f"contract(y, {name})", OpPattern("contract", (y, make), "node"), build),
    ]


_FACTORS = [
    Rule("cast(cast(x))", op("cast", op("cast", x, bind="inner"), bind="node"), _cast_of_cast),
    Rule("sum(x * c)", op("sum", x * c, bind="node"), _factor_of_sum),
    Rule("sum(-x)", op("sum", -x, bind="node"), lambda node, x: -apply("sum", (x,), **dict(node.attrs.items()))),
    Rule("sum(number)", op("sum", c, bind="node"), _sum_of_number),
    *_either("-x", -x, _negative_operand),
    Rule(
        "where(c, x * a, 0)",
        op("where", z, x * c, 0),
        lambda x, c, z: where(z, x, _like(x, 0)) * _like(x, c),
        lambda x, c, z: _finite(x.dtype, c),
    ),
]

TABLE = Table("algebra", [*_IDENTITIES, *_NUMBERS_TOGETHER, *_FACTORS])
