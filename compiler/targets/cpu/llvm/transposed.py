"""A square of numbers transposed in registers: intrinsics that generated source calls by name.

`transposed_16_f32(x, first)` transposes the 16 x 16 numbers of x from `first` on, in place: as many vectors as a vector
has lanes, which exchange halves, quarters and so on. Leans on `tiles.py` for vectors of pointers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import types

from .pointers import I32, I64, Pointer, named_intrinsic, note_access
from .tile_code import DTYPES
from .vectors import Emitter

NAME = re.compile(r"transposed_(\d+)_(f32|f64)")
ARGUMENTS = ("x", "first")


def shape(name: str) -> tuple[int, str]:
    """(side, dtype) of what generated source calls `name`. Raises ValueError where that names nothing."""
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} names no transposition; one is named like transposed_16_f32")
    return int(match[1]), DTYPES[match[2]]


@cache
def named(name: str) -> Any:
    """The intrinsic that generated source calls `name`; cached, since Numba registers every one it is given."""
    side, dtype = shape(name)

    def typed(typingctx: Any, x: Any, first: Any) -> Any:
        if not isinstance(x, Pointer) or x.dtype != dtype:
            return None

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[Any, ...]) -> ir.Value:
            _Square(dtype, builder, {"x": x}, dict(zip(ARGUMENTS, values))).emit(side)
            return context.get_dummy_value()

        return types.void(x, types.int64), generate

    return named_intrinsic(name, ARGUMENTS, typed)


class _Square(Emitter):
    """One vector for each row."""

    def emit(self, side: int) -> None:
        rows = [self.builder.add(self.values["first"], ir.Constant(I64, i * side)) for i in range(side)]
        vectors = ir.VectorType(self.scalar, side).as_pointer()
        places = [self.builder.bitcast(self.at("x", row), vectors) for row in rows]
        kind = self.kinds["x"]
        loaded = [note_access(self.builder, self.builder.load(p, align=kind.size), kind.scope) for p in places]
        for place, line in zip(places, transposed(lambda *args: shuffled(self.builder, *args), loaded)):
            note_access(self.builder, self.builder.store(line, place, align=kind.size), kind.scope)


def shuffled(builder: ir.IRBuilder, first: ir.Value, second: ir.Value, order: list[int]) -> ir.Value:
    """The elements of two vectors that `order` names."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, len(order)), order))


def transposed(shuffled: Callable[[Any, Any, list[int]], Any], rows: list[Any]) -> list[Any]:
    """A square of 2^n rows transposed by exchanging halves, quarters and so on of pairs of rows. `shuffled(x, y,
    order)`: the elements of x and y that order names, those of y from len(x) on."""
    size, distance = len(rows), len(rows) // 2
    while distance:
        following = list(rows)
        for i in (i for i in range(size) if not i & distance):
            upper = [c - distance + size if c & distance else c for c in range(size)]
            lower = [c + size if c & distance else c + distance for c in range(size)]
            following[i] = shuffled(rows[i], rows[i + distance], upper)
            following[i + distance] = shuffled(rows[i], rows[i + distance], lower)
        rows, distance = following, distance // 2
    return rows
