"""Branch-free LLVM IR for scalar functions of float32, written so that LLVM's loop vectoriser takes them whole.

`Scalar` wraps an llvmlite builder for one float type. Its operations carry a flag of their own (`nsz`), so that the
kernel-wide permission to reassociate does not reach them: argument reduction depends on exact cancellation.
Polynomials were fitted (weighted minimax) for this file; coefficients are written highest power first. The bounds,
measured over the whole range by the tests: 2 ulp, and 3 for `sigmoid`, `tanh`, `erf` and `log2`. Leans on llvmlite and
Numba's cgutils.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llvmlite import ir
from numba.core import cgutils

F32, F64 = ir.FloatType(), ir.DoubleType()
I32, I64 = ir.IntType(32), ir.IntType(64)
EXACT = ("nsz",)
INFINITY, NAN = float("inf"), float("nan")

LOG2_E = 1.0 / math.log(2.0)
LN2_HIGH = 0.693359375  # ln 2 to 10 bits: its product with a small integer is exact
LN2_LOW = math.log(2.0) - LN2_HIGH
LOG10_2_HIGH = 0.301025390625  # log10 2 to 13 bits
LOG10_2_LOW = math.log10(2.0) - LOG10_2_HIGH
ROUND32, ROUND64 = 1.5 * 2.0**23, 1.5 * 2.0**52  # adding these rounds to an integer, left in the low bits
EXP_MOST, EXP_NORMAL, EXP_LEAST = 88.72283935546875, -87.33654022216797, -104.0
SMALLEST_NORMAL = 2.0**-126
HALF_SQRT_BITS32, HALF_SQRT_BITS64 = 0x3F3504F3, 0x3FE6A09E667F3BCD  # sqrt(1/2)
HALF_PI_HIGH, HALF_PI_LOW = math.pi / 2, 6.123233995736766e-17
FARTHEST_ANGLE = 2.0**50

# (e^r - 1 - r) / r^2 for |r| <= ln(2)/2
EXP = (1.984596930e-04, 1.394165375e-03, 8.333391621e-03, 4.166634869e-02, 1.666666635e-01, 5.000000047e-01)
# (log(1 + f) - f + f^2/2) / f^3 for sqrt(1/2) <= 1 + f <= sqrt(2)
LOG = (
    *(6.779506680e-02, -1.173196628e-01, 1.190428063e-01, -1.239796649e-01, 1.421652066e-01),
    *(-1.666828694e-01, 2.000226686e-01, -2.500000681e-01, 3.333331064e-01),
)
# erf(x)/x - 1 in x^2, for |x| <= 1
ERF_NEAR = (
    *(7.853853263e-05, -8.010191175e-04, 5.188327407e-03, -2.685381179e-02),
    *(1.128358515e-01, -3.761262582e-01, 1.283791657e-01),
)
# log(1 - erf(x)) / x, for 1 <= x <= 4
ERF_FAR = (
    *(-1.365946114e-05, 3.474585933e-04, -3.744278652e-03, 2.398107539e-02),
    *(-1.064958113e-01, -6.349916627e-01, -1.128688632e00),
)
# (sin(r)/r - 1) / r^2 and (cos(r) - 1 + r^2/2) / r^4 in r^2, for |r| <= pi/4
SIN = (2.718121635e-06, -1.983931510e-04, 8.333329325e-03, -1.666666664e-01)
COS = (2.443660624e-05, -1.388735197e-03, 4.166664656e-02)
# 2^r for |r| <= 1/2, and log2((1 + s)/(1 - s)) / s in s^2
EXP2 = (
    *(1.531645456e-05, 1.546973164e-04, 1.333342268e-03, 9.618025604e-03),
    *(5.550410976e-02, 2.402265121e-01, 6.931471805e-01, 1.0),
)
LOG2 = (2.833405792e-01, 3.198761488e-01, 4.122099383e-01, 5.770779360e-01, 9.617966941e-01, 2.885390082e00)


class Scalar:
    """Arithmetic on one float type, exactly as written."""

    def __init__(self, builder: ir.IRBuilder, kind: ir.Type) -> None:
        self.builder = builder
        self.kind = kind
        self.bits = I32 if kind == F32 else I64
        self.suffix = "f32" if kind == F32 else "f64"

    def number(self, value: float) -> ir.Constant:
        return ir.Constant(self.kind, value)

    def integer(self, value: int) -> ir.Constant:
        return ir.Constant(self.bits, value)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fadd(a, b, flags=EXACT)

    def sub(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fsub(a, b, flags=EXACT)

    def mul(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fmul(a, b, flags=EXACT)

    def div(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fdiv(a, b, flags=EXACT)

    def call(self, name: str, *args: ir.Value, flags: Sequence[str] = ()) -> ir.Value:
        """An LLVM intrinsic on values of this type."""
        kind = ir.FunctionType(self.kind, [self.kind] * len(args))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.{self.suffix}")
        return self.builder.call(function, args, fastmath=flags)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        return self.call("fma", a, b, c)

    def choose(self, relation: str, a: ir.Value, b: ir.Value, yes: ir.Value, no: ir.Value) -> ir.Value:
        """`yes` where `a relation b` holds between numbers, else `no` (which is where NaN goes)."""
        return self.builder.select(self.builder.fcmp_ordered(relation, a, b), yes, no)

    def clamp(self, x: ir.Value, least: float, most: float) -> ir.Value:
        """x within bounds; NaN stays."""
        x = self.choose("<", x, self.number(least), self.number(least), x)
        return self.choose(">", x, self.number(most), self.number(most), x)

    def poly(self, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
        """Horner's rule."""
        total: ir.Value = self.number(coefficients[0])
        for coefficient in coefficients[1:]:
            total = self.fma(total, x, self.number(coefficient))
        return total

    def to_bits(self, x: ir.Value) -> ir.Value:
        return self.builder.bitcast(x, self.bits)

    def from_bits(self, bits: ir.Value) -> ir.Value:
        return self.builder.bitcast(bits, self.kind)


def _reduce_exp(s: Scalar, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """x = n ln 2 + r: the float whose low bits are n, and e^r - 1."""
    rounded = s.fma(x, s.number(LOG2_E), s.number(ROUND32))
    n = s.sub(rounded, s.number(ROUND32))
    r = s.fma(n, s.number(-LN2_LOW), s.fma(n, s.number(-LN2_HIGH), x))
    return rounded, s.fma(s.poly(r, EXP), s.mul(r, r), r)


def exp(s: Scalar, x: ir.Value) -> ir.Value:
    """e^x. Where that is below the smallest normal number, 2^64 times it is made first and then divided, which rounds
    once."""
    rounded, less_one = _reduce_exp(s, x)
    low = s.builder.fcmp_ordered("<", x, s.number(EXP_NORMAL))
    power = s.builder.select(low, s.integer(64 << 23), s.integer(0))
    shift = s.builder.add(s.builder.shl(s.to_bits(rounded), s.integer(23)), power)
    y = s.from_bits(s.builder.add(s.to_bits(s.add(less_one, s.number(1.0))), shift))
    y = s.mul(y, s.builder.select(low, s.number(2.0**-64), s.number(1.0)))
    y = s.choose("<=", x, s.number(EXP_MOST), y, s.add(x, s.number(INFINITY)))
    return s.choose("<", x, s.number(EXP_LEAST), s.number(0.0), y)


def _expm1_near(s: Scalar, x: ir.Value) -> ir.Value:
    """e^x - 1 for -20 < x < 89.4, NaN kept: half the scale first, since 2^128 is no float."""
    rounded, less_one = _reduce_exp(s, x)
    half = s.from_bits(s.builder.shl(s.builder.add(s.to_bits(rounded), s.integer(126)), s.integer(23)))
    y = s.fma(half, less_one, s.sub(half, s.number(0.5)))
    return s.add(y, y)


def expm1(s: Scalar, x: ir.Value) -> ir.Value:
    """e^x - 1, exact in the limit of small x."""
    return _expm1_near(s, s.clamp(x, -17.5, 89.0))


def tanh(s: Scalar, x: ir.Value) -> ir.Value:
    """(e^2x - 1) / (e^2x + 1) of |x|, with the sign put back."""
    a = s.call("fabs", x)
    a = s.choose(">", a, s.number(10.0), s.number(10.0), a)
    e = _expm1_near(s, s.add(a, a))
    return s.call("copysign", s.div(e, s.add(e, s.number(2.0))), x)


def sigmoid(s: Scalar, x: ir.Value) -> ir.Value:
    """1 / (1 + e^-x), and e^x / (1 + e^x) for negative x, where e^-x may be infinite."""
    return logistic(s, x, exp(s, s.builder.fneg(s.call("fabs", x))))


def logistic(s: Scalar, x: ir.Value, e: ir.Value) -> ir.Value:
    """The sigmoid of x, given e = e^-|x|."""
    return s.div(s.choose("<", x, s.number(0.0), e, s.number(1.0)), s.add(s.number(1.0), e))


def _reduce_log(s: Scalar, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """x = 2^e (1 + f) with 1 + f between the roots of 1/2 and 2: e and f."""
    tiny = s.builder.fcmp_ordered("<", x, s.number(SMALLEST_NORMAL))
    scaled = s.builder.select(tiny, s.mul(x, s.number(2.0**23)), x)
    distance = s.builder.sub(s.to_bits(scaled), s.integer(HALF_SQRT_BITS32))
    power = s.builder.ashr(distance, s.integer(23))
    mantissa = s.builder.add(s.builder.and_(distance, s.integer(0x7FFFFF)), s.integer(HALF_SQRT_BITS32))
    e = s.builder.sitofp(power, s.kind)
    e = s.builder.select(tiny, s.sub(e, s.number(23.0)), e)
    return e, s.sub(s.from_bits(mantissa), s.number(1.0))


def _log_ends(s: Scalar, x: ir.Value, y: ir.Value) -> ir.Value:
    """y, the logarithm of x, with what it is at and below 0, at infinity and at NaN."""
    y = s.choose("<", x, s.number(INFINITY), y, x)
    y = s.choose("==", x, s.number(0.0), s.number(-INFINITY), y)
    return s.choose("<", x, s.number(0.0), s.number(NAN), y)


def log(s: Scalar, x: ir.Value) -> ir.Value:
    """The natural logarithm."""
    e, f = _reduce_log(s, x)
    squared = s.mul(f, f)
    y = s.fma(e, s.number(LN2_LOW), s.mul(s.mul(s.poly(f, LOG), f), squared))
    y = s.fma(e, s.number(LN2_HIGH), s.add(f, s.fma(squared, s.number(-0.5), y)))
    return _log_ends(s, x, y)


def _log_of_mantissa(s: Scalar, f: ir.Value) -> ir.Value:
    """log(1 + f); 0 for f = 0, so that powers of the base have whole logarithms."""
    squared = s.mul(f, f)
    return s.add(f, s.fma(squared, s.number(-0.5), s.mul(s.mul(s.poly(f, LOG), f), squared)))


def log2(s: Scalar, x: ir.Value) -> ir.Value:
    """The logarithm to base 2, exact of its powers."""
    e, f = _reduce_log(s, x)
    return _log_ends(s, x, s.fma(_log_of_mantissa(s, f), s.number(LOG2_E), e))


def log10(s: Scalar, x: ir.Value) -> ir.Value:
    """The logarithm to base 10."""
    e, f = _reduce_log(s, x)
    rest = s.fma(e, s.number(LOG10_2_LOW), s.mul(_log_of_mantissa(s, f), s.number(1.0 / math.log(10.0))))
    return _log_ends(s, x, s.fma(e, s.number(LOG10_2_HIGH), rest))


def log1p(s: Scalar, x: ir.Value) -> ir.Value:
    """log(1 + x): the logarithm of the rounded sum, and what rounding lost."""
    total = s.add(x, s.number(1.0))
    lost = s.div(s.sub(x, s.sub(total, s.number(1.0))), total)
    lost = s.choose("<", total, s.number(INFINITY), lost, s.number(0.0))
    lost = s.choose(">", total, s.number(0.0), lost, s.number(0.0))
    return s.add(log(s, total), lost)


def erf(s: Scalar, x: ir.Value) -> ir.Value:
    """The error function: odd polynomial up to 1, one minus an exponential beyond."""
    a = s.call("fabs", x)
    near = s.fma(s.poly(s.mul(a, a), ERF_NEAR), a, a)
    t = s.choose(">", a, s.number(4.0), s.number(4.0), a)
    far = s.builder.fneg(_expm1_near(s, s.mul(s.poly(t, ERF_FAR), t)))
    return s.call("copysign", s.choose("<", a, s.number(1.0), near, far), x)


def _circular(s: Scalar, x: ir.Value, quarter: int) -> ir.Value:
    """sin(x + quarter * pi/2), reduced and summed in float64; angles beyond 2^50 lose meaning but stay bounded."""
    d = Scalar(s.builder, F64)
    b = s.builder
    wide = b.fpext(x, F64)
    rounded = d.fma(wide, d.number(2.0 / math.pi), d.number(ROUND64))
    n = d.sub(rounded, d.number(ROUND64))
    r = d.fma(n, d.number(-HALF_PI_LOW), d.fma(n, d.number(-HALF_PI_HIGH), wide))
    r = d.choose(">", d.call("fabs", wide), d.number(FARTHEST_ANGLE), d.mul(wide, d.number(0.0)), r)
    z = d.mul(r, r)
    sine = d.fma(d.mul(d.poly(z, SIN), z), r, r)
    cosine = d.fma(d.mul(d.poly(z, COS), z), z, d.fma(z, d.number(-0.5), d.number(1.0)))
    turn = b.add(d.to_bits(rounded), d.integer(quarter))
    odd = b.icmp_unsigned("!=", b.and_(turn, d.integer(1)), d.integer(0))
    sign = b.shl(b.and_(turn, d.integer(2)), d.integer(62))
    y = b.select(odd, cosine, sine)
    return b.fptrunc(d.from_bits(b.xor(d.to_bits(y), sign)), F32)


def sin(s: Scalar, x: ir.Value) -> ir.Value:
    """The sine."""
    return _circular(s, x, 0)


def cos(s: Scalar, x: ir.Value) -> ir.Value:
    """The cosine."""
    return _circular(s, x, 1)


def _log2_wide(d: Scalar, a: ir.Value) -> ir.Value:
    """log2 of a float64 that came from a positive float32, to 40 bits; 0 and infinity included."""
    b = d.builder
    distance = b.sub(d.to_bits(a), d.integer(HALF_SQRT_BITS64))
    power = b.ashr(distance, d.integer(52))
    mantissa = b.add(b.and_(distance, d.integer((1 << 52) - 1)), d.integer(HALF_SQRT_BITS64))
    f = d.sub(d.from_bits(mantissa), d.number(1.0))
    ratio = d.div(f, d.add(f, d.number(2.0)))
    y = d.fma(d.poly(d.mul(ratio, ratio), LOG2), ratio, b.sitofp(power, F64))
    y = d.choose("<", a, d.number(INFINITY), y, a)
    return d.choose("==", a, d.number(0.0), d.number(-INFINITY), y)


def power(s: Scalar, x: ir.Value, y: ir.Value) -> ir.Value:
    """x^y by 2^(y log2 |x|) in float64, with the C library's rules for signs, zeros and infinities."""
    d = Scalar(s.builder, F64)
    b = s.builder
    wide, exponent = b.fpext(x, F64), b.fpext(y, F64)
    a = d.call("fabs", wide)
    t = d.choose("==", a, d.number(1.0), d.number(0.0), d.mul(exponent, _log2_wide(d, a)))
    t = d.clamp(t, -300.0, 300.0)
    rounded = d.add(t, d.number(ROUND64))
    fraction = d.sub(t, d.sub(rounded, d.number(ROUND64)))
    scale = d.from_bits(b.shl(b.add(d.to_bits(rounded), d.integer(1023)), d.integer(52)))
    size = b.fptrunc(d.mul(d.poly(fraction, EXP2), scale), F32)

    half = s.mul(y, s.number(0.5))
    whole = b.fcmp_ordered("==", s.call("trunc", y), y)
    odd = b.and_(whole, b.fcmp_unordered("!=", s.call("trunc", half), half))
    flip = b.and_(s.to_bits(x), s.integer(1 << 31))
    result = s.from_bits(b.or_(s.to_bits(size), b.select(odd, flip, s.integer(0))))
    finite = b.fcmp_ordered(">", x, s.number(-INFINITY))
    broken = b.and_(b.and_(b.fcmp_ordered("<", x, s.number(0.0)), finite), b.not_(whole))
    result = b.select(broken, s.number(NAN), result)
    result = b.select(b.fcmp_unordered("uno", y, y), y, result)
    one = b.or_(b.fcmp_ordered("==", y, s.number(0.0)), b.fcmp_ordered("==", x, s.number(1.0)))
    return b.select(one, s.number(1.0), result)
