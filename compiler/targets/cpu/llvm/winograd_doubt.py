"""Which results of a map of tiles are not to be trusted, as intrinsics that generated source calls by name.

    transform_doubt_output(acc, first_row, end_row, first_column, end_column, lane_count)

acc holds what `transform_output_back0_back0` leaves: vectors of results and after them, for each lane, the greatest
magnitude that they were made of. The
answer is 0 where every result inside the limits may stand, 1 where one may not, and 2 where a magnitude is NaN,
infinite or so large that sums of it may become so. A result is rounded to a few units in the last place of the greatest
magnitude; it may stand if a vector of results at its place holds one at least 2^-RANGE times as large, or where that
greatest is below 2^FLOOR.

All is done with floats as integers, as which those without a sign have the same order, NaN comes above infinity, and
taking RANGE from the exponent divides. Leans on `tiles.py` for vectors.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import types

from ..winograd_matrices import MATRICES, STEPS
from .pointers import I32, I64, Pointer, named_intrinsic
from .vectors import Emitter

RANGE = {"output": 10, "input": 7, "filter": 15}
"""By matrix, as its numbers are large or small. Of normally distributed numbers, also behind a relu, fewer than one
place in 1,000 is further from the greatest magnitude than this, even in vectors of 4."""
FLOOR = {"output": -126, "input": -126, "filter": 16}
"""What is made of magnitudes below 2^FLOOR may stand. Sums over all pixels of sparse gradients are often small beside
their parts, and dear to take again; networks have gradients far below this."""
LARGE = 100
"""Magnitudes from 2^LARGE on are not trusted."""
MANTISSA, BIAS = 23, 127
ARGUMENTS = ("acc", "first_row", "end_row", "first_column", "end_column", "lane_count")


def magnitude(b: ir.IRBuilder, floats: ir.Value) -> ir.Value:
    """A vector of float32 without signs, as integers."""
    kind = ir.VectorType(I32, floats.type.count)
    return b.and_(b.bitcast(floats, kind), ir.Constant(kind, [0x7FFFFFFF] * kind.count))


def greatest(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    return b.select(b.icmp_signed(">", x, y), x, y)


def least(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    return b.select(b.icmp_signed("<", x, y), x, y)


@cache
def doubt(matrix: str) -> Any:
    """The intrinsic for what comes back from tiles of a matrix; cached, since Numba registers every one it is given."""

    def typed(typingctx: Any, *args: Any) -> Any:
        kinds = dict(zip(ARGUMENTS, args))
        if not isinstance(kinds["acc"], Pointer) or kinds["acc"].dtype != "float32":
            return None

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[ir.Value, ...]) -> ir.Value:
            return _Doubt("float32", builder, kinds, dict(zip(ARGUMENTS, values))).emit(matrix)

        return types.int64(kinds["acc"], *[types.int64] * (len(ARGUMENTS) - 1)), generate

    return named_intrinsic(f"transform_doubt_{matrix}", ARGUMENTS, typed)


class _Doubt(Emitter):
    """One comparison of vectors for all places together: one lane that is large everywhere inside the limits answers
    for all."""

    def emit(self, matrix: str) -> ir.Value:
        b, v = self.builder, self.values
        pitch = min(STEPS[matrix], MATRICES[matrix].shape[1])
        most = self._row(pitch * pitch)
        valid = self.mask(v["lane_count"], 0)
        none = ir.Constant(most.type, [0] * self.lanes)
        top = self._across(b.select(valid, most, none))
        low = ir.Constant(most.type, [0x7FFFFFFF] * self.lanes)
        for y in range(pitch):
            for x in range(pitch):
                low = least(b, low, b.select(self._inside(y, x), self._row(y * pitch + x), low))
        enough = b.sub(top, ir.Constant(I32, RANGE[matrix] << MANTISSA))
        good = b.and_(valid, b.icmp_signed(">=", low, self.splat(enough, self.lanes)))
        bits = b.bitcast(good, ir.IntType(self.lanes))
        small = b.icmp_unsigned("==", bits, ir.Constant(bits.type, 0))
        small = b.and_(small, b.icmp_signed(">=", top, ir.Constant(I32, (FLOOR[matrix] + BIAS) << MANTISSA)))
        large = b.icmp_signed(">=", top, ir.Constant(I32, (LARGE + BIAS) << MANTISSA))
        return b.select(large, ir.Constant(I64, 2), b.zext(small, I64))

    def _row(self, at: int) -> ir.Value:
        return magnitude(self.builder, self.load("acc", ir.Constant(I64, at * self.lanes), vector=True))

    def _inside(self, y: int, x: int) -> ir.Value:
        b, v = self.builder, self.values
        inside = ir.Constant(ir.IntType(1), 1)
        for name, at in (("row", y), ("column", x)):
            inside = b.and_(inside, b.icmp_signed("<=", v[f"first_{name}"], ir.Constant(I64, at)))
            inside = b.and_(inside, b.icmp_signed(">", v[f"end_{name}"], ir.Constant(I64, at)))
        return inside

    def _across(self, vector: ir.Value) -> ir.Value:
        """The greatest of all lanes: halves against each other."""
        b, lanes = self.builder, self.lanes
        while lanes > 1:
            lanes //= 2
            halves = [
                b.shuffle_vector(
                    vector,
                    ir.Constant(vector.type, ir.Undefined),
                    ir.Constant(ir.VectorType(I32, lanes), list(range(first, first + lanes))),
                )
                for first in (0, lanes)
            ]
            vector = greatest(b, *halves)
        return b.extract_element(vector, ir.Constant(I32, 0))
