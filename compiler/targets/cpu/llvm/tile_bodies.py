"""What a register tile does: its loops, what it loads in each step, and the sums that it keeps in registers.

Leans on `vectors` for loads and stores, on `tile_code` for a tile's shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..machine import target
from .pointers import I64
from .tile_code import TileCode
from .vectors import Emitter

Values = list[ir.Value]
Body = Callable[[ir.Value, ir.Value, Values], Values]


def _keep_loop(module: ir.Module) -> ir.MDValue:
    """A loop's own metadata node: do not unroll, the body is long enough and the code would only grow."""
    keep = module.add_metadata(["llvm.loop.unroll.disable"])
    node = module.add_metadata([f"loop {len(module.metadata)}", keep])
    node.operands = (node, keep)  # LLVM tells loops apart by a first operand that is the node itself
    return node


class Tile(Emitter):
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


class Outer(Tile):
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


class Dot(Tile):
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
