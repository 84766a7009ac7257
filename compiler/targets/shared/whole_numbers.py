"""`//`, `%`, `<<` and `>>` in generated kernels, as LLVM IR without a branch, with NumPy's results for all operands.

LLVM leaves integers divided by 0, the least number divided by -1 and shifts by all bits or more undefined, so each is
computed of an operand that is none of these, and a selection puts NumPy's number there. Of floats, `//` and `%` are
made of the exact remainder towards zero (`fmod`), as in NumPy and Python. Leans on llvmlite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

FLOATS = (ir.FloatType(), ir.DoubleType())
EXACT = ("nsz",)
"""Flags of their own keep additions from being contracted; where the sign of a zero counts, it is put there."""
Call = Callable[..., ir.Value]
"""`call(builder, name, *args)`: the target's fmod, floor and copysign of floats."""


def floor_divide(call: Call, builder: ir.IRBuilder, signed: bool, a: ir.Value, b: ir.Value) -> ir.Value:
    """The quotient rounded down; 0 for integers divided by 0, their least divided by -1 wraps around."""
    if a.type in FLOATS:
        return _float_quotient(call, builder, a, b)
    zero = ir.Constant(a.type, 0)
    nothing, negated, divisor = _divisor(builder, signed, b)
    if not signed:
        return builder.select(nothing, zero, builder.udiv(a, divisor))
    rest = builder.srem(a, divisor)
    down = builder.zext(_other_sign(builder, rest, divisor), a.type)
    quotient = builder.sub(builder.sdiv(a, divisor), down)
    return builder.select(nothing, zero, builder.select(negated, builder.neg(a), quotient))


def remainder(call: Call, builder: ir.IRBuilder, signed: bool, a: ir.Value, b: ir.Value) -> ir.Value:
    """What the quotient rounded down leaves, of the divisor's sign; 0 for integers divided by 0."""
    if a.type in FLOATS:
        return _float_rest(call, builder, a, b)[0]
    _, _, divisor = _divisor(builder, signed, b)  # 1 in place of 0 and of -1, which leave 0 as well
    if not signed:
        return builder.urem(a, divisor)
    rest = builder.srem(a, divisor)
    return builder.add(rest, builder.select(_other_sign(builder, rest, divisor), divisor, ir.Constant(a.type, 0)))


def left_shift(call: Call, builder: ir.IRBuilder, signed: bool, a: ir.Value, by: ir.Value) -> ir.Value:
    """0 where no bit is left; a negative number of bits counts as a great one."""
    zero = ir.Constant(a.type, 0)
    inside = builder.icmp_unsigned("<", by, ir.Constant(by.type, by.type.width))
    return builder.select(inside, builder.shl(a, builder.select(inside, by, zero)), zero)


def right_shift(call: Call, builder: ir.IRBuilder, signed: bool, a: ir.Value, by: ir.Value) -> ir.Value:
    """The sign where no bit is left; a negative number of bits counts as a great one."""
    zero, most = ir.Constant(a.type, 0), ir.Constant(by.type, by.type.width - 1)
    inside = builder.icmp_unsigned("<=", by, most)
    if signed:
        return builder.ashr(a, builder.select(inside, by, most))
    return builder.select(inside, builder.lshr(a, builder.select(inside, by, zero)), zero)


EMITTED: dict[str, Callable[..., Any]] = {
    "floor_divide": floor_divide,
    "remainder": remainder,
    "left_shift": left_shift,
    "right_shift": right_shift,
}
"""By the names of their rows in `loops/functions.py`."""


def _divisor(builder: ir.IRBuilder, signed: bool, b: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """(is it 0, is it -1, a divisor that LLVM can divide by: 1 in place of either)."""
    one = ir.Constant(b.type, 1)
    nothing = builder.icmp_unsigned("==", b, ir.Constant(b.type, 0))
    if not signed:
        return nothing, nothing, builder.select(nothing, one, b)
    negated = builder.icmp_unsigned("==", b, ir.Constant(b.type, -1))
    return nothing, negated, builder.select(builder.or_(nothing, negated), one, b)


def _other_sign(builder: ir.IRBuilder, rest: ir.Value, divisor: ir.Value) -> ir.Value:
    """Is there a rest, of the other sign than the divisor's?"""
    zero = ir.Constant(rest.type, 0)
    differ = builder.icmp_signed("<", builder.xor(rest, divisor), zero)
    return builder.and_(builder.icmp_unsigned("!=", rest, zero), differ)


def _float_rest(call: Call, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ...]:
    """(the remainder with the divisor's sign, that towards zero, whether they differ by the divisor)."""
    zero = ir.Constant(a.type, 0.0)
    towards = call(builder, "fmod", a, b)
    some = builder.fcmp_unordered("!=", towards, zero)
    differ = builder.xor(builder.fcmp_ordered("<", towards, zero), builder.fcmp_ordered("<", b, zero))
    down = builder.and_(some, differ)
    rest = builder.select(down, builder.fadd(towards, b, flags=EXACT), towards)
    signed_zero = call(builder, "copysign", zero, b)
    nothing = builder.fcmp_ordered("==", b, zero)  # the remainder is then fmod's NaN
    return builder.select(builder.or_(some, nothing), rest, signed_zero), towards, down


def _float_quotient(call: Call, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """(a - fmod(a, b)) / b, which is a whole number up to rounding, and one less where the remainder changes sign."""
    zero, one, half = (ir.Constant(a.type, number) for number in (0.0, 1.0, 0.5))
    _, towards, down = _float_rest(call, builder, a, b)
    plain = builder.fdiv(a, b)
    quotient = builder.fdiv(builder.fsub(a, towards, flags=EXACT), b)
    quotient = builder.select(down, builder.fsub(quotient, one, flags=EXACT), quotient)
    whole = call(builder, "floor", quotient)
    more = builder.fcmp_ordered(">", builder.fsub(quotient, whole, flags=EXACT), half)
    whole = builder.select(more, builder.fadd(whole, one, flags=EXACT), whole)
    some = builder.fcmp_unordered("!=", quotient, zero)
    whole = builder.select(some, whole, call(builder, "copysign", zero, plain))
    return builder.select(builder.fcmp_ordered("==", b, zero), plain, whole)
