"""Tensor cores as kernel source calls them: PTX for numba-cuda, beside their meaning in NumPy.

`mma_tf32(sums, i, a, j, b, k)` adds to sums[i:i+4] the product of the fragments a[j:j+4] and b[k:k+2] of a whole warp.
Which lane holds which element is that of the PTX ISA, sections "Matrix Fragments for mma.m16n8k8" and "...
mma.m16n8k16" (sm_80 and later). Leans on llvmlite; on numba-cuda inside `namespace` only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from llvmlite import ir

F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
SHARED, GLOBAL = 3, 1  # address spaces of NVVM
MEMORY = "~{memory}"
TO_NEAREST = 1.00034
"""tf32 is what is left of a float32 without its last 13 bits. This factor adds between 0.35 and 0.7 of the last place
that stays, by half a place on average over the mantissas, so that cutting off what follows is without a bias and off by
0.7 places at most. What tf32 holds stays as it is, and so do infinities and NaN. A rounding to nearest would take two
instructions for each element of a fragment."""

LANES = np.arange(32)
GROUP, QUAD = LANES // 4, LANES % 4


# ---------------------------------------------------------------- what they mean, in NumPy


def round_tf32(bits: Any) -> Any:
    """The bits of float32 values, changed so that their upper 19 are near them (`TO_NEAREST`)."""
    with np.errstate(all="ignore"):
        return (np.asarray(bits, np.uint32).view(np.float32) * np.float32(TO_NEAREST)).view(np.uint32)


def near_tf32(x: Any) -> Any:
    """Values changed like that."""
    return round_tf32(np.asarray(x, np.float32).view(np.uint32)).view(np.float32)


def cut_tf32(bits: Any) -> Any:
    """float64 values of the upper 19 bits, all that a tensor core takes."""
    return _float(np.asarray(bits, np.uint32) & np.uint32(0xFFFFE000))


def round_bfloat16(x: Any) -> Any:
    """The 16 bits of float32 values rounded to bfloat16, ties to even (cvt.rn.bf16x2.f32)."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(x), np.uint32(0x7FFF), rounded)


def pack_bfloat16(low: Any, high: Any) -> Any:
    return round_bfloat16(low) | (round_bfloat16(high) << np.uint32(16))


def _float(bits: np.ndarray) -> np.ndarray:
    return bits.view(np.float32).astype(np.float64)


def _halves(words: np.ndarray) -> list[np.ndarray]:
    """The two bfloat16 of each word, the low one first."""
    return [_float(words << np.uint32(16)), _float(words & np.uint32(0xFFFF0000))]


def _multiply(sums: Any, place: int, a: np.ndarray, b: np.ndarray) -> None:
    """Add a (warp, 16, k) @ b (warp, k, 8) to the accumulators: c0, c1 in row `group`, c2, c3 in `group` + 8."""
    whole = a @ b
    for i in range(4):
        held = whole[:, GROUP + 8 * (i // 2), 2 * QUAD + i % 2].reshape(-1)
        sums[place + i] = (sums[place + i].astype(np.float64) + held).astype(np.float32)


def _words(array: Any, place: int, count: int) -> list[np.ndarray]:
    return [array[place + i].reshape(-1, 32) for i in range(count)]


def mma_tf32(sums: Any, place: int, a: Any, a_place: int, b: Any, b_place: int) -> None:
    """m16n8k8: a[h * 2 + r] is row group + 8 r, term quad + 4 h; b[h] is term quad + 4 h, column group."""
    sums.threads.converged("an mma")
    a_words, b_words = _words(a, a_place, 4), _words(b, b_place, 2)
    left, right = np.zeros((len(a_words[0]), 16, 8)), np.zeros((len(a_words[0]), 8, 8))
    for h in range(2):
        right[:, QUAD + 4 * h, GROUP] = cut_tf32(b_words[h])
        for r in range(2):
            left[:, GROUP + 8 * r, QUAD + 4 * h] = cut_tf32(a_words[2 * h + r])
    _multiply(sums, place, left, right)


def mma_bfloat16(sums: Any, place: int, a: Any, a_place: int, b: Any, b_place: int) -> None:
    """m16n8k16: as for tf32, with terms 2 quad + 8 h and the one after it in the halves of a word."""
    sums.threads.converged("an mma")
    a_words, b_words = _words(a, a_place, 4), _words(b, b_place, 2)
    left, right = np.zeros((len(a_words[0]), 16, 16)), np.zeros((len(a_words[0]), 16, 8))
    for h in range(2):
        for e, half in enumerate(_halves(b_words[h])):
            right[:, 2 * QUAD + e + 8 * h, GROUP] = half
        for r in range(2):
            for e, half in enumerate(_halves(a_words[2 * h + r])):
                left[:, GROUP + 8 * r, 2 * QUAD + e + 8 * h] = half
    _multiply(sums, place, left, right)


TWINS: dict[str, Callable[..., Any]] = {
    "round_tf32": round_tf32,
    "near_tf32": near_tf32,
    "bits": lambda x: np.asarray(x, np.float32).view(np.uint32),
    "pack_bfloat16": pack_bfloat16,
    "mma_tf32": mma_tf32,
    "mma_bfloat16": mma_bfloat16,
}


# ---------------------------------------------------------------- as PTX


def asm(
    builder: ir.IRBuilder, text: str, result: Any, constraints: str, args: Sequence[ir.Value], effect: bool
) -> ir.Value:
    code = ir.InlineAsm(ir.FunctionType(result, [a.type for a in args]), text, constraints, side_effect=effect)
    return builder.call(code, args)


def elements(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value) -> ir.Value:
    """The pointer to a Numba array's first element."""
    return context.make_array(kind)(context, builder, value=array).data


def _emit_mma(instruction: str) -> Callable[..., Any]:
    d, a, b, c = (
        "{" + ",".join(f"${i}" for i in range(first, last)) + "}" for first, last in ((0, 4), (4, 8), (8, 10), (10, 14))
    )
    text = f"{instruction} {d}, {a}, {b}, {c};"
    constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        def places(which: int, count: int) -> list[ir.Value]:
            first = elements(context, builder, sig.args[which], args[which])
            return [
                builder.gep(first, [builder.add(args[which + 1], ir.Constant(I64, i))], inbounds=True)
                for i in range(count)
            ]

        sums = places(0, 4)
        given = [builder.load(p) for p in (*places(2, 4), *places(4, 2), *sums)]
        result = asm(builder, text, ir.LiteralStructType([F32] * 4), constraints, given, False)
        for i, p in enumerate(sums):
            builder.store(builder.extract_value(result, i), p)
        return context.get_dummy_value()

    return emit


def plain_asm(text: str, result: Any, constraints: str, effect: bool) -> Callable[..., Any]:
    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        out = asm(builder, text, result, constraints, list(args), effect)
        return context.get_dummy_value() if effect else out

    return emit


def _emit_round(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    return builder.bitcast(_emit_near(context, builder, sig, [builder.bitcast(args[0], F32)]), I32)


def _emit_near(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    return builder.fmul(args[0], ir.Constant(F32, _single(TO_NEAREST)))


def _emit_bits(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    return builder.bitcast(args[0], I32)


def _single(value: float) -> float:
    return float(np.float32(value))


def namespace(named: Callable[..., Any]) -> dict[str, Any]:
    """The functions as numba-cuda understands them; `named(name, typed, arity)` makes an intrinsic."""
    types: Any = import_module("numba.cuda.types")

    def mma(name: str, instruction: str) -> Any:
        emit = _emit_mma(instruction)

        def typed(typingctx: Any, sums: Any, i: Any, a: Any, j: Any, b: Any, k: Any) -> Any:
            return types.void(sums, types.int64, a, types.int64, b, types.int64), emit

        return named(name, typed, 6)

    def plain(name: str, signature: Any, emit: Callable[..., Any]) -> Any:
        return named(name, lambda typingctx, *args: (signature, emit), len(signature.args))

    tf32, bfloat16 = (
        f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32"
        for shape, kind in (("m16n8k8", "tf32"), ("m16n8k16", "bf16"))
    )
    packed = types.uint32(types.float32, types.float32)
    return {
        "mma_tf32": mma("mma_tf32", tf32),
        "mma_bfloat16": mma("mma_bfloat16", bfloat16),
        "round_tf32": plain("round_tf32", types.uint32(types.uint32), _emit_round),
        "near_tf32": plain("near_tf32", types.float32(types.float32), _emit_near),
        "bits": plain("bits", types.uint32(types.float32), _emit_bits),
        "pack_bfloat16": plain(
            "pack_bfloat16", packed, plain_asm("cvt.rn.bf16x2.f32 $0, $2, $1;", I32, "=r,f,f", False)
        ),
    }
