"""Outer tiles of bfloat16 by dot products of pairs: two steps of the innermost sum in one instruction.

AVX-512 BF16 (`vdpbf16ps`) adds to each float32 lane the products of two neighbouring words of one vector with two of
another, twice the multiply-adds of a float32 instruction (Intel, Architecture Instruction Set Extensions, 2020). B's
rows k and k + 1 are loaded as they lie and interleaved in registers; A's two words are broadcast, in one load where the
sum runs along A's memory. A sum of odd length ends with a step whose second words are zero. The instruction takes
denormal numbers as zero. Leans on `tile_bodies.py`.
"""

from __future__ import annotations

from typing import ClassVar

from llvmlite import ir

from .bfloat16 import I16
from .pointers import I32, I64, note_access
from .tile_bodies import Outer, Values


class BFloat(ir.Type):
    """LLVM's `bfloat`, which llvmlite has no name of."""

    intrinsic_name = "bf16"

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash(BFloat)


class PairedOuter(Outer):
    """Broadcast pairs of A against interleaved rows of B."""

    paired = True
    instruction: ClassVar[str] = "llvm.x86.avx512bf16.dpbf16ps.512"

    def innermost(self, a: ir.Value, b: ir.Value, carried: Values) -> Values:
        """The innermost loop, two steps at a time, then the last of an odd number."""
        builder = self.builder
        last = self.tile.loops - 1
        n, a_step, b_step = (self.values[f"{each}_{last}"] for each in ("n", "a_step", "b_step"))

        def moved(i: ir.Value) -> tuple[ir.Value, ir.Value]:
            return builder.add(a, builder.mul(i, a_step)), builder.add(b, builder.mul(i, b_step))

        def two(i: ir.Value, values: Values) -> Values:
            return self.step(*moved(i), values, a_step, b_step)

        even = builder.and_(n, ir.Constant(I64, -2))

        def one(_: ir.Value, values: Values) -> Values:
            return self.step(*moved(even), values, None, None)

        carried = self.counted(even, carried, two, step=2)
        return self.counted(builder.sub(n, even), carried, one)

    def step(self, a: ir.Value, b: ir.Value, acc: Values, a_step: ir.Value | None, b_step: ir.Value | None) -> Values:
        """Two columns of A by two rows of B; one of each where there is no second."""
        vectors = [self.rows_of_b(b, v, b_step) for v in range(self.tile.columns)]
        following = []
        for m, row in enumerate(self.rows):
            value = self.splat(self.pair_of_a(self.builder.add(row, a), a_step), self.lanes)
            for v, vector in enumerate(vectors):
                following.append(self.dot(acc[m * self.tile.columns + v], value, vector))
        return following

    def dot(self, acc: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        pairs = ir.VectorType(BFloat(), 2 * self.lanes)
        function = self.function(self.instruction, self.vector, self.vector, pairs, pairs)
        return self.builder.call(function, [acc, self.builder.bitcast(a, pairs), self.builder.bitcast(b, pairs)])

    def pair_of_a(self, index: ir.Value, step: ir.Value | None) -> ir.Value:
        """Two words in 32 bits, the first in the lower half."""
        builder = self.builder
        if isinstance(step, ir.Constant) and step.constant == 1:
            where = builder.bitcast(self.at("a", index), I32.as_pointer())
            return note_access(builder, builder.load(where, align=2), self.kinds["a"].scope)
        first = builder.zext(self.word("a", index), I32)
        if step is None:
            return first
        second = builder.zext(self.word("a", builder.add(index, step)), I32)
        return builder.or_(first, builder.shl(second, ir.Constant(I32, 16)))

    def word(self, name: str, index: ir.Value) -> ir.Value:
        return note_access(self.builder, self.builder.load(self.at(name, index), align=2), self.kinds[name].scope)

    def rows_of_b(self, b: ir.Value, v: int, step: ir.Value | None) -> ir.Value:
        """A vector of row k and of row k + 1, word by word."""
        builder, words = self.builder, ir.VectorType(I16, self.lanes)
        index = builder.add(builder.add(self.values["b0"], b), ir.Constant(I64, v * self.lanes))
        first = self.words_of("b", index, v)
        second = ir.Constant(words, None) if step is None else self.words_of("b", builder.add(index, step), v)
        order = [lane // 2 + lane % 2 * self.lanes for lane in range(2 * self.lanes)]
        return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, 2 * self.lanes), order))

    def words_of(self, name: str, index: ir.Value, v: int) -> ir.Value:
        return self.raw(name, index, self.masks[v] if self.masks else None)
