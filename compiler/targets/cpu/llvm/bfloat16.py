"""bfloat16 in LLVM IR: 16-bit words to float32, and back with rounding to nearest even.

A word is the upper half of a float32. All of it is integer arithmetic on values or vectors, so it runs on every CPU,
keeps denormal numbers, and is vectorised with the loop around it. Leans on llvmlite.
"""

from __future__ import annotations

from llvmlite import ir

I16, I32, F32 = ir.IntType(16), ir.IntType(32), ir.FloatType()
HALF, QUIET = 0x7FFF, 0x40


def _like(value: ir.Value, scalar: ir.Type) -> ir.Type:
    """`scalar`, or as long a vector of it as `value` is."""
    kind = value.type
    return ir.VectorType(scalar, kind.count) if isinstance(kind, ir.VectorType) else scalar


def _number(kind: ir.Type, number: int) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


def widened(builder: ir.IRBuilder, words: ir.Value) -> ir.Value:
    """The float32 values of words."""
    bits = _like(words, I32)
    return builder.bitcast(builder.shl(builder.zext(words, bits), _number(bits, 16)), _like(words, F32))


def narrowed(x: ir.Value) -> ir.Value | None:
    """The words that x was widened from, so that copies move words; None for what was computed."""
    for opname in ("bitcast", "shl", "zext"):  # what `widened` makes, backwards
        if getattr(x, "opname", None) != opname:
            return None
        x = x.operands[0]
    return x if x.type == I16 else None


def nearest_bfloat16(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """The word nearest to each float32, in 32 bits; a NaN stays one."""
    kind = _like(x, I32)
    bits = builder.bitcast(x, kind)
    upper = builder.lshr(bits, _number(kind, 16))
    odd = builder.and_(upper, _number(kind, 1))
    rounded = builder.lshr(builder.add(builder.add(bits, _number(kind, HALF)), odd), _number(kind, 16))
    return builder.select(builder.fcmp_unordered("uno", x, x), builder.or_(upper, _number(kind, QUIET)), rounded)
