"""Vectors of one dtype in intrinsics: types, loads, stores and masks.

Leans on `pointers` for pointers and alias scopes, on `machine` for the width of a register.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..machine import target
from .bfloat16 import widened
from .pointers import I32, I64, note_access

KINDS: dict[str, ir.Type] = {"float32": ir.FloatType(), "float64": ir.DoubleType()}


class Emitter:
    """Vectors of one dtype: types, loads, stores and masks, on the pointer arguments of an intrinsic."""

    def __init__(self, dtype: str, builder: ir.IRBuilder, kinds: dict[str, Any], values: dict[str, ir.Value]) -> None:
        self.builder, self.kinds, self.values = builder, kinds, values
        self.scalar = KINDS[dtype]
        self.lanes = target().lanes(dtype)
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.suffix = f"v{self.lanes}{'f32' if dtype == 'float32' else 'f64'}"
        self.zero = ir.Constant(self.vector, None)

    def function(self, name: str, result: ir.Type, *args: ir.Type) -> ir.Function:
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, args), name)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, rounded once where the target has an instruction for that."""
        function = self.function(
            f"llvm.{'fma' if target().fma else 'fmuladd'}.{self.suffix}", self.vector, *[self.vector] * 3
        )
        return self.builder.call(function, [a, b, c])

    def at(self, name: str, index: ir.Value, vector: bool = False) -> ir.Value:
        """The address of an element of a pointer argument, as one element or as a vector."""
        where = self.builder.gep(self.values[name], [index], inbounds=True)
        return self.builder.bitcast(where, self.words(name).as_pointer()) if vector else where

    def words(self, name: str) -> ir.VectorType:
        """A vector as it lies in memory."""
        return ir.VectorType(self.kinds[name].stored, self.lanes)

    def value(self, name: str, words: ir.Value) -> ir.Value:
        """What words loaded through a pointer argument stand for."""
        return widened(self.builder, words) if self.kinds[name].dtype == "bfloat16" else words

    def raw(self, name: str, index: ir.Value, mask: ir.Value | None) -> ir.Value:
        """A vector as it lies in memory; lanes outside the mask are 0 and never touched."""
        address, kind, size = self.at(name, index, vector=True), self.words(name), self.kinds[name].size
        if mask is None:
            return note_access(self.builder, self.builder.load(address, align=size), self.kinds[name].scope)
        suffix = self.suffix if kind == self.vector else f"v{self.lanes}i16"
        function = self.function(f"llvm.masked.load.{suffix}.p0", kind, address.type, I32, mask.type, kind)
        words = self.builder.call(function, [address, ir.Constant(I32, size), mask, ir.Constant(kind, None)])
        return note_access(self.builder, words, self.kinds[name].scope)

    def load(self, name: str, index: ir.Value, vector: bool = False) -> ir.Value:
        if vector:
            return self.value(name, self.raw(name, index, None))
        word = self.builder.load(self.at(name, index), align=self.kinds[name].size)
        return self.value(name, note_access(self.builder, word, self.kinds[name].scope))

    def masked_load(self, name: str, index: ir.Value, mask: ir.Value) -> ir.Value:
        """A vector of which the lanes outside the mask are 0 and never touched."""
        return self.value(name, self.raw(name, index, mask))

    def store(self, value: ir.Value, index: int, vector: bool = False) -> None:
        where = self.at("acc", ir.Constant(I64, index), vector)
        note_access(
            self.builder, self.builder.store(value, where, align=self.kinds["acc"].size), self.kinds["acc"].scope
        )

    def splat(self, value: ir.Value, lanes: int) -> ir.Value:
        kind = ir.VectorType(value.type, lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        order = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), order)

    def mask(self, count: ir.Value, first: int) -> ir.Value:
        """Lanes `first`, `first + 1`, ... below `count`."""
        numbers = ir.Constant(ir.VectorType(I64, self.lanes), [first + lane for lane in range(self.lanes)])
        return self.builder.icmp_signed("<", numbers, self.splat(count, self.lanes))
