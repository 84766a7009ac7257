"""Register tiles: the inner kernels of contractions, as intrinsics that generated source calls by name.

`outer_tile_8x2_3_f32` is a tile of 8 rows by 2 vectors over 3 nested loops: every A element is broadcast against B
vectors. `dot_tile_4x4_1_f32` is 4 rows by 4 columns, vectorised along the contiguous summed axis. Suffixes, in this
order: `_full` (outer: all lanes are valid, B is loaded without masks), `_add` (start from what acc holds).

    outer_tile(acc, a, a0, a_row, row_count, b, b0, lane_count, n, a_step, b_step, ...)
    dot_tile(acc, a, a0, a_row, row_count, b, b0, b_col, col_count, length, n, a_step, b_step, ...)

with one triple (n, a_step, b_step) for each loop, outermost first. All numbers are elements, not bytes. Rows beyond
`row_count` and columns beyond `col_count` repeat the last one, lanes beyond `lane_count` hold 0: the caller stores
what it wants. acc is rows x (vectors * lanes) or rows x cols, packed. A loop of zero trips leaves zeros (or what was
there, with `_add`). Leans on `memory.py` for pointers and alias scopes, on `target.py` for the width of a register.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ..machine import target
from .bfloat16 import widened
from .pointers import I32, I64, Pointer, named_intrinsic, note_access

DTYPES = {"f32": "float32", "f64": "float64"}
KINDS: dict[str, ir.Type] = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
NAME = re.compile(r"(outer|dot)_tile_(\d+)x(\d+)_(\d+)_(f32|f64)(_full)?(_add)?")
OUTER_ARGUMENTS = ("acc", "a", "a0", "a_row", "row_count", "b", "b0", "lane_count")
DOT_ARGUMENTS = ("acc", "a", "a0", "a_row", "row_count", "b", "b0", "b_col", "col_count", "length")
POINTERS = frozenset(["acc", "a", "b"])

Values = list[ir.Value]
Body = Callable[[ir.Value, ir.Value, Values], Values]


@dataclass(frozen=True)
class TileCode:
    """The shape of a tile; `columns` counts vectors in an outer tile and single columns in a dot tile."""

    kind: str
    dtype: str
    rows: int
    columns: int
    loops: int
    full: bool = False
    add: bool = False

    @property
    def name(self) -> str:
        """What generated source calls it."""
        short = next(key for key, dtype in DTYPES.items() if dtype == self.dtype)
        suffix = "_full" * self.full + "_add" * self.add
        return f"{self.kind}_tile_{self.rows}x{self.columns}_{self.loops}_{short}{suffix}"

    def takes(self, name: str, dtype: str) -> bool:
        """May this pointer be of that type? Operands of bfloat16 are widened as they are loaded."""
        return dtype == self.dtype or (name != "acc" and (self.dtype, dtype) == ("float32", "bfloat16"))

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the parameters."""
        first = OUTER_ARGUMENTS if self.kind == "outer" else DOT_ARGUMENTS
        loops = [f"{each}_{loop}" for loop in range(self.loops) for each in ("n", "a_step", "b_step")]
        return (*first, *loops)


def outer_tile(
    dtype: str, rows: int, vectors: int, loops: int, *, masked: bool = True, accumulate: bool = False
) -> Any:
    """The intrinsic of an outer tile."""
    return _intrinsic(TileCode("outer", dtype, rows, vectors, loops, not masked, accumulate))


def dot_tile(dtype: str, rows: int, cols: int, loops: int, *, accumulate: bool = False) -> Any:
    """The intrinsic of a dot tile."""
    return _intrinsic(TileCode("dot", dtype, rows, cols, loops, False, accumulate))


def shape(name: str) -> TileCode:
    """The tile that generated source calls `name`. Raises ValueError where that names none."""
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} names no tile; a tile is named like outer_tile_8x2_3_f32 or dot_tile_4x4_1_f32_add")
    kind, rows, columns, loops, short, full, add = match.groups()
    return TileCode(kind, DTYPES[short], int(rows), int(columns), int(loops), bool(full), bool(add))


def named(name: str) -> Any:
    """The intrinsic that generated source calls `name`."""
    return _intrinsic(shape(name))


@cache
def _intrinsic(tile: TileCode) -> Any:
    """One intrinsic for each shape; cached, since Numba registers every one it is given."""
    names = tile.arguments

    def typed(typingctx: Any, *args: Any) -> Any:
        kinds = dict(zip(names, args))
        if not all(isinstance(kinds[each], Pointer) and tile.takes(each, kinds[each].dtype) for each in POINTERS):
            return None
        wanted = [kinds[each] if each in POINTERS else types.int64 for each in names]

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[Any, ...]) -> ir.Value:
            _emitter(tile, kinds)(tile, builder, kinds, dict(zip(names, values))).emit()
            return context.get_dummy_value()

        return types.void(*wanted), generate

    return named_intrinsic(tile.name, names, typed)


def _emitter(tile: TileCode, kinds: dict[str, Any]) -> Any:
    if tile.kind == "dot":
        return _Dot
    if tile.loops and target().pairs and kinds["a"].dtype == kinds["b"].dtype == "bfloat16":
        from .pairs import PairedOuter

        return PairedOuter
    return Outer


def _keep_loop(module: ir.Module) -> ir.MDValue:
    """A loop's own metadata node: do not unroll, the body is long enough and the code would only grow."""
    keep = module.add_metadata(["llvm.loop.unroll.disable"])
    node = module.add_metadata([f"loop {len(module.metadata)}", keep])
    node.operands = (node, keep)  # LLVM tells loops apart by a first operand that is the node itself
    return node


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


class _Tile(Emitter):
    """What both kinds of tile share: counted loops around accumulators in registers."""

    def __init__(
        self, tile: TileCode, builder: ir.IRBuilder, kinds: dict[str, Any], values: dict[str, ir.Value]
    ) -> None:
        super().__init__(tile.dtype, builder, kinds, values)
        self.tile = tile

    paired = False
    """Does `innermost` take the place of the innermost loop?"""

    def innermost(self, a: ir.Value, b: ir.Value, carried: Values) -> Values:
        raise NotImplementedError

    def offsets(self, first: str, count: str, step: str, number: int) -> Values:
        """Where each row (or column) starts; those beyond the count repeat the last."""
        b = self.builder
        last = b.sub(self.values[count], ir.Constant(I64, 1))
        starts = [self.values[first]]
        for each in range(1, number):
            row = ir.Constant(I64, each)
            row = b.select(b.icmp_signed("<", row, last), row, last)
            starts.append(b.add(self.values[first], b.mul(row, self.values[step])))
        return starts

    def counted(
        self, count: ir.Value, carried: Values, body: Callable[[ir.Value, Values], Values], step: int = 1
    ) -> Values:
        """for i in range(0, count, step), with values carried in registers from one trip to the next."""
        b = self.builder
        before = b.block
        head, inside, after = (b.append_basic_block(name) for name in ("tile.head", "tile.body", "tile.end"))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        current = [b.phi(value.type) for value in carried]
        b.cbranch(b.icmp_signed("<", i, count), inside, after)
        b.position_at_end(inside)
        following = body(i, list(current))
        more = b.add(i, ir.Constant(I64, step), flags=("nsw",))
        i.add_incoming(ir.Constant(I64, 0), before)
        i.add_incoming(more, b.block)
        for phi, start, then in zip(current, carried, following):
            phi.add_incoming(start, before)
            phi.add_incoming(then, b.block)
        b.branch(head).set_metadata("llvm.loop", _keep_loop(b.module))
        b.position_at_end(after)
        return list(current)

    def nest(self, body: Body, carried: Values, loop: int, a: ir.Value, b: ir.Value) -> Values:
        """The loops from number `loop` inwards; `body` gets how far A and B have moved."""
        if loop == self.tile.loops:
            return body(a, b, carried)
        if loop == self.tile.loops - 1 and self.paired:
            return self.innermost(a, b, carried)
        n, a_step, b_step = (self.values[f"{each}_{loop}"] for each in ("n", "a_step", "b_step"))
        builder = self.builder

        def once(i: ir.Value, values: Values) -> Values:
            a_now = builder.add(a, builder.mul(i, a_step))
            b_now = builder.add(b, builder.mul(i, b_step))
            return self.nest(body, values, loop + 1, a_now, b_now)

        return self.counted(n, carried, once)


class Outer(_Tile):
    """Broadcast A elements against B vectors."""

    masks: Values

    def emit(self) -> None:
        tile, width = self.tile, self.tile.columns * self.lanes
        places = [m * width + v * self.lanes for m in range(tile.rows) for v in range(tile.columns)]
        start = [self.load("acc", ir.Constant(I64, at), True) if tile.add else self.zero for at in places]
        self.rows = self.offsets("a0", "row_count", "a_row", tile.rows)
        self.masks = []
        if tile.full:
            sums = self.sums(start)
        elif target().masks:
            sums = self.masked_sums(start)
        else:
            sums = self.mostly_whole(start, width)
        for at, value in zip(places, sums):
            self.store(value, at, vector=True)

    def sums(self, start: Values) -> Values:
        zero = ir.Constant(I64, 0)
        return self.nest(self.body, start, 0, zero, zero)

    def masked_sums(self, start: Values) -> Values:
        counted = self.values["lane_count"]
        self.masks = [self.mask(counted, v * self.lanes) for v in range(self.tile.columns)]
        return self.sums(start)

    def mostly_whole(self, start: Values, width: int) -> Values:
        """Loops of their own for tiles whose lanes are all valid: without registers for masks, a mask is a vector
        register, or even a branch for each lane."""
        b = self.builder
        whole = b.icmp_signed(">=", self.values["lane_count"], ir.Constant(I64, width))
        with b.if_else(whole) as (then, otherwise):
            with then:
                full = self.sums(start)
                full_end = b.block
            with otherwise:
                cut = self.masked_sums(start)
                cut_end = b.block
        merged = [b.phi(self.vector) for _ in start]
        for phi, one, other in zip(merged, full, cut):
            phi.add_incoming(one, full_end)
            phi.add_incoming(other, cut_end)
        return merged

    def body(self, a: ir.Value, b: ir.Value, acc: Values) -> Values:
        """One step: a column of A by a row of B."""
        vectors = [self.b_vector(b, v) for v in range(self.tile.columns)]
        following = []
        for m, row in enumerate(self.rows):
            value = self.splat(self.load("a", self.builder.add(row, a)), self.lanes)
            for v, vector in enumerate(vectors):
                following.append(self.fma(value, vector, acc[m * self.tile.columns + v]))
        return following

    def b_vector(self, b: ir.Value, v: int) -> ir.Value:
        first = self.builder.add(self.values["b0"], b)
        index = self.builder.add(first, ir.Constant(I64, v * self.lanes))
        if not self.masks:
            return self.load("b", index, vector=True)
        return self.masked_load("b", index, self.masks[v])


class _Dot(_Tile):
    """Rows of A against columns of B, both contiguous along the summed axis."""

    def emit(self) -> None:
        tile, b = self.tile, self.builder
        self.rows = self.offsets("a0", "row_count", "a_row", tile.rows)
        self.columns = self.offsets("b0", "col_count", "b_col", tile.columns)
        self.whole = b.and_(self.values["length"], ir.Constant(I64, -self.lanes))
        self.rest = b.sub(self.values["length"], self.whole)
        self.tail = self.mask(self.rest, 0)
        zero = ir.Constant(I64, 0)
        sums = self.nest(self.body, [self.zero] * (tile.rows * tile.columns), 0, zero, zero)
        function = self.function(f"llvm.vector.reduce.fadd.{self.suffix}", self.scalar, self.scalar, self.vector)
        for at, value in enumerate(sums):
            start = self.load("acc", ir.Constant(I64, at)) if tile.add else ir.Constant(self.scalar, 0.0)
            self.store(b.call(function, [start, value], fastmath=("reassoc", "nsz")), at)

    def body(self, a: ir.Value, b: ir.Value, acc: Values) -> Values:
        """One contiguous run: whole vectors, then the rest behind a mask where there is one."""
        builder = self.builder

        def whole(i: ir.Value, values: Values) -> Values:
            return self.step(builder.add(a, i), builder.add(b, i), values, None)

        def rest(_: ir.Value, values: Values) -> Values:
            return self.step(builder.add(a, self.whole), builder.add(b, self.whole), values, self.tail)

        acc = self.counted(self.whole, acc, whole, step=self.lanes)
        return self.counted(self.rest, acc, rest, step=self.lanes)

    def step(self, a: ir.Value, b: ir.Value, acc: Values, mask: ir.Value | None) -> Values:
        """One vector of every row by one vector of every column."""
        columns = [self.fetch("b", self.builder.add(start, b), mask) for start in self.columns]
        following = []
        for m, start in enumerate(self.rows):
            row = self.fetch("a", self.builder.add(start, a), mask)
            for j, column in enumerate(columns):
                following.append(self.fma(row, column, acc[m * self.tile.columns + j]))
        return following

    def fetch(self, name: str, index: ir.Value, mask: ir.Value | None) -> ir.Value:
        return self.load(name, index, vector=True) if mask is None else self.masked_load(name, index, mask)
