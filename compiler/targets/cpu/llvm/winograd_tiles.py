"""Small linear maps of tiles, as intrinsics that generated source calls by name: Y = L X R' for each lane.

`transform_input_all_all` applies the matrix `input` of `winograd.py` from both sides; `transform_input_back0_back4` the
transposes of its columns from 0 on and from 4 on, as many as neighbouring tiles are apart.

    transform_..._whole(acc, x, x0, row_step, column_step)
    transform_...(acc, x, x0, row_step, column_step, first_row, end_row, first_column, end_column, lane_count)

X[p, q] is a vector at x[x0 + p * row_step + q * column_step]. Without the suffix `_whole`, X is 0 and never touched
outside of the given rows and columns, and in the lanes from `lane_count` on. With the suffix `_add` Y is added to what
acc holds, which is packed, rows by columns by lanes. `back` leaves one more vector after Y: of each lane the greatest
magnitude in X (with `_add`, or of what was there), for `winograd_doubt.py`. The coefficients stand in the instructions,
so that zeros and ones cost nothing. Leans on `tiles.py` for vectors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from ..winograd_matrices import MATRICES, STEPS
from .pointers import I64, Pointer, named_intrinsic
from .vectors import Emitter
from .winograd_doubt import doubt, greatest, magnitude

NAME = re.compile(r"transform_([a-z]+)_(all|back\d+)_(all|back\d+)(_whole)?(_add)?")
DOUBT = re.compile(r"transform_doubt_(input|filter|output)")
ARGUMENTS = ("acc", "x", "x0", "row_step", "column_step")
LIMITS = ("first_row", "end_row", "first_column", "end_column")
POINTERS = frozenset(["acc", "x"])

Vectors = list[ir.Value]


@dataclass(frozen=True)
class Map:
    """Which matrix stands on either side: "all" of it, or the transpose of its columns from a number on."""

    matrix: str
    left: str
    right: str
    whole: bool = False
    add: bool = False
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """What generated source calls it."""
        return f"transform_{self.matrix}_{self.left}_{self.right}{'_whole' * self.whole}{'_add' * self.add}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return ARGUMENTS if self.whole else (*ARGUMENTS, *LIMITS, "lane_count")

    @property
    def pitch(self) -> int:
        """How many columns of vectors acc has."""
        points, size = MATRICES[self.matrix].shape
        return points if self.left == "all" else min(STEPS[self.matrix], size)

    def side(self, which: str) -> np.ndarray:
        """The matrix on one side, (rows of the result, rows of X)."""
        matrix = MATRICES[self.matrix]
        if which == "all":
            return matrix
        first = int(which.removeprefix("back"))
        return matrix[:, first : first + STEPS[self.matrix]].T


def shape(name: str) -> Map:
    """The map that generated source calls `name`. Raises ValueError where that names none."""
    match = NAME.fullmatch(name)
    if match is None or match[1] not in MATRICES:
        raise ValueError(f"{name!r} names no map; a map is named like transform_input_all_all")
    return Map(match[1], match[2], match[3], match[4] is not None, match[5] is not None)


def named(name: str) -> Any:
    """The intrinsic that generated source calls `name`."""
    doubted = DOUBT.fullmatch(name)
    return _intrinsic(shape(name)) if doubted is None else doubt(doubted[1])


@cache
def _intrinsic(each: Map) -> Any:
    """One intrinsic for each map; cached, since Numba registers every one it is given."""

    names = each.arguments

    def typed(typingctx: Any, *args: Any) -> Any:
        kinds = dict(zip(names, args))
        if not all(isinstance(kinds[name], Pointer) and kinds[name].dtype == each.dtype for name in POINTERS):
            return None
        wanted = [kinds[name] if name in POINTERS else types.int64 for name in names]

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[Any, ...]) -> ir.Value:
            _Emitter(each, builder, kinds, dict(zip(names, values))).emit()
            return context.get_dummy_value()

        return types.void(*wanted), generate

    return named_intrinsic(each.name, names, typed)


class _Emitter(Emitter):
    """Loads X, maps its columns, then its rows: once for tiles inside the image, once behind masks for its edge."""

    def __init__(self, each: Map, builder: ir.IRBuilder, kinds: dict[str, Any], values: dict[str, ir.Value]) -> None:
        super().__init__(each.dtype, builder, kinds, values)
        self.map, self.left, self.right = each, each.side(each.left), each.side(each.right)

    def emit(self) -> None:
        if self.map.whole:
            self.apply(None)
            return
        b = self.builder
        rows, columns = self.left.shape[1], self.right.shape[1]
        inside = b.icmp_signed(">=", self.values["lane_count"], ir.Constant(I64, self.lanes))
        for name, bound, limit in zip(LIMITS, ("<=", ">=", "<=", ">="), (0, rows, 0, columns)):
            inside = b.and_(inside, b.icmp_signed(bound, self.values[name], ir.Constant(I64, limit)))
        with b.if_else(inside) as (whole, edge):
            with whole:
                self.apply(None)
            with edge:
                self.apply(self.mask(self.values["lane_count"], 0))

    def apply(self, mask: ir.Value | None) -> None:
        rows = range(self.left.shape[1])
        read = [[self.element(p, q, mask) for p in rows] for q in range(self.right.shape[1])]
        columns = [self.combine(self.left, column) for column in read]
        if self.map.left != "all":
            self.keep_greatest([v for column in read for v in column])
        for i in range(self.left.shape[0]):
            for j, value in enumerate(self.combine(self.right, [column[i] for column in columns])):
                at = (i * self.map.pitch + j) * self.lanes
                if self.map.add:
                    value = self.builder.fadd(value, self.load("acc", ir.Constant(I64, at), vector=True))
                self.store(value, at, vector=True)

    def keep_greatest(self, values: Vectors) -> None:
        """Compared as integers, as which floats without their sign have the same order and NaN is the greatest."""
        b, after = self.builder, self.map.pitch**2 * self.lanes
        total = magnitude(b, values[0])
        for v in values[1:]:
            total = greatest(b, total, magnitude(b, v))
        if self.map.add:
            before = self.load("acc", ir.Constant(I64, after), vector=True)
            total = greatest(b, total, b.bitcast(before, total.type))
        self.store(b.bitcast(total, self.vector), after, vector=True)

    def element(self, p: int, q: int, mask: ir.Value | None) -> ir.Value:
        """X[p, q]."""
        b, v = self.builder, self.values
        moved = b.add(b.mul(v["row_step"], ir.Constant(I64, p)), b.mul(v["column_step"], ir.Constant(I64, q)))
        index = b.add(v["x0"], moved)
        if mask is None:
            return self.load("x", index, vector=True)
        there = ir.Constant(ir.IntType(1), 1)
        for axis, at in (("row", p), ("column", q)):
            for bound, limit in (("<=", f"first_{axis}"), (">", f"end_{axis}")):
                there = b.and_(there, b.icmp_signed(bound, v[limit], ir.Constant(I64, at)))
        return self.masked_load("x", index, b.and_(mask, self.splat(there, self.lanes)))

    def combine(self, matrix: np.ndarray, vectors: Vectors) -> Vectors:
        """The product of a matrix of numbers and a column of vectors."""
        return [self.total([(float(c), v) for c, v in zip(row, vectors) if c != 0]) for row in matrix]

    def total(self, terms: list[tuple[float, ir.Value]]) -> ir.Value:
        terms = sorted(terms, key=lambda term: term[0] != 1)
        (c, v), *rest = terms
        total = v if c == 1 else self.builder.fmul(v, self.number(c))
        for c, v in rest:
            if c in (1, -1):
                total = (self.builder.fadd if c == 1 else self.builder.fsub)(total, v)
            else:
                total = self.fma(v, self.number(c), total)
        return total

    def number(self, c: float) -> ir.Constant:
        return ir.Constant(self.vector, [c] * self.lanes)
