"""Mathematics in generated kernels: `exp(x)`, `tanh(x)`, `maximum(a, b)`, `where(c, a, b)`, `philox(...)`.

float32 functions are branch-free code inline (`scalar.py`), so that loops over them become full-width vector code;
float64 functions call the C library. Which form a function has is said by its row in `loops/functions.py`. NaN in gives
NaN out. Mixed arguments become float64 if one of them is, else float32 if one of them is. Integers passed to a float
function become float64. Leans on Numba's extension API.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ....loops.functions import FUNCTIONS, Function, Inline, Instruction, LibraryCall, Own
from ....loops.philox import PHILOX_MULTIPLIERS, PHILOX_ROUNDS, PHILOX_WEYL
from ...shared import whole_numbers
from ...shared.saturate import BITS, PREFIX, emit_saturated
from . import scalar
from .bfloat16 import nearest_bfloat16
from .scalar import F32, F64, I32, I64, Scalar

UNIT_BITS = 24


def _common(typingctx: Any, *args: Any) -> Any:
    """The type that all arguments are cast to."""
    plain = [types.unliteral(each) for each in args]
    if not all(isinstance(each, types.Number | types.Boolean) for each in plain):
        return None
    if types.float64 in plain:
        return types.float64
    if types.float32 in plain:
        return types.float32
    return typingctx.unify_types(*plain)


def _scalar(builder: ir.IRBuilder, value: ir.Value) -> Scalar:
    """Exact arithmetic on the type of `value`."""
    return Scalar(builder, value.type)


def _library(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """A call of the C library's float64 function."""
    kind = ir.FunctionType(F64, [F64] * len(args))
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, args, attrs=("nounwind", "readnone"))


def _float_function(name: str, arity: int, emit: Callable[..., ir.Value]) -> Any:
    """An intrinsic of `arity` floats of one type; `emit(builder, *args)` gives the value."""

    def typed(typingctx: Any, *args: Any) -> Any:
        kind = _common(typingctx, *args)
        if kind is None:
            return None
        if kind != types.float32:
            kind = types.float64

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[Any, ...]) -> ir.Value:
            return emit(builder, *values)

        return kind(*[kind] * len(args)), generate

    return _named_intrinsic(name, arity, typed)


def _named_intrinsic(name: str, arity: int, typed: Callable[..., Any]) -> Any:
    """Numba wants parameters by name, one for each argument."""

    def one(typingctx: Any, a: Any) -> Any:
        return typed(typingctx, a)

    def two(typingctx: Any, a: Any, b: Any) -> Any:
        return typed(typingctx, a, b)

    def three(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
        return typed(typingctx, a, b, c)

    function = (one, two, three)[arity - 1]
    function.__name__ = function.__qualname__ = name
    return intrinsic(function)


def _polynomial(name: str, emit: Callable[..., ir.Value], arity: int = 1) -> Any:
    """Inline code for float32, the C library for float64."""

    def either(builder: ir.IRBuilder, *args: ir.Value) -> ir.Value:
        if args[0].type == F32:
            return emit(_scalar(builder, args[0]), *args)
        return _library(builder, name, *args)

    return _float_function(name, arity, either)


def _llvm(name: str, intrinsic_name: str) -> Any:
    """One LLVM intrinsic, which is one or two instructions."""

    def emit(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
        return _scalar(builder, x).call(intrinsic_name, x)

    return _float_function(name, 1, emit)


def _emit_sigmoid(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    s = _scalar(builder, x)
    if x.type == F32:
        return scalar.sigmoid(s, x)
    return scalar.logistic(s, x, _library(builder, "exp", builder.fneg(s.call("fabs", x))))


def _emit_rsqrt(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    s = _scalar(builder, x)
    return s.div(s.number(1.0), s.call("sqrt", x))


def _emit_fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    return _scalar(builder, a).fma(a, b, c)


def _is_float(value: ir.Value) -> bool:
    return value.type in (F32, F64)


def _numeric(name: str, arity: int, emit: Callable[..., ir.Value]) -> Any:
    """An intrinsic of numbers of one type, integers included; `emit(builder, signed, *args)` gives the value."""

    def typed(typingctx: Any, *args: Any) -> Any:
        kind = _common(typingctx, *args)
        if kind is None:
            return None

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[Any, ...]) -> ir.Value:
            return emit(builder, getattr(kind, "signed", False), *values)

        return kind(*[kind] * len(args)), generate

    return _named_intrinsic(name, arity, typed)


def _extreme(relation: str, name: str) -> Callable[..., ir.Value]:
    """The greater or the lesser of two; LLVM's `maximum` keeps NaN, and is one instruction beside a constant."""

    def emit(builder: ir.IRBuilder, signed: bool, a: ir.Value, b: ir.Value) -> ir.Value:
        if _is_float(a):
            return _scalar(builder, a).call(name, a, b, flags=("nsz",))
        compare = builder.icmp_signed if signed else builder.icmp_unsigned
        return builder.select(compare(relation, a, b), a, b)

    return emit


def _by_name(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """LLVM's intrinsic, or the C library's `fmod`, which float64 has without rounding for float32 as well."""
    if name != "fmod":
        return _scalar(builder, args[0]).call(name, *args)
    if args[0].type == F64:
        return _library(builder, name, *args)
    return builder.fptrunc(_library(builder, name, *(builder.fpext(x, F64) for x in args)), F32)


def _saturating(dtype: str) -> Any:
    """An intrinsic from a float to an integer."""

    def typed(typingctx: Any, x: Any) -> Any:
        kind = _common(typingctx, x)
        if kind not in (types.float32, types.float64):
            return None

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[Any, ...]) -> ir.Value:
            return emit_saturated(builder, values[0], dtype)

        return getattr(types, dtype)(kind), generate

    return _named_intrinsic(f"{PREFIX}{dtype}", 1, typed)


def _emit_abs(builder: ir.IRBuilder, signed: bool, x: ir.Value) -> ir.Value:
    if _is_float(x):
        return _scalar(builder, x).call("fabs", x)
    if not signed:
        return x
    return builder.select(builder.icmp_signed("<", x, ir.Constant(x.type, 0)), builder.neg(x), x)


def _emit_sign(builder: ir.IRBuilder, signed: bool, x: ir.Value) -> ir.Value:
    """-1, 0 or 1; NaN stays."""
    one = ir.Constant(x.type, 1)
    if _is_float(x):
        s = _scalar(builder, x)
        zero = s.number(0.0)
        return s.choose(">", x, zero, one, s.choose("<", x, zero, s.number(-1.0), x))
    zero = ir.Constant(x.type, 0)
    if not signed:
        return builder.select(builder.icmp_unsigned("!=", x, zero), one, zero)
    negative = builder.select(builder.icmp_signed("<", x, zero), ir.Constant(x.type, -1), zero)
    return builder.select(builder.icmp_signed(">", x, zero), one, negative)


@intrinsic
def where(typingctx: Any, condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition holds, else `no`; both are computed."""
    kind = _common(typingctx, yes, no)
    if kind is None:
        return None

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        return builder.select(*args)

    return kind(types.boolean, kind, kind), generate


@intrinsic
def philox(typingctx: Any, c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Four random uint32 for a counter of four and a key of two: Philox-4x32 of ten rounds."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        counter, key = list(args[:4]), list(args[4:])
        for _ in range(PHILOX_ROUNDS):
            high0, low0 = _wide_product(builder, counter[0], PHILOX_MULTIPLIERS[0])
            high1, low1 = _wide_product(builder, counter[2], PHILOX_MULTIPLIERS[1])
            first = builder.xor(builder.xor(high1, counter[1]), key[0])
            third = builder.xor(builder.xor(high0, counter[3]), key[1])
            counter = [first, low1, third, low0]
            key = [builder.add(each, ir.Constant(I32, weyl)) for each, weyl in zip(key, PHILOX_WEYL)]
        return context.make_tuple(builder, sig.return_type, counter)

    return types.UniTuple(types.uint32, 4)(*[types.uint32] * 6), generate


def _wide_product(builder: ir.IRBuilder, a: ir.Value, multiplier: int) -> tuple[ir.Value, ir.Value]:
    """The upper and the lower half of a 32-bit product."""
    product = builder.mul(builder.zext(a, I64), ir.Constant(I64, multiplier))
    return builder.trunc(builder.lshr(product, ir.Constant(I64, 32)), I32), builder.trunc(product, I32)


@intrinsic
def bits_to_uniform(typingctx: Any, bits: Any) -> Any:
    """A float32 in [0, 1) from the upper 24 of 32 random bits."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        upper = builder.lshr(args[0], ir.Constant(I32, 32 - UNIT_BITS))
        return builder.fmul(builder.sitofp(upper, F32), ir.Constant(F32, 2.0**-UNIT_BITS))

    return types.float32(types.uint32), generate


@intrinsic
def round_bfloat16(typingctx: Any, x: Any) -> Any:
    """The float32 nearest to x that bfloat16 holds."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        upper = builder.shl(nearest_bfloat16(builder, args[0]), ir.Constant(I32, 16))
        return builder.bitcast(upper, F32)

    return types.float32(types.float32), generate


def _library_function(name: str, symbol: str, arity: int) -> Any:
    """The C library's function, for float32 as well: one element at a time."""

    def emit(builder: ir.IRBuilder, *args: ir.Value) -> ir.Value:
        if args[0].type == F64:
            return _library(builder, symbol, *args)
        wide = _library(builder, symbol, *(builder.fpext(x, F64) for x in args))
        return builder.fptrunc(wide, F32)

    return _float_function(name, arity, emit)


OWN: dict[str, Any] = {
    "sigmoid": _float_function("sigmoid", 1, _emit_sigmoid),
    "rsqrt": _float_function("rsqrt", 1, _emit_rsqrt),
    "maximum": _numeric("maximum", 2, _extreme(">", "maximum")),
    "minimum": _numeric("minimum", 2, _extreme("<", "minimum")),
    "abs": _numeric("abs", 1, _emit_abs),
    "sign": _numeric("sign", 1, _emit_sign),
    **{f"{PREFIX}{dtype}": _saturating(dtype) for dtype in BITS},
    **{name: _numeric(name, 2, partial(emit, _by_name)) for name, emit in whole_numbers.EMITTED.items()},
    "where": where,
    "round_bfloat16": round_bfloat16,
    "bits_to_uniform": bits_to_uniform,
}
"""The functions whose row says that they are written out here."""


def _made(name: str, function: Function) -> Any:
    """A function of the table as an intrinsic; None for what stands in the text of kernels. Raises KeyError where this
    file lacks what the row promises."""
    form = function.cpu
    if isinstance(form, Inline):
        return _polynomial(name, getattr(scalar, form.name), function.arity)
    if isinstance(form, Instruction):
        return _llvm(name, form.name)
    if isinstance(form, LibraryCall):
        return _library_function(name, form.name, function.arity)
    return OWN[name] if isinstance(form, Own) else None


NAMES: dict[str, Any] = {
    **{name: made for name, function in FUNCTIONS.items() if (made := _made(name, function)) is not None},
    "fma": _float_function("fma", 3, _emit_fma),
    "philox": philox,
}
"""All that the source of kernels may call: the table's functions, and those that the printers call by themselves."""
