"""The printer of scalar expressions as Python source, shared by every kind of kernel: here, the loops of reductions.

A `Writer` keeps a stack of open loop levels (`levels`), and writes indices (`indices`) and values (`values`) into them
without recursing. A reduction inside another is a loop inside a loop, of which a kernel has few, and its text is
written by a call of its own. Leans on these, and on `sum_blocks` for sums in blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Index
from ...shapes import nominal, product
from .levels import Level
from .literals import combine, initial
from .names import Names
from .sum_blocks import LANE_TERMS, TERMS, Blocks, blocks
from .summed_axes import cuts_loop, flat, is_identity, memory_order
from .values import Values, count_uses

FEW_TAPS = 16


class Writer(Values):
    """Writes nested loops and the expressions in them."""

    def __init__(self, names: Names, roots: Sequence[Expr], masks: bool = False):
        super().__init__(names, roots, masks)
        self.lane: Axis | None = None
        self.lane_header = ""
        self.beside: frozenset[Axis] = frozenset()

    def reduced(self, e: Expr) -> str:
        """The loops of a reduction, before the level that needs its value."""
        in_lanes = self.lane is not None and self.lane in e.axes
        outside = e.axes - {self.lane} - self.beside
        depth = max((d for d, level in enumerate(self.levels) if level.bound & outside or level.conditional), default=0)
        if in_lanes:
            depth = max(depth, self.chunk_depth)
            in_lanes = not any(self.lane in level.bound for level in self.levels[: depth + 1])  # else this lane alone
        inner, self.levels = self.levels[depth + 1 :], self.levels[: depth + 1]
        group = self.together.get(e, (e,))
        names = self._reduce_lanes(group) if in_lanes else self._reduce_scalar(group)
        self.levels[-1].values.update(zip(group, names, strict=True))
        self.levels += inner
        return names[group.index(e)]

    together: Mapping[Expr, tuple[Expr, ...]] = MappingProxyType({})
    """For a reduction, those that its loops take with it (`one_loop.py`), itself among them."""

    along: Axis | None = None
    """The innermost loop, which LLVM is to vectorise: a short sum inside keeps all its trips there, behind masks."""
    chunk_depth = 0
    chunk_size = 0
    at_lane = "[lane]"
    """What stands behind the name of a value for each lane."""

    def _reduce_scalar(self, group: Sequence[Expr]) -> list[str]:
        kind, axes, conditions, cut = self._cut(group)
        dtype, best = group[0].args[0].dtype, ""
        accs = [self.fresh("acc") for _ in group]
        if kind == "argmax":
            best = self.fresh("best")
            self.line(f"{best} = {initial('max', dtype)}")
            self.line(f"{accs[0]} = int32(0)")
        else:
            parted = self._parted(kind, dtype, axes, conditions, TERMS)
            for e, acc in zip(cut, accs):
                self.line(f"{acc} = {initial(e.data[0], dtypes.FLOAT64 if parted else e.args[0].dtype)}")
            if parted:
                self._in_blocks(parted, conditions, lambda inner: self._block(cut, accs, inner))
                return [f"{dtype}({acc})" for acc in accs]
        self._loops(axes, conditions, lambda: self._accumulate_all(cut, accs, best))
        return accs

    in_blocks = False
    """Are long sums taken in blocks (`sum_blocks.py`)?"""

    def _parted(
        self, kind: str, dtype: str, axes: Sequence[Axis], conditions: Sequence[loops.Condition], most: int
    ) -> Blocks | None:
        blocked = self.in_blocks and kind == "sum" and dtype == dtypes.FLOAT32
        return blocks(axes, conditions, most) if blocked else None

    def _in_blocks(
        self, parts: Blocks, conditions: Sequence[loops.Condition], block: Callable[[Callable[[Any], None]], None]
    ) -> None:
        """`block(inner)` for every block, where `inner(body)` writes the loops over the terms of one."""

        def each() -> None:
            along, size = parts.along, parts.size
            if along is None:
                block(lambda body: self._loops(parts.inside, conditions, body))
                return
            extent, start, name = self.names.size(along.extent), self.fresh("start"), self.fresh("r")
            with self.nest(f"for {start} in range(0, {extent}, {size}):"):
                stop = self.fresh("stop")
                self.line(f"{stop} = min({start} + {size}, {extent})")

                def inner(body: Any) -> None:
                    self.bind(along, name)
                    with self.nest(f"for {name} in range({start}, {stop}):", along):
                        self._loops(parts.inside, conditions, body)

                block(inner)

        self._loops(parts.outside, conditions, each)

    def _block(self, group: Sequence[Expr], accs: Sequence[str], inner: Callable[[Any], None]) -> None:
        parts = [self.fresh("part") for _ in group]
        for e, part in zip(group, parts):
            self.line(f"{part} = {initial('sum', e.args[0].dtype)}")
        inner(lambda: self._accumulate_all(group, parts, ""))
        for acc, part in zip(accs, parts):
            self.line(f"{acc} = {acc} + {dtypes.FLOAT64}({part})")

    all_taps = False
    """Do short loops keep all their trips, behind conditions? Unrolled, their loads are then under way together."""

    def _cut(self, group: Sequence[Expr]) -> tuple[str, Sequence[Axis], list[loops.Condition], list[Expr]]:
        """(kind, axes in memory order, conditions that become loop bounds, the reductions without them). Of several,
        none has conditions."""
        kind, axes = group[0].data
        bodies = [e.args[0] for e in group]
        body = bodies[0]
        taken: list[loops.Condition] = []
        if body.kind == "guard" and len(group) == 1 and is_identity(kind, body.args[1]):
            few = all(isinstance(a.extent, int) for a in axes) and nominal(product(a.extent for a in axes)) <= FEW_TAPS
            within = {self.lane, self.along} if few else {self.lane}
            bounds = [] if few and self.all_taps else body.data
            taken = [c for c in bounds if cuts_loop(c, axes) and not within & c.index.axes]
            kept = [c for c in body.data if c not in taken]
            bodies = [loops.guard(kept, *body.args)]
        order = axes if kind == "argmax" else memory_order(axes, bodies[0])
        cut = [loops.reduction(e.data[0], order, body, e.dtype) for e, body in zip(group, bodies)]
        self.uses.update(count_uses(cut))
        return kind, order, taken, cut

    def _accumulate_all(self, group: Sequence[Expr], accs: Sequence[str], best: str) -> None:
        for e, acc in zip(group, accs):
            self._accumulate(e, acc, best)

    def _accumulate(self, e: Expr, acc: str, best: str) -> None:
        kind, axes = e.data
        v = self.value(e.args[0])
        if kind == "argmax":
            if not v.isidentifier():
                name = self.fresh("v")
                self.line(f"{name} = {v}")
                v = name
            with self.nest(f"if {v} > {best} or ({v} != {v} and {best} == {best}):"):
                self.line(f"{best} = {v}")
                self.line(f"{acc} = int32({self.index(flat(axes))})")
        else:
            self.line(f"{acc} = {combine(kind, acc, v, e.dtype)}")

    def _reduce_lanes(self, group: Sequence[Expr]) -> list[str]:
        """`acc[lane]` of each reduction for a chunk of lanes, the lane loop innermost."""
        kind, axes, conditions, cut = self._cut(group)
        dtype = group[0].args[0].dtype
        assert self.lane is not None
        parted = self._parted(kind, dtype, axes, conditions, LANE_TERMS)
        if parted:
            return self._reduce_lanes_in_blocks(cut, parted, conditions)
        accs = [self._scratch("int32" if kind == "argmax" else e.args[0].dtype) + self.at_lane for e in group]
        best = self._scratch(dtype) + self.at_lane if kind == "argmax" else ""
        with self.in_lanes():
            if best:
                self.line(f"{best} = {initial('max', dtype)}")
            for e, acc in zip(group, accs):
                self.line(f"{acc} = {'0' if best else initial(e.data[0], e.args[0].dtype)}")

        def body() -> None:
            with self.in_lanes():
                self._accumulate_all(cut, accs, best)

        self._loops(axes, conditions, body)
        return accs

    def in_lanes(self) -> AbstractContextManager[Level]:
        """The loop over the lanes."""
        assert self.lane is not None
        return self.nest(self.lane_header, self.lane, *self.beside, trips=self.lane.extent)

    def _reduce_lanes_in_blocks(
        self, group: Sequence[Expr], parts: Blocks, conditions: Sequence[loops.Condition]
    ) -> list[str]:
        """`_reduce_lanes` of sums in blocks: a running sum for each lane, and the sum of these."""
        dtype = group[0].args[0].dtype
        pairs = [(self._scratch(dtypes.FLOAT64), self._scratch(dtype)) for _ in group]

        def each_lane(text: str) -> None:
            with self.in_lanes():
                for acc, part in pairs:
                    self.line(text.format(acc=acc, part=part))

        def terms() -> None:
            with self.in_lanes():
                self._accumulate_all(group, [f"{part}[lane]" for _, part in pairs], "")

        def block(inner: Callable[[Any], None]) -> None:
            each_lane(f"{{part}}[lane] = {initial('sum', dtype)}")
            inner(terms)
            each_lane(f"{{acc}}[lane] = {{acc}}[lane] + {dtypes.FLOAT64}({{part}}[lane])")

        each_lane(f"{{acc}}[lane] = {initial('sum', dtypes.FLOAT64)}")
        self._in_blocks(parts, conditions, block)
        return [f"{dtype}({acc}[lane])" for acc, _ in pairs]

    def add_in_lanes(self, e: Expr, place: str, header: str, lane: Axis) -> None:
        """The terms of the sum e added to `place`, which depends on the lane, whose loop is innermost."""
        _, axes, conditions, cut = self._cut([e])

        def body() -> None:
            with self.nest(header, lane):
                self._accumulate_all(cut, [place], "")

        self._loops(axes, conditions, body)

    def _scratch(self, dtype: str) -> str:
        name = self.fresh("sum")
        self.scratch.append(f"{name} = {dtype}_scratch({self.chunk_size})")
        return name

    def _loops(self, axes: Sequence[Axis], conditions: Sequence[loops.Condition], body: Any) -> None:
        """Loops over the summed axes, each cut to where its conditions hold."""
        if not axes:
            body()
            return
        axis = axes[0]
        name = self.bind(axis, self.fresh("r"))
        inside = [c for c in conditions if axis in c.index.axes]
        header = f"for {name} in range({self.names.size(axis.extent)}):"
        if inside:
            first, last, step = self.bounds(axis, inside)
            header = f"for {name} in range({first}, {last}{f', {step}' if step > 1 else ''}):"
        with self.nest(header, axis, trips=None if axes[1:] else axis.extent):
            self._loops(axes[1:], conditions, body)

    def bounds(self, x: Axis, conditions: Sequence[loops.Condition]) -> tuple[str, str, int]:
        """(first, end, step) of the values of x for which the conditions hold."""
        low, high, step, phase = ["0"], [self.names.size(x.extent)], 1, ""
        for c in conditions:
            k = c.index.coefficient(x)
            assert isinstance(k, int)
            rest = c.index.substitute({x: Index()})
            if isinstance(c, loops.Divides):
                step, phase = c.by, self.index(rest if k < 0 else rest * -1)
                continue
            below, above = rest * -1 + c.low, rest * -1 + c.high
            if k < 0:
                below, above = rest + (1 - c.high), rest + (1 - c.low)
            n = abs(k)
            low.append(self.index(below) if n == 1 else f"({self.index(below + (n - 1))}) // {n}")
            high.append(self.index(above) if n == 1 else f"({self.index(above + (n - 1))}) // {n}")
        first, last = self.fresh("first"), self.fresh("last")
        self.line(f"{first} = {_of_all('max', low)}")
        self.line(f"{last} = {_of_all('min', high)}")
        if step > 1:
            self.line(f"{first} = {first} + ({phase} - {first}) % {step}")
        return first, last, step


def _of_all(which: str, texts: Sequence[str]) -> str:
    return f"{which}({', '.join(texts)})" if len(texts) > 1 else texts[0]
