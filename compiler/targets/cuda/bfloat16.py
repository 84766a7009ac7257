"""bfloat16 as CUDA kernels load and store it: 16-bit words to float32 and back, in PTX beside its meaning in NumPy.

A word is the upper half of a float32, so widening is a shift. Rounding is to nearest even, by one instruction of sm_80
and later (PTX ISA, "cvt": `cvt.rn.bf16.f32`), which makes the word 0x7FFF of every NaN. Leans on llvmlite, and on
`mma` for the meaning of rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from .mma import round_bfloat16

F32, I16, I32 = ir.FloatType(), ir.IntType(16), ir.IntType(32)
WIDENED, NARROWED = "widened", "narrowed"
"""What kernel source calls them."""


def widened(words: Any) -> Any:
    """The float32 values of uint16 words."""
    return (np.asarray(words).astype(np.uint32) << np.uint32(16)).view(np.float32)[()]


def narrowed(x: Any) -> Any:
    """The uint16 words nearest to float32 values, ties to even."""
    return round_bfloat16(x).astype(np.uint16)[()]


TWINS = {WIDENED: widened, NARROWED: narrowed}


def emit_widened(builder: ir.IRBuilder, signed: bool, word: ir.Value) -> ir.Value:
    return builder.bitcast(builder.shl(builder.zext(word, I32), ir.Constant(I32, 16)), F32)


def emit_narrowed(builder: ir.IRBuilder, signed: bool, x: ir.Value) -> ir.Value:
    """Said to touch no memory: NVVM would else not join the accesses before and after it."""
    code = ir.InlineAsm(ir.FunctionType(I16, [F32]), "cvt.rn.bf16.f32 $0, $1;", "=h,f")
    return builder.call(code, [x], attrs=("nounwind", "readnone"))


def emit_round(builder: ir.IRBuilder, signed: bool, x: ir.Value) -> ir.Value:
    """A float32 as the nearest that bfloat16 holds."""
    return emit_widened(builder, signed, emit_narrowed(builder, signed, x))
