"""Raw memory in generated kernels: typed pointers without bounds, wrap-around or reference counts.

A kernel receives the address of a table of addresses and sizes. `size_at(table, 0)` reads a size,
`float32_at(table, 1)` an address, `float32_scratch(64)` reserves stack. The pointers they give are indexed as
`x[i]` and `x[i] = v`, which become one load or store each.

Each slot of the table is an alias scope of its own, so that LLVM vectorises loops over many buffers without
run-time checks. `float32_overlapping(table, 3, 1)` says that slot 3 may overlap slot 1. Leans on Numba's extension API;
`build.py` calls `attach_scopes` once a kernel's module is complete.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from .... import dtypes
from .bfloat16 import narrowed, nearest_bfloat16, widened

I1, I8, I16, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
TABLE_SCOPE, SCRATCH_SCOPE = -1, -2
CACHE_LINE = 64

ELEMENTS = {
    "float32": (types.float32, ir.FloatType(), 4),
    "float64": (types.float64, ir.DoubleType(), 8),
    **{d: (getattr(types, d), ir.IntType(8 * dtypes.ITEMSIZE[d]), dtypes.ITEMSIZE[d]) for d in dtypes.INTEGERS},
    "bfloat16": (types.float32, I16, 2),
    "bool": (types.boolean, I8, 1),
}

_accesses: WeakKeyDictionary[ir.Module, list[tuple[Any, int]]] = WeakKeyDictionary()


class Pointer(types.Type):
    """The address of elements of one dtype, in one alias scope."""

    def __init__(self, dtype: str, scope: int) -> None:
        self.dtype = dtype
        self.scope = scope
        self.element, self.stored, self.size = ELEMENTS[dtype]
        super().__init__(name=f"Pointer({dtype}, {scope})")


@register_model(Pointer)
class PointerModel(models.PrimitiveModel):
    """A Pointer is one LLVM pointer."""

    def __init__(self, manager: Any, pointer: Pointer) -> None:
        super().__init__(manager, pointer, pointer.stored.as_pointer())


def named_intrinsic(name: str, arguments: Sequence[str], typed: Callable[..., Any]) -> Any:
    """The intrinsic that generated source calls `name`, its parameters named: `typed` takes them by place."""
    typed.__name__ = typed.__qualname__ = name
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(each, kind) for each in ("typingctx", *arguments)]
    )
    return intrinsic(typed)


def note_access(builder: ir.IRBuilder, instruction: Any, scope: int) -> Any:
    """Remember that `instruction` touches memory of `scope` and of no other."""
    _accesses.setdefault(builder.module, []).append((instruction, scope))
    return instruction


def attach_scopes(module: ir.Module) -> None:
    """Write `!alias.scope` and `!noalias` on all noted accesses of a finished module."""
    accesses = _accesses.pop(module, [])
    domain = module.add_metadata(["kernel"])
    scopes = {scope: module.add_metadata([f"slot {scope}", domain]) for scope in sorted({s for _, s in accesses})}
    own = {scope: module.add_metadata([node]) for scope, node in scopes.items()}
    others = {scope: module.add_metadata([n for s, n in scopes.items() if s != scope]) for scope in scopes}
    for instruction, scope in accesses:
        instruction.set_metadata("alias.scope", own[scope])
        if len(scopes) > 1:
            instruction.set_metadata("noalias", others[scope])


def element_address(builder: ir.IRBuilder, base: ir.Value, index: ir.Value) -> ir.Value:
    """The address of element `index` (64 bits) of `base`."""
    return builder.gep(base, [index], inbounds=True)


def widen(builder: ir.IRBuilder, index: ir.Value, kind: types.Integer) -> ir.Value:
    """An index of any integer type as 64 bits."""
    if index.type.width >= I64.width:
        return index
    return builder.sext(index, I64) if getattr(kind, "signed", False) else builder.zext(index, I64)


@infer_global(operator.getitem)
class PointerGetItem(AbstractTemplate):
    """Typing of `x[i]`."""

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        pointer, index = args
        if isinstance(pointer, Pointer) and isinstance(index, types.Integer):
            return signature(pointer.element, pointer, types.unliteral(index))
        return None


@infer_global(operator.setitem)
class PointerSetItem(AbstractTemplate):
    """Typing of `x[i] = v`: the value is cast to what the buffer holds."""

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        pointer, index, value = args
        if not isinstance(pointer, Pointer) or not isinstance(index, types.Integer):
            return None
        if not isinstance(value, types.Number | types.Boolean):
            return None
        return signature(types.none, pointer, types.unliteral(index), pointer.element)


@lower_builtin(operator.getitem, Pointer, types.Integer)
def load_element(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
    """One load."""
    pointer = sig.args[0]
    where = element_address(builder, args[0], widen(builder, args[1], sig.args[1]))
    value = builder.load(where, align=pointer.size)
    note_access(builder, value, pointer.scope)
    if pointer.element is types.boolean:
        return builder.icmp_unsigned("!=", value, ir.Constant(I8, 0))
    return widened(builder, value) if pointer.dtype == "bfloat16" else value


@lower_builtin(operator.setitem, Pointer, types.Integer, types.Any)
def store_element(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
    """One store."""
    pointer = sig.args[0]
    where = element_address(builder, args[0], widen(builder, args[1], sig.args[1]))
    value = args[2]
    if pointer.element is types.boolean:
        value = builder.zext(value, I8)
    elif pointer.dtype == "bfloat16":
        word = narrowed(value)
        value = builder.trunc(nearest_bfloat16(builder, value), I16) if word is None else word
    note_access(builder, builder.store(value, where, align=pointer.size), pointer.scope)
    return context.get_dummy_value()


def _read_table(builder: ir.IRBuilder, table: ir.Value, slot: int, kind: ir.Type) -> ir.Value:
    """Slot `slot` of the table as a value of `kind`; the table never changes while a kernel runs."""
    base = builder.inttoptr(table, kind.as_pointer())
    value = builder.load(builder.gep(base, [ir.Constant(I64, slot)], inbounds=True), align=8)
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return note_access(builder, value, TABLE_SCOPE)


@intrinsic(prefer_literal=True)
def size_at(typingctx: Any, table: Any, slot: Any) -> Any:
    """The size in a slot of the table."""
    if not isinstance(slot, types.IntegerLiteral):
        return None

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        return _read_table(builder, args[0], slot.literal_value, I64)

    return types.int64(types.int64, slot), emit


def _slot_pointer(dtype: str, slot: Any, scope: Any) -> Any:
    """The pointer in `slot`, in the alias scope `scope`, and how to emit it; nothing unless both are literals."""
    if not isinstance(slot, types.IntegerLiteral) or not isinstance(scope, types.IntegerLiteral):
        return None, None
    pointer = Pointer(dtype, scope.literal_value)

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        return _read_table(builder, args[0], slot.literal_value, pointer.stored.as_pointer())

    return pointer, emit


def _at(dtype: str) -> Any:
    """`<dtype>_at(table, slot)`: the buffer in a slot, which overlaps no other slot."""

    def at(typingctx: Any, table: Any, slot: Any) -> Any:
        pointer, emit = _slot_pointer(dtype, slot, slot)
        return emit and (pointer(types.int64, slot), emit)

    at.__name__ = f"{dtype}_at"
    return intrinsic(prefer_literal=True)(at)


def _overlapping(dtype: str) -> Any:
    """`<dtype>_overlapping(table, slot, other)`: the buffer in a slot, which may overlap that in slot `other`."""

    def overlapping(typingctx: Any, table: Any, slot: Any, other: Any) -> Any:
        pointer, emit = _slot_pointer(dtype, slot, other)
        return emit and (pointer(types.int64, slot, other), emit)

    overlapping.__name__ = f"{dtype}_overlapping"
    return intrinsic(prefer_literal=True)(overlapping)


def _scratch(dtype: str) -> Any:
    """`<dtype>_scratch(count)`: a stack buffer, aligned to a cache line, reserved on entry."""

    def scratch(typingctx: Any, count: Any) -> Any:
        if not isinstance(count, types.IntegerLiteral):
            return None
        pointer = Pointer(dtype, SCRATCH_SCOPE)

        def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
            with builder.goto_entry_block():
                buffer = builder.alloca(ir.ArrayType(pointer.stored, count.literal_value))
            buffer.align = CACHE_LINE
            return builder.bitcast(buffer, pointer.stored.as_pointer())

        return pointer(count), emit

    scratch.__name__ = f"{dtype}_scratch"
    return intrinsic(prefer_literal=True)(scratch)


@intrinsic
def offset(typingctx: Any, pointer: Any, index: Any) -> Any:
    """The pointer to element `index` of `pointer`, in the same alias scope."""
    if not isinstance(pointer, Pointer):
        return None

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        return element_address(builder, args[0], args[1])

    return pointer(pointer, types.int64), emit


@intrinsic
def address(typingctx: Any, pointer: Any) -> Any:
    """The address that `pointer` holds, as an integer."""
    if not isinstance(pointer, Pointer):
        return None

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        return builder.ptrtoint(args[0], I64)

    return types.int64(pointer), emit


@intrinsic
def prefetch(typingctx: Any, pointer: Any, first: Any, count: Any) -> Any:
    """Ask for `count` elements from `first` on to be brought to the second cache. No address is invalid here."""
    if not isinstance(pointer, Pointer):
        return None
    step = CACHE_LINE // pointer.size

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        buffer, first, count = args
        kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, to_second_cache, data = (ir.Constant(I32, each) for each in (0, 2, 1))
        lines = builder.udiv(builder.add(count, ir.Constant(I64, step - 1)), ir.Constant(I64, step))
        with cgutils.for_range(builder, lines) as loop:
            index = builder.add(first, builder.mul(loop.index, ir.Constant(I64, step)))
            place = builder.bitcast(builder.gep(buffer, [index]), I8.as_pointer())
            builder.call(function, [place, read, to_second_cache, data])
        return context.get_dummy_value()

    return types.void(pointer, types.int64, types.int64), emit


NAMES: dict[str, Any] = {
    "size_at": size_at,
    "prefetch": prefetch,
    "offset": offset,
    "address": address,
    **{f"{dtype}_at": _at(dtype) for dtype in ELEMENTS},
    **{f"{dtype}_overlapping": _overlapping(dtype) for dtype in ELEMENTS},
    **{f"{dtype}_scratch": _scratch(dtype) for dtype in ELEMENTS},
}
