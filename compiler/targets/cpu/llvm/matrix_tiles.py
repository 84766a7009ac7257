"""Tiles of the matrix unit, and what its operands need: intrinsics that generated source calls by name.

`matrix_tile_32x2` adds up 32 rows of a against 2 columns of 16, in tile registers of 16 rows by 64 bytes (Intel,
"Intrinsics Guide", AMX-BF16): each `tdpbf16ps` takes 16 rows of 32 words and 16 pairs of rows of 16 columns to 16 x 16
sums in float32. Words are bfloat16. The unit rounds products of pairs and their sums to nearest, and takes denormal
numbers as zero. Suffix `_add`: start from what acc holds.

    matrix_tile_32x2(acc, a, a0, a_row, b, b0, steps)   a's rows lie along the sum, b's rows in pairs, word by word
    matrix_pairs_2(b, b0, steps)                        rows of 2 x 16 words become pairs of rows, in place
    matrix_turned_32(a, a0, a_row, x, x0, steps)        pairs of rows of x, of 32 words, become a's rows
    matrix_begin(), matrix_end()                        around them: the shapes of the tile registers

`steps` is a multiple of 32: who copies operands fills up with zeros. acc is rows x (16 * columns), packed. Leans on
`tiles.py` for pointers and counted loops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ..machine import DEPTH, SIDE
from .pointers import (
    CACHE_LINE,
    I8,
    I16,
    I32,
    I64,
    SCRATCH_SCOPE,
    Pointer,
    element_address,
    named_intrinsic,
    note_access,
)
from .transposed import shuffled, transposed

REGISTERS = 8
NAME = re.compile(r"matrix_(?:(tile)_(\d+)x(\d)(_add)?|(pairs)_(\d)|(turned)_(\d+)|(begin)|(end))")
ARGUMENTS = {
    "tile": ("acc", "a", "a0", "a_row", "b", "b0", "steps"),
    "pairs": ("b", "b0", "steps"),
    "turned": ("a", "a0", "a_row", "x", "x0", "steps"),
    "begin": (),
    "end": (),
}
WORDS = {"acc": "float32", "a": "bfloat16", "b": "bfloat16", "x": "bfloat16"}


@dataclass(frozen=True)
class MatrixCode:
    """What a name means. rows, columns: of a tile, columns in units of 16; of the others, the one that they have."""

    kind: str
    rows: int = 0
    columns: int = 0
    add: bool = False

    @property
    def name(self) -> str:
        """What generated source calls it."""
        sizes = {"tile": f"_{self.rows}x{self.columns}", "pairs": f"_{self.columns}", "turned": f"_{self.rows}"}
        return f"matrix_{self.kind}{sizes.get(self.kind, '')}{'_add' * self.add}"

    @property
    def arguments(self) -> tuple[str, ...]:
        return ARGUMENTS[self.kind]


def shape(name: str) -> MatrixCode:
    """What generated source calls `name`. Raises ValueError where that names nothing."""
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is nothing of the matrix unit; a tile is named like matrix_tile_32x2")
    tile, rows, columns, add, pairs, wide, turned, tall, begin, end = match.groups()
    if tile:
        return MatrixCode("tile", int(rows), int(columns), bool(add))
    return MatrixCode(pairs or turned or begin or end, int(tall or 0), int(wide or 0))


def named(name: str) -> Any:
    """The intrinsic that generated source calls `name`."""
    return _intrinsic(shape(name))


@cache
def _intrinsic(code: MatrixCode) -> Any:
    """One intrinsic for each shape; cached, since Numba registers every one it is given."""
    names = code.arguments

    def typed(typingctx: Any, *args: Any) -> Any:
        kinds = dict(zip(names, args))
        if not all(isinstance(kinds[n], Pointer) and kinds[n].dtype == WORDS[n] for n in names if n in WORDS):
            return None
        wanted = [kinds[n] if n in WORDS else types.int64 for n in names]

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[Any, ...]) -> ir.Value:
            getattr(_Unit(code, builder, kinds, dict(zip(names, values))), code.kind)()
            return context.get_dummy_value()

        return types.void(*wanted), generate

    return named_intrinsic(code.name, names, typed)


class _Unit:
    """Emits one of them."""

    def __init__(
        self, code: MatrixCode, builder: ir.IRBuilder, kinds: dict[str, Any], values: dict[str, ir.Value]
    ) -> None:
        self.code, self.builder, self.kinds, self.values = code, builder, kinds, values

    # ------------------------------------------------------------ tile registers

    def begin(self) -> None:
        """All eight registers 16 rows by 64 bytes: palette 1, bytes per row from byte 16 on, rows from byte 48 on."""
        b = self.builder
        with b.goto_entry_block():
            where = b.alloca(ir.ArrayType(I8, CACHE_LINE))
        where.align = CACHE_LINE
        text = [1, *[0] * 15, *[CACHE_LINE, 0] * REGISTERS, *[0] * 16, *[SIDE] * REGISTERS, *[0] * 8]
        setting = b.store(ir.Constant(ir.ArrayType(I8, CACHE_LINE), text), where)
        note_access(b, setting, SCRATCH_SCOPE)
        self._call("ldtilecfg", b.bitcast(where, I8.as_pointer()))

    def end(self) -> None:
        """Gives the registers back, so that the system need not save them with the thread."""
        self._call("tilerelease")

    def tile(self) -> None:
        """Sums in the first registers, then a's, then b's."""
        m, n = self.code.rows // SIDE, self.code.columns
        width = SIDE * n
        sums = [
            (i * n + j, self._at("acc", ir.Constant(I64, (i * width + j) * SIDE))) for i in range(m) for j in range(n)
        ]
        row = ir.Constant(I64, 4 * width)
        for register, place in sums:
            if self.code.add:
                self._call("tileloadd64", self._register(register), place, row)
            else:
                self._call("tilezero", self._register(register))
        a_row = self.builder.shl(self.values["a_row"], ir.Constant(I64, 1))
        with self._loop(DEPTH) as k:
            of_b = self.builder.mul(k, ir.Constant(I64, width))
            for i in range(m):
                down = self.builder.mul(self.values["a_row"], ir.Constant(I64, i * SIDE))
                place = self._at("a", self.builder.add(self.builder.add(self.values["a0"], down), k))
                self._call("tileloadd64", self._register(m * n + i), place, a_row)
                for j in range(n):
                    if i == 0:
                        at = self.builder.add(self.values["b0"], of_b)
                        place = self._at("b", self.builder.add(at, ir.Constant(I64, 2 * SIDE * j)))
                        self._call("tileloadd64", self._register(m * n + m + j), place, row)
                    registers = (i * n + j, m * n + i, m * n + m + j)
                    self._call("tdpbf16ps", *map(self._register, registers))
        for register, place in sums:
            self._call("tilestored64", self._register(register), place, row)

    # ------------------------------------------------------------ operands

    def pairs(self) -> None:
        """Two rows at a time, word by word."""
        columns, b = self.code.columns, self.builder
        order = [lane // 2 + lane % 2 * SIDE for lane in range(2 * SIDE)]
        with self._loop(2) as k:
            first = b.add(self.values["b0"], b.mul(k, ir.Constant(I64, SIDE * columns)))
            starts = [b.add(first, ir.Constant(I64, SIDE * j)) for j in range(2 * columns)]
            rows = [self._load("b", start, I16, SIDE) for start in starts]
            for j in range(columns):
                both = self._shuffled(rows[j], rows[columns + j], order)
                self._store(both, "b", b.add(first, ir.Constant(I64, 2 * SIDE * j)))

    def turned(self) -> None:
        """Squares of 16 pairs of steps by 16 rows, a pair being 32 bits: transposed in registers."""
        b, rows = self.builder, self.code.rows
        with self._loop(DEPTH) as k:
            from_ = b.add(self.values["x0"], b.mul(k, ir.Constant(I64, rows)))
            to = b.add(self.values["a0"], k)
            for block in range(rows // SIDE):
                starts = [b.add(from_, ir.Constant(I64, 2 * (i * rows + block * SIDE))) for i in range(SIDE)]
                lines = transposed(self._shuffled, [self._load("x", start, I32, SIDE) for start in starts])
                for i, line in enumerate(lines):
                    down = b.mul(self.values["a_row"], ir.Constant(I64, block * SIDE + i))
                    self._store(line, "a", b.add(to, down))

    # ------------------------------------------------------------ pieces

    def _call(self, name: str, *args: ir.Value) -> None:
        kind = ir.FunctionType(ir.VoidType(), [x.type for x in args])
        self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.x86.{name}"), args)

    def _register(self, number: int) -> ir.Constant:
        return ir.Constant(I8, number)

    def _at(self, name: str, index: ir.Value) -> ir.Value:
        return self.builder.bitcast(element_address(self.builder, self.values[name], index), I8.as_pointer())

    @contextmanager
    def _loop(self, step: int) -> Iterator[ir.Value]:
        """k runs through the steps, `step` at a time."""
        zero, by = ir.Constant(I64, 0), ir.Constant(I64, step)
        with cgutils.for_range_slice(self.builder, zero, self.values["steps"], by, I64) as (k, _):
            yield k

    def _load(self, name: str, index: ir.Value, element: ir.Type, count: int) -> ir.Value:
        where = self.builder.bitcast(self._at(name, index), ir.VectorType(element, count).as_pointer())
        return note_access(self.builder, self.builder.load(where, align=2), self.kinds[name].scope)

    def _store(self, value: ir.Value, name: str, index: ir.Value) -> None:
        where = self.builder.bitcast(self._at(name, index), value.type.as_pointer())
        note_access(self.builder, self.builder.store(value, where, align=2), self.kinds[name].scope)

    def _shuffled(self, first: ir.Value, second: ir.Value, order: list[int]) -> ir.Value:
        return shuffled(self.builder, first, second, order)
