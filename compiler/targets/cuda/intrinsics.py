"""The functions that CUDA kernels call: each as LLVM IR for numba-cuda, beside its meaning in NumPy.

`namespace()` is for numba-cuda; `TWINS` has the same names for the lockstep executor. Both have the functions of
`loops/functions.py`, whose rows say which go to NVIDIA's libdevice and which are written out here. There are no calls
between jitted functions, which numba-cuda cannot compile without a driver: every body is emitted where it is called.
Leans on llvmlite; on numba-cuda inside `namespace` only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np
from llvmlite import ir

from ... import dtypes
from ...loops.definition import LIKE
from ...loops.functions import FUNCTIONS, Function, LibraryCall, Own
from ...loops.philox import PHILOX_MULTIPLIERS, PHILOX_ROUNDS, PHILOX_WEYL
from ..shared import whole_numbers
from ..shared.saturate import BITS, PREFIX, emit_saturated
from . import bfloat16, mma, shared_memory, wgmma

F32, F64 = ir.FloatType(), ir.DoubleType()
I32, I64 = ir.IntType(32), ir.IntType(64)
GLOBAL = 1  # NVPTX's number of the address space

CASTS = (dtypes.FLOAT32, dtypes.FLOAT64, *dtypes.INTEGERS)


# ---------------------------------------------------------------- what they mean, in NumPy


def _within(index: Any, size: Any) -> Any:
    """0 <= index < size; as on the GPU, which compares once, without signs: what is not negative is below a negative
    size."""
    index, size = np.asarray(index, np.int64), np.asarray(size, np.int64)
    return index.view(np.uint64) < size.view(np.uint64)


TWINS: dict[str, Callable[..., Any]] = {
    **{name: f.numpy for name, f in FUNCTIONS.items() if isinstance(f.cuda, LibraryCall | Own)},
    "quotient": np.floor_divide,
    "rest": np.remainder,
    **bfloat16.TWINS,
    "within": _within,
    "placed": lambda index: index,
    **mma.TWINS,
}


# ---------------------------------------------------------------- as LLVM IR


def _emit_libdevice(stem: str) -> Callable[..., Any]:
    def emit(builder: ir.IRBuilder, signed: bool, *args: ir.Value) -> ir.Value:
        kind = args[0].type
        name = f"__nv_{stem}f" if kind == F32 else f"__nv_{stem}"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(kind, [kind] * len(args)), name)
        return builder.call(function, args)

    return emit


def _extreme(relation: str) -> Callable[..., Any]:
    """The first where it is beyond the second or NaN, else the second (which may be NaN)."""

    def emit(builder: ir.IRBuilder, signed: bool, a: ir.Value, b: ir.Value) -> ir.Value:
        if a.type in (F32, F64):
            first = builder.or_(builder.fcmp_ordered(relation, a, b), builder.fcmp_unordered("uno", a, a))
        else:
            first = (builder.icmp_signed if signed else builder.icmp_unsigned)(relation, a, b)
        return builder.select(first, a, b)

    return emit


def _emit_abs(builder: ir.IRBuilder, signed: bool, x: ir.Value) -> ir.Value:
    if x.type in (F32, F64):
        bits = I32 if x.type == F32 else I64
        mask = ir.Constant(bits, 0x7FFFFFFF if x.type == F32 else 0x7FFFFFFFFFFFFFFF)
        return builder.bitcast(builder.and_(builder.bitcast(x, bits), mask), x.type)
    if not signed:
        return x
    return builder.select(builder.icmp_signed("<", x, ir.Constant(x.type, 0)), builder.neg(x), x)


def _emit_sign(builder: ir.IRBuilder, signed: bool, x: ir.Value) -> ir.Value:
    """-1, 0 or 1; NaN and the sign of zero stay."""
    zero, one = ir.Constant(x.type, 0), ir.Constant(x.type, 1)
    if x.type in (F32, F64):
        below, above = builder.fcmp_ordered("<", x, zero), builder.fcmp_ordered(">", x, zero)
    else:
        below = builder.icmp_signed("<", x, zero) if signed else ir.Constant(ir.IntType(1), 0)
        above = (builder.icmp_signed if signed else builder.icmp_unsigned)(">", x, zero)
    return builder.select(above, one, builder.select(below, ir.Constant(x.type, -1), x))


def _divide(operation: str) -> Callable[..., Any]:
    """Of non-negative numbers below 2^31: one 32-bit operation, where Python's // and % are 64-bit and rounded down."""

    def emit(builder: ir.IRBuilder, signed: bool, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.zext(getattr(builder, operation)(builder.trunc(a, I32), builder.trunc(b, I32)), I64)

    return emit


def _emit_within(builder: ir.IRBuilder, signed: bool, index: ir.Value, size: ir.Value) -> ir.Value:
    """0 <= index < size, of numbers between -2^31 and 2^31: one 32-bit comparison."""
    return builder.icmp_unsigned("<", builder.trunc(index, I32), builder.trunc(size, I32))


def _emit_placed(builder: ir.IRBuilder, signed: bool, index: ir.Value) -> ir.Value:
    """A number between -2^31 and 2^31 as it is, but apart from the arithmetic that made it: NVVM, which knows of
    alignment what few steps tell, would else take `placed(i) * 4` apart, and not see that it is a multiple of 4."""
    code = ir.InlineAsm(ir.FunctionType(I32, [I32]), "mov.b32 $0, $1;", "=r,r")
    return builder.sext(builder.call(code, [builder.trunc(index, I32)], attrs=("nounwind", "readnone")), I64)


def _emit_random_bits(
    builder: ir.IRBuilder, signed: bool, place: ir.Value, stream: ir.Value, step: ir.Value, seed: ir.Value
) -> ir.Value:
    """The first word of Philox-4x32 for the counter (place, stream, step) and the key seed."""

    def halves(x: ir.Value) -> list[ir.Value]:
        return [builder.trunc(x, I32), builder.trunc(builder.lshr(x, ir.Constant(I64, 32)), I32)]

    def product(a: ir.Value, multiplier: int) -> list[ir.Value]:
        return halves(builder.mul(builder.zext(a, I64), ir.Constant(I64, multiplier)))

    c = [builder.trunc(place, I32), builder.trunc(stream, I32), *halves(step)]
    k = halves(seed)
    for _ in range(PHILOX_ROUNDS):
        (low0, high0), (low1, high1) = product(c[0], PHILOX_MULTIPLIERS[0]), product(c[2], PHILOX_MULTIPLIERS[1])
        first = builder.xor(builder.xor(high1, c[1]), k[0])
        third = builder.xor(builder.xor(high0, c[3]), k[1])
        c = [first, low1, third, low0]
        k = [builder.add(each, ir.Constant(I32, weyl)) for each, weyl in zip(k, PHILOX_WEYL)]
    return c[0]


def _emit_uniform(builder: ir.IRBuilder, signed: bool, bits: ir.Value) -> ir.Value:
    upper = builder.lshr(bits, ir.Constant(I32, 8))
    return builder.fmul(builder.sitofp(upper, F32), ir.Constant(F32, 2.0**-24))


def _emit_weak(builder: ir.IRBuilder, signed: bool, number: ir.Value, like: ir.Value) -> ir.Value:
    """A number of a user's function as a float32 that it meets absorbs it."""
    if like.type != F32:
        return number
    return builder.fptrunc(number, F32) if number.type == F64 else builder.trunc(number, ir.IntType(16))


def _emit_at(kind: ir.Type, builder: ir.IRBuilder, signed: bool, table: ir.Value, place: ir.Value) -> ir.Value:
    """The pointer to global memory whose address stands at `place` of a table."""
    address = builder.load(builder.gep(table, [place]))
    return builder.addrspacecast(builder.inttoptr(address, ir.PointerType(kind, GLOBAL)), ir.PointerType(kind))


def _emit_where(builder: ir.IRBuilder, signed: bool, chosen: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(chosen, a, b)


@cache
def namespace(panels: bool = True) -> dict[str, Any]:
    """All that kernel source may name besides `cuda`, as numba-cuda understands it; `panels`: also what is for panels
    in shared memory and tensor cores."""
    types: Any = import_module("numba.cuda.types")  # mypy sees the numba.cuda of numba, which numba-cuda replaces
    intrinsic = import_module("numba.cuda.extending").intrinsic

    def numeric(name: str, emit: Callable[..., Any], arity: int, floating: bool = False) -> Any:
        """Arguments of one type, which is the result's; `floating`: of integers it is float64."""

        def typed(typingctx: Any, *args: Any) -> Any:
            plain = [types.unliteral(a) for a in args]
            common = plain[0] if len(set(plain)) == 1 else typingctx.unify_types(*plain)
            if floating and isinstance(common, types.Integer | types.Boolean):
                common = types.float64
            fits = isinstance(common, types.Float if floating else (types.Float, types.Integer))
            return _implement(common(*[common] * arity), emit, getattr(common, "signed", True)) if fits else None

        return _named(intrinsic, name, typed, arity)

    def fixed(name: str, result: str, arguments: tuple[str, ...], emit: Callable[..., Any]) -> Any:
        signature = getattr(types, result)(*(getattr(types, a) for a in arguments))
        return _named(intrinsic, name, lambda typingctx, *args: _implement(signature, emit, True), len(arguments))

    def where(typingctx: Any, chosen: Any, a: Any, b: Any) -> Any:
        common = typingctx.unify_types(types.unliteral(a), types.unliteral(b))
        return _implement(common(types.boolean, common, common), _emit_where, True)

    def weak(typingctx: Any, number: Any, like: Any) -> Any:
        kind = types.unliteral(number)
        narrow = types.float32 if isinstance(kind, types.Float) else types.int16
        return _implement((narrow if like == types.float32 else kind)(kind, like), _emit_weak, True)

    def saturating(dtype: str) -> Any:
        def typed(typingctx: Any, x: Any) -> Any:
            def emit(builder: ir.IRBuilder, signed: bool, value: ir.Value) -> ir.Value:
                return emit_saturated(builder, value, dtype)

            return _implement(getattr(types, dtype)(x), emit, True) if isinstance(x, types.Float) else None

        return _named(intrinsic, f"{PREFIX}{dtype}", typed, 1)

    def pointer(dtype: str) -> Any:
        """A function of a table and a place in it."""
        kind = getattr(types, dtype)
        bits = {types.float32: F32, types.float64: F64}.get(kind) or ir.IntType(kind.bitwidth)
        signature = types.CPointer(kind)(types.CPointer(types.int64), types.int64)

        def typed(typingctx: Any, table: Any, place: Any) -> Any:
            return _implement(signature, partial(_emit_at, bits), True)

        return _named(intrinsic, f"{dtype}_at", typed, 2)

    def by_name(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
        return _emit_libdevice(name)(builder, True, *args)

    own = {
        "maximum": numeric("maximum", _extreme(">"), 2),
        "minimum": numeric("minimum", _extreme("<"), 2),
        "abs": numeric("abs", _emit_abs, 1),
        "sign": numeric("sign", _emit_sign, 1),
        "random_bits": fixed("random_bits", "uint32", ("int64",) * 4, _emit_random_bits),
        "bits_to_uniform": fixed("bits_to_uniform", "float32", ("uint32",), _emit_uniform),
        **{f"{PREFIX}{dtype}": saturating(dtype) for dtype in BITS},
        **{name: numeric(name, partial(emit, by_name), 2) for name, emit in whole_numbers.EMITTED.items()},
        "where": _named(intrinsic, "where", where, 3),
        "round_bfloat16": fixed("round_bfloat16", "float32", ("float32",), bfloat16.emit_round),
    }

    def made(name: str, f: Function) -> Any:
        """A function of the table; raises KeyError where this file lacks what the row promises."""
        if isinstance(f.cuda, LibraryCall):
            return numeric(name, _emit_libdevice(f.cuda.name), f.arity, True)
        return own[name] if isinstance(f.cuda, Own) else None

    return {
        **{name: getattr(types, name) for name in CASTS},
        "INFINITY": math.inf,
        "NAN": math.nan,
        **{name: found for name, f in FUNCTIONS.items() if (found := made(name, f)) is not None},
        "quotient": fixed("quotient", "int64", ("int64", "int64"), _divide("udiv")),
        LIKE: _named(intrinsic, LIKE, weak, 2),
        "rest": fixed("rest", "int64", ("int64", "int64"), _divide("urem")),
        bfloat16.WIDENED: fixed(bfloat16.WIDENED, "float32", ("uint16",), bfloat16.emit_widened),
        bfloat16.NARROWED: fixed(bfloat16.NARROWED, "uint16", ("float32",), bfloat16.emit_narrowed),
        **{f"{dtype}_at": pointer(dtype) for dtype in CASTS},
        "within": fixed("within", "boolean", ("int64", "int64"), _emit_within),
        "placed": fixed("placed", "int64", ("int64",), _emit_placed),
        **(mma.namespace(partial(_named, intrinsic)) if panels else {}),
        **(shared_memory.namespace(partial(_named, intrinsic)) if panels else {}),
        **(wgmma.namespace(partial(_named, intrinsic)) if panels else {}),
    }


def _implement(signature: Any, emit: Callable[..., Any], signed: bool) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return emit(builder, signed, *args)

    return signature, generate


BY_ARITY: dict[int, Callable[..., Any]] = {
    0: lambda typed: lambda typingctx: typed(typingctx),
    1: lambda typed: lambda typingctx, a: typed(typingctx, a),
    2: lambda typed: lambda typingctx, a, b: typed(typingctx, a, b),
    3: lambda typed: lambda typingctx, a, b, c: typed(typingctx, a, b, c),
    4: lambda typed: lambda typingctx, a, b, c, d: typed(typingctx, a, b, c, d),
    5: lambda typed: lambda typingctx, a, b, c, d, e: typed(typingctx, a, b, c, d, e),
    6: lambda typed: lambda typingctx, a, b, c, d, e, f: typed(typingctx, a, b, c, d, e, f),
}
"""A typing function by its number of arguments, which numba-cuda reads from the function's own signature."""


def _named(intrinsic: Any, name: str, typed: Callable[..., Any], arity: int) -> Any:
    """An intrinsic of `arity` arguments."""
    definition = BY_ARITY[arity](typed)
    definition.__name__ = definition.__qualname__ = name
    return intrinsic(definition)
