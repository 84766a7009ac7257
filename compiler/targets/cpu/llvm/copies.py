"""A few neighbours copied to where a tile reads them, zeros for those that are not there: intrinsics.

`copied_14(to, t0, x, x0, low, high)` writes 14 elements of `to` from t0 on: those from `low` up to `high`, numbers that
may lie beyond the 14, are x's from x0 on, the others 0, in whose place nothing of x is read. LLVM would make a call of
memcpy of the loop that says so; here it is a masked load and a store for each vector. bfloat16 is widened where `to`
holds floats. Leans on `pointers.py`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ..machine import target
from .bfloat16 import widened
from .pointers import I32, I64, Pointer, named_intrinsic, note_access

NAME = re.compile(r"copied_(\d+)")
ARGUMENTS = ("to", "t0", "x", "x0", "low", "high")
COPIED = {"float32": ("float32", "bfloat16"), "float64": ("float64", "bfloat16"), "bfloat16": ("bfloat16",)}
"""What each dtype can hold."""


def width(name: str) -> int:
    """How many elements the copy of this name writes. Raises ValueError where that names none."""
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} names no copy; one is named like copied_14")
    return int(match[1])


@cache
def named(name: str) -> Any:
    """The intrinsic that generated source calls `name`; cached, since Numba registers every one it is given."""
    count = width(name)

    def typed(typingctx: Any, *args: Any) -> Any:
        to, _, x, *_ = args
        if not isinstance(to, Pointer) or not isinstance(x, Pointer) or x.dtype not in COPIED.get(to.dtype, ()):
            return None

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[Any, ...]) -> ir.Value:
            _Copy(builder, to, x, dict(zip(ARGUMENTS, values))).emit(count)
            return context.get_dummy_value()

        return types.void(to, types.int64, x, *[types.int64] * 3), generate

    return named_intrinsic(name, ARGUMENTS, typed)


class _Copy:
    """Emits one of them."""

    def __init__(self, builder: ir.IRBuilder, to: Pointer, x: Pointer, values: dict[str, ir.Value]) -> None:
        self.builder, self.to, self.x, self.values = builder, to, x, values

    def emit(self, count: int) -> None:
        """Where masks have no registers of their own, a copy from which nothing is left out does without them."""
        if target().masks:
            self._masked(count)
            return
        b = self.builder
        from_first = b.icmp_signed("<=", self.values["low"], ir.Constant(I64, 0))
        up_to_last = b.icmp_signed(">=", self.values["high"], ir.Constant(I64, count))
        with b.if_else(b.and_(from_first, up_to_last)) as (then, otherwise):
            with then:
                self._plain(count)
            with otherwise:
                self._masked(count)

    def _plain(self, count: int) -> None:
        words = self.builder.load(self._place("x", self.x, 0, count), align=self.x.size)
        self._put(note_access(self.builder, words, self.x.scope), 0, count)

    def _masked(self, count: int) -> None:
        lanes = target().vector_bytes // self.to.size
        for first in range(0, count, lanes):
            self._vector(first, min(lanes, count - first), lanes)

    def _vector(self, first: int, written: int, lanes: int) -> None:
        """Elements from `first` on: so many written of a vector of `lanes`."""
        numbers = [first + lane for lane in range(lanes)]
        end = self.builder.select(
            self.builder.icmp_signed("<", self.values["high"], ir.Constant(I64, first + written)),
            self.values["high"],
            ir.Constant(I64, first + written),
        )
        mask = self.builder.and_(self._compared(numbers, ">=", self.values["low"]), self._compared(numbers, "<", end))
        kind = ir.VectorType(self.x.stored, lanes)
        zeros = ir.Constant(kind, None)
        words = self._call(
            "load", kind, kind, [self._place("x", self.x, first, lanes), self._size(self.x), mask, zeros]
        )
        self._put(note_access(self.builder, words, self.x.scope), first, written)

    def _put(self, words: ir.Value, first: int, written: int) -> None:
        """The first so many of x's words, as elements of `to`."""
        b, lanes = self.builder, words.type.count
        value = words
        if self.x.dtype != self.to.dtype:
            value = widened(b, words)
            if self.to.dtype == "float64":
                value = b.fpext(value, ir.VectorType(self.to.stored, lanes))
        place = self._place("to", self.to, first, lanes)
        if written == lanes:
            store = b.store(value, place, align=self.to.size)
        else:
            mask = ir.Constant(ir.VectorType(ir.IntType(1), lanes), [int(lane < written) for lane in range(lanes)])
            store = self._call("store", ir.VoidType(), value.type, [value, place, self._size(self.to), mask])
        note_access(b, store, self.to.scope)

    def _compared(self, numbers: list[int], how: str, limit: ir.Value) -> ir.Value:
        kind = ir.VectorType(I64, len(numbers))
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), limit, ir.Constant(I32, 0))
        order = ir.Constant(ir.VectorType(I32, len(numbers)), [0] * len(numbers))
        everywhere = self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), order)
        return self.builder.icmp_signed(how, ir.Constant(kind, numbers), everywhere)

    def _place(self, name: str, pointer: Pointer, first: int, lanes: int) -> ir.Value:
        b = self.builder
        index = b.add(self.values[f"{name[0]}0"], ir.Constant(I64, first))
        where = b.gep(self.values[name], [index], inbounds=True)
        return b.bitcast(where, ir.VectorType(pointer.stored, lanes).as_pointer())

    def _size(self, pointer: Pointer) -> ir.Constant:
        return ir.Constant(I32, pointer.size)

    def _call(self, what: str, result: ir.Type, vector: ir.VectorType, args: list[ir.Value]) -> ir.Value:
        """A masked load or store of a vector."""
        kind = {ir.FloatType: "f32", ir.DoubleType: "f64"}.get(type(vector.element), "i16")
        name = f"llvm.masked.{what}.v{vector.count}{kind}.p0"
        function = ir.FunctionType(result, [arg.type for arg in args])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, function, name), args)
