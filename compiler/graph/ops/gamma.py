"""The logarithm of the gamma function and its derivatives: `lgamma`, `digamma`, `polygamma`.

polygamma(n, x) is the derivative of order n of digamma: (-1)^(n+1) n! zeta(n + 1, x), of which ten terms are summed and
the rest is the Euler-Maclaurin formula; of negative x by reflection (NIST's Digital Library of Mathematical Functions,
5.5, 5.11, 5.15 and 25.11). It is computed in float64 for float32 as well, since terms cancel near the zeros. The
reference is the same text over NumPy; tests compare it with other libraries. Leans on `elementwise` for rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from ... import dtypes
from ...errors import ShapeError
from ...loops import expressions as loops
from ...loops import formula as f
from ...loops.functions import FUNCTIONS
from ..tensor import Like, Tensor, elementwise
from .elementwise import _floating, _op
from .registry import Bad, Op, Sample, register

HIGHEST = 20
TERMS = 10
BERNOULLI = tuple(
    Fraction(*each)
    for each in ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798))
)
"""B_2, B_4, ..."""


def _power(x: Any, n: int) -> Any:
    return reduce(lambda total, _: total * x, range(n - 1), x)


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """Horner's rule, the lowest power first."""
    *rest, total = coefficients
    for coefficient in reversed(rest):
        total = total * x + coefficient
    return total


def _tail_coefficients(n: int) -> list[float]:
    """B_2j / (2j)! (n + 1)(n + 2)...(n + 2j - 1) for j = 1, 2, ...; of n = 0 they are B_2j / 2j."""
    rising = [math.prod(range(n + 1, n + 2 * j)) for j in range(1, len(BERNOULLI) + 1)]
    return [float(b * r / math.factorial(2 * j)) for j, (b, r) in enumerate(zip(BERNOULLI, rising), start=1)]


def _above_zero(m: Any, n: int, z: Any) -> Any:
    """polygamma(n, z) for z >= 0."""
    far = z + TERMS
    inverse = 1 / far
    tail = _polynomial(inverse * inverse, [0.0, *_tail_coefficients(n)]) + inverse * 0.5
    near = sum((_power(1 / (z + k), n + 1) for k in range(1, TERMS)), _power(1 / z, n + 1))
    if n == 0:
        return m.log(far) - tail - near
    total = near + _power(inverse, n) * (tail + 1 / n)
    return total * float((-1) ** (n + 1) * math.factorial(n))


def _cotangent_coefficients(n: int) -> list[int]:
    """Of the derivative of order n of cot(x), as a polynomial in c = cot(x), whose derivative is -(1 + c^2)."""
    powers = {1: 1}
    for _ in range(n):
        following: dict[int, int] = {}
        for k, a in powers.items():
            for power in (k - 1, k + 1):
                following[power] = following.get(power, 0) - k * a
        powers = {k: a for k, a in following.items() if a}
    return [powers[k] for k in sorted(powers)]


def _reflection(m: Any, n: int, x: Any) -> Any:
    """The derivative of order n of pi cot(pi x): what polygamma(n, x) lacks to (-1)^n polygamma(n, 1 - x)."""
    part = x - m.round(x)
    c = m.sin((0.5 - abs(part)) * math.pi) / m.sin(part * math.pi)  # the cosine, exactly 0 between two poles
    value = _polynomial(c * c, [float(a * math.pi ** (n + 1)) for a in _cotangent_coefficients(n)])
    return value if n % 2 else value * c


def _polygamma(m: Any, n: int, x: Any) -> Any:
    """polygamma(n, x) in float64. m: what has log, sin, round and where of x, NumPy or `formula`."""
    below = x < 0
    above = _above_zero(m, n, m.where(below, 1 - x, x))
    reflected = (-above if n % 2 else above) - _reflection(m, n, x)
    if n == 0:
        reflected = m.where(m.round(x) < x, reflected, m.where(x < m.round(x), reflected, math.nan))
    return m.where(below, reflected, above)


def _cast(x: loops.Expr, dtype: str) -> loops.Expr:
    return x if x.dtype == dtype else loops.call("cast", [x], dtype)


def _lower_polygamma(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    x = f.Value(_cast(read(0, index), dtypes.FLOAT64))
    return _cast(_polygamma(f, node.attrs.order, x).expr, node.dtype)


def _polygamma_reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        exact = _polygamma(np, node.attrs.order, np.asarray(x, np.float64))
        return np.asarray(exact).astype(dtypes.computed(node.dtype), copy=False)


def _infer_polygamma(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    n = attrs.order
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= HIGHEST:
        raise ShapeError(f"n must be a whole number from 0 to {HIGHEST}, not {n!r}")
    return _floating(inputs, attrs)


_SHAPES = ((3, 5), (1, 1), (7,), (), (0, 3))
_op(
    "lgamma",
    FUNCTIONS["lgamma"].numpy,
    lambda n, g: (g * digamma(n.inputs[0]),),
    domain=(0.4, 3.0),
    promotes=True,
)
register(
    Op(
        "polygamma",
        "elementwise",
        _infer_polygamma,
        _polygamma_reference,
        _lower_polygamma,
        vjp=lambda n, g: (g * polygamma(n.attrs.order + 1, n.inputs[0]),),
        samples=(
            *(Sample((s,), {"order": 0}, domain=(0.7, 3.0)) for s in _SHAPES),
            *(Sample(((7,),), {"order": n}, domain=(0.9, 3.0)) for n in (1, 2)),
            *(Sample(((7,),), {"order": n}, domain=(-0.7, -0.3)) for n in (0, 1)),
        ),
        bad=(
            Bad(((2, 3),), {"order": -1}, says=("from 0 to 20", "-1")),
            Bad(((2, 3),), {"order": 0}, dtypes=("int32",), says=("floats", "int32")),
        ),
        flops=120,
        promotes=True,
        pointwise=True,
        folds=True,
        rounds=True,
        underflows=True,
    )
)


def lgamma(x: Like) -> Tensor:
    """log |gamma(x)| of each element: infinity at 0 and the negative integers. Any shape; floats (integers become
    float32). Its gradient is `digamma`."""
    return elementwise("lgamma", x)


def digamma(x: Like) -> Tensor:
    """The derivative of `lgamma` at each element: -infinity at 0 (infinity at -0), NaN at the negative integers. Any
    shape; floats (integers become float32)."""
    return polygamma(0, x)


def polygamma(n: int, x: Like) -> Tensor:
    """The derivative of order n of `digamma` at each element of x; of order 0 that is `digamma` itself.

    At 0 and at the negative integers infinity of an odd n, and -infinity of an even one from 2. n: a whole number from
    0 to 20. x: any shape; floats (integers become float32). Raises ShapeError for another n.
    """
    return elementwise("polygamma", x, order=n)
