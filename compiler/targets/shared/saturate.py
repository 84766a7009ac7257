"""Floats to integers in generated kernels: what lies outside becomes the nearest end of the dtype, NaN becomes 0.

LLVM's own conversion leaves those results open, and gives other ones in vectors than one by one. Selections around it
say them, without a branch; LLVM's `fptosi.sat` is the same, but the LLVM inside CUDA's compiler does not know it.
`dtypes.converted` says it in NumPy. Leans on llvmlite and `dtypes`.
"""

from __future__ import annotations

from llvmlite import ir

from ... import dtypes

PREFIX = "saturate_"
"""`saturate_uint8(x)` is how printed kernels write the conversion."""
BITS = {dtype: 8 * dtypes.ITEMSIZE[dtype] for dtype in dtypes.INTEGERS}


def emit_saturated(builder: ir.IRBuilder, x: ir.Value, dtype: str) -> ir.Value:
    """The float `x` as `dtype`, towards zero."""
    signed, kind = not dtype.startswith("u"), ir.IntType(BITS[dtype])
    low = -(2 ** (kind.width - 1)) if signed else 0
    high = 2 ** (kind.width - 1 if signed else kind.width)  # both are powers of two, which floats hold

    def number(value: float) -> ir.Constant:
        return ir.Constant(x.type, float(value))

    above = builder.fcmp_ordered(">=", x, number(high))
    below = builder.fcmp_ordered("<", x, number(low))
    inside = builder.and_(builder.fcmp_ordered(">=", x, number(low)), builder.fcmp_ordered("<", x, number(high)))
    safe = builder.select(inside, x, number(0))
    wide = ir.IntType(max(kind.width, 32))
    result = builder.fptosi(safe, wide) if signed or kind.width < wide.width else builder.fptoui(safe, wide)
    if kind.width < wide.width:
        result = builder.trunc(result, kind)
    result = builder.select(below, ir.Constant(kind, low), result)
    return builder.select(above, ir.Constant(kind, high - 1), result)
