"""Elementary functions beyond those of `elementwise`: hyperbolic, their inverses, angles, other logarithms, trunc.

Most are formulas, of a few units in the last place over the whole range of float32, and without branches, so that
loops over them are vector code. Leans on `elementwise` for rows.
"""

from __future__ import annotations

import math

import numpy as np

from ...loops import formula as f
from ..tensor import Like, Tensor, elementwise
from .elementwise import _op, _unary, sqrt

ATAN = (
    *(0.022748939747779046, -0.044832186289953741, 0.057362969593526144, -0.066496079533997166, 0.076910546148256477),
    *(-0.090908525270882975, 0.11111109635603796, -0.14285714266082289, 0.19999999999898324, -0.33333333333333246),
)
"""(atan(t)/t - 1) / t^2 in t^2 for |t| <= tan(pi/8), interpolated at Chebyshev's nodes: within 1.3e-16 of atan(t)/t.
The highest power first."""

SHIFT = 0.693359375
"""About ln 2, of so few bits that x - SHIFT is exact where exp(x) is large."""

FAR = 2.0**28
"""From here on x^2 + 1 is x^2 in float64 too."""


def _with_sign(x: f.Value, size: f.Value) -> f.Value:
    """The odd function of x whose value at |x| is `size`; zeros keep their sign, NaN stays."""
    return f.where(x > 0, size, f.where(x < 0, -size, x))


def _half_exp(a: f.Value) -> f.Value:
    """exp(a) / 2, which is finite up to where sinh and cosh are."""
    return f.exp(a - SHIFT) * (math.exp(SHIFT) / 2)


def _sinh(x: f.Value) -> f.Value:
    a = abs(x)
    e, half = f.expm1(f.minimum(a, 2)), _half_exp(a)
    return _with_sign(x, f.where(a < 2, (e + e / (e + 1)) * 0.5, half - 0.25 / half))


def _cosh(x: f.Value) -> f.Value:
    half = _half_exp(abs(x))
    return half + 0.25 / half


def _asinh(x: f.Value) -> f.Value:
    a = abs(x)
    near = f.minimum(a, FAR)
    squared = near * near
    size = f.log1p(near + squared / (1 + f.sqrt(squared + 1)))
    return _with_sign(x, f.where(a < FAR, size, f.log(a) + math.log(2)))


def _acosh(x: f.Value) -> f.Value:
    above = f.minimum(x, FAR) - 1
    size = f.where(x < FAR, f.log1p(above + f.sqrt(above * (above + 2))), f.log(x) + math.log(2))
    return f.where(x < 1, math.nan, size)


def _atanh(x: f.Value) -> f.Value:
    a = abs(x)
    return _with_sign(x, f.log1p((a + a) / (1 - a)) * 0.5)


def _atan_to_one(t: f.Value) -> f.Value:
    """The angle of 0 <= t <= 1; beyond tan(pi/8) by its distance from pi/4."""
    far = t > math.tan(math.pi / 8)
    r = f.where(far, (t - 1) / (t + 1), t)
    z = r * r
    total = z * ATAN[0] + ATAN[1]
    for coefficient in ATAN[2:]:
        total = total * z + coefficient
    angle = r + r * (z * total)
    return f.where(far, angle + math.pi / 4, angle)


def _atan(x: f.Value) -> f.Value:
    a = abs(x)
    angle = _atan_to_one(f.where(a > 1, 1 / a, a))
    return _with_sign(x, f.where(a > 1, math.pi / 2 - angle, angle))


def _asin(x: f.Value) -> f.Value:
    return _atan(x / f.sqrt((1 - x) * (1 + x)))


def _acos(x: f.Value) -> f.Value:
    return _atan(f.sqrt((1 - x) / (1 + x))) * 2


def _negative(x: f.Value) -> f.Value:
    """Is the sign bit set? -0 and -infinity have it."""
    return f.logical_or(x < 0, 1 / x < 0)


def _atan2(y: f.Value, x: f.Value) -> f.Value:
    a, b = abs(y), abs(x)
    most = f.maximum(a, b)
    ratio = f.where(f.eq(a, b), f.sign(most), f.minimum(a, b) / most)  # infinite both, or both zero, are no quotient
    angle = _atan_to_one(ratio)
    angle = f.where(a > b, math.pi / 2 - angle, angle)
    angle = f.where(_negative(x), math.pi - angle, angle)
    return f.where(_negative(y), -angle, angle)


def _atan2_gradient(node: Tensor, g: Tensor) -> list[Tensor]:
    y, x = node.inputs
    scale = g / (x * x + y * y)
    return [scale * x, -scale * y]


log2, log10, exp2, trunc = _unary("log2"), _unary("log10"), _unary("exp2"), _unary("trunc")
tan, sinh, cosh = _unary("tan"), _unary("sinh"), _unary("cosh")
asin, acos, atan = _unary("asin"), _unary("acos"), _unary("atan")
asinh, acosh, atanh = _unary("asinh"), _unary("acosh"), _unary("atanh")

_op("log2", np.log2, lambda n, g: (g / (n.inputs[0] * math.log(2)),), domain=(0.3, 3.0), promotes=True)
_op("log10", np.log10, lambda n, g: (g / (n.inputs[0] * math.log(10)),), domain=(0.3, 3.0), promotes=True)
_op("trunc", np.trunc, zero=True, away_from=(-2.0, -1.0, 1.0, 2.0))
_op("exp2", np.exp2, lambda n, g: (g * n * math.log(2),), scalar=lambda x: f.pow(2, x), promotes=True)
_op(
    "tan",
    np.tan,
    lambda n, g: (g * (n * n + 1),),
    domain=(-1.2, 1.2),
    scalar=lambda x: f.sin(x) / f.cos(x),
    promotes=True,
)
_op("sinh", np.sinh, lambda n, g: (g * cosh(n.inputs[0]),), scalar=_sinh, promotes=True)
_op("cosh", np.cosh, lambda n, g: (g * sinh(n.inputs[0]),), scalar=_cosh, promotes=True)
_op("atan", np.arctan, lambda n, g: (g / (n.inputs[0] * n.inputs[0] + 1),), scalar=_atan, promotes=True)
_op(
    "asin",
    np.arcsin,
    lambda n, g: (g / sqrt((1 - n.inputs[0]) * (1 + n.inputs[0])),),
    domain=(-0.9, 0.9),
    scalar=_asin,
    promotes=True,
)
_op(
    "acos",
    np.arccos,
    lambda n, g: (-g / sqrt((1 - n.inputs[0]) * (1 + n.inputs[0])),),
    domain=(-0.9, 0.9),
    scalar=_acos,
    promotes=True,
)
_op("asinh", np.arcsinh, lambda n, g: (g / sqrt(n.inputs[0] * n.inputs[0] + 1),), scalar=_asinh, promotes=True)
_op(
    "acosh",
    np.arccosh,
    lambda n, g: (g / sqrt((n.inputs[0] - 1) * (n.inputs[0] + 1)),),
    domain=(1.3, 3.0),
    scalar=_acosh,
    promotes=True,
)
_op(
    "atanh",
    np.arctanh,
    lambda n, g: (g / ((1 - n.inputs[0]) * (1 + n.inputs[0])),),
    domain=(-0.9, 0.9),
    scalar=_atanh,
    promotes=True,
)
_op("atan2", np.arctan2, _atan2_gradient, arity=2, domain=(0.3, 2.0), scalar=_atan2, promotes=True)


def atan2(y: Like, x: Like) -> Tensor:
    """The angle of the point (x, y) in (-pi, pi], as `numpy.arctan2`: the signs of zeros count. Floats, which
    broadcast; integers become float32. The gradient at (0, 0) is NaN."""
    return elementwise("atan2", y, x)


def square(x: Like) -> Tensor:
    """x * x of each element. Numbers of any dtype."""
    return elementwise("mul", x, x)


def reciprocal(x: Like) -> Tensor:
    """1 / x of each element. Floats; integers become float32."""
    return elementwise("div", 1, x)
