"""The printer of scalar expressions for the GPU: the CPU's `Writer` with what differs on a GPU.

Sizes known when the kernel is printed stand as numbers, so that loops have literal trip counts and divisions by them
become multiplications. A reduction can be shared by a group of threads: each sums its part, and the parts are combined
in an order that never changes. Leans on `shared.writer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Condition, Divides, Expr, Index, Within
from ...loops.functions import Form, Function
from ...loops.kernels import Buffer, Kernel, Store
from ...shapes import Dim, divide, product
from ..shared.indices import Steps
from ..shared.levels import Level
from ..shared.literals import combine, initial
from ..shared.names import Names
from ..shared.summed_axes import flat, memory_order
from ..shared.writer import Writer
from .alignment import begins_aligned
from .bfloat16 import NARROWED, WIDENED
from .schedule import WARP, alike

ALL_LANES = "0xffffffff"
STEPS = (16, 8, 4, 2, 1)

LOADED = {dtypes.BOOL: "({} != 0)", dtypes.BFLOAT16: f"{WIDENED}({{}})"}
STORED = {dtypes.BOOL: "uint8({})", dtypes.BFLOAT16: f"{NARROWED}({{}})"}
"""Of elements that lie in memory as another type: the value of a word, the word of a value."""


class CudaNames(Names):
    """The kernel's arguments: sizes that are known at run time only, then buffers."""

    def size(self, size: Dim) -> str:
        """A size as text: a number where it is one."""
        if isinstance(size, int):
            return str(size)
        return self.sizes.setdefault(size, f"size{len(self.sizes)}")

    def header(self) -> list[str]:
        return []

    def arguments(self) -> tuple[list[str], list[str]]:
        """(names, kinds) of the arguments. Truth values lie in memory as bytes."""
        kinds = [f"{storage(b)}{'*' if begins_aligned(b) else '*?'}" for b in self.buffers]
        return [*self.sizes.values(), *self.buffers.values()], ["int64"] * len(self.sizes) + kinds


class TableNames(CudaNames):
    """The arguments of one of many kernels in a launch, in its row of a table. Sizes are arguments too, so that kernels
    of different sizes are one text; `kept` are those that stand as numbers all the same."""

    def __init__(self, kept: Set[Dim]) -> None:
        super().__init__()
        self.kept = kept

    def size(self, size: Dim) -> str:
        if isinstance(size, int) and (size <= 1 or size in self.kept):
            return str(size)
        return self.sizes.setdefault(size, f"size{len(self.sizes)}")

    def header(self) -> list[str]:
        """The lines that find the row of a block's kernel, the block's number among that kernel's, and read the row."""
        names, kinds = super().arguments()
        read = [f"{k.rstrip('*?')}_at(table, {{}})" if "*" in k else "table[{}]" for k in kinds]
        lines = [f"{name} = {how.format(f'row + {i}')}" for i, (name, how) in enumerate(zip(names, read), 1)]
        return ["row = table[cuda.blockIdx.x]", "block = cuda.blockIdx.x - table[row]", *lines]

    def arguments(self) -> tuple[list[str], list[str]]:
        return ["table"], ["int64*"]


def exact(size: Dim, by: int) -> Dim:
    """size / by, which leaves no remainder."""
    quotient = divide(size, by)
    assert quotient is not None
    return quotient


def storage(buffer: Buffer) -> str:
    """The dtype of a buffer's elements in memory."""
    return dtypes.UINT8 if buffer.dtype == dtypes.BOOL else dtypes.stored(buffer.dtype)


class CudaWriter(Writer):
    """Writes nested loops and the expressions in them, for one thread of a grid, in the block numbered `block`."""

    def __init__(self, kernel: Kernel, names: CudaNames, block: str = "cuda.blockIdx.x"):
        super().__init__(names, kernel.values)
        self.kernel, self.block = kernel, block
        self.absorbed: set[Axis] = set()

    def bind_outermost(self, *axes: Axis) -> None:
        """Declare axes that have their values from the kernel's first line on."""
        self.levels[0] = Level(None, self.levels[0].bound | frozenset(axes), False, self.levels[0].lines)

    @contextmanager
    def bound(self, *axes: Axis) -> Iterator[Level]:
        """Where the lines inside bind these axes, without a loop or a condition."""
        self.levels.append(Level(None, frozenset(axes), False, self.levels[-1].lines))
        yield self.levels[-1]
        self.levels.pop()

    # ------------------------------------------------------------ indices
    def terms(self, index: Index) -> Iterable[tuple[Any, Dim]]:
        """The atoms of an index. Axes joined to the one after them are in that one's name already."""
        return [(a, c) for a, c in index.terms if a not in self.absorbed]

    def decode(self, flat: str, axes: Sequence[Axis | tuple[Axis, ...]], stem: str, each: int = 1) -> None:
        """Lines that take a position in the product of `axes` (outermost first; runs of axes count as one) apart. Where
        each of the positions is `each` neighbours along the last run, these are bound inside `neighbours`."""
        runs = [x if isinstance(x, tuple) else (x,) for x in axes]
        for i, run in reversed(list(enumerate(runs))):
            self.absorbed.update(run[:-1])
            count = each if run is runs[-1] else 1
            if len(runs) == 1:
                self._bind_run(run, flat, count)
                return
            name = self.fresh(stem)
            if i == 0:
                self.line(f"{name} = {flat}")
            else:
                extent = divide(product(x.extent for x in run), count)
                assert extent is not None
                self.line(f"{name} = rest({flat}, {self.names.size(extent)})")
                rest = self.fresh("rest")
                self.line(f"{rest} = quotient({flat}, {self.names.size(extent)})")
                flat = rest
            self._bind_run(run, name, count)

    at_lane = "[e]"
    all_taps = True

    def neighbours(self) -> AbstractContextManager[object]:
        """The loop over a thread's neighbouring points, where it has several."""
        return self.in_lanes() if self.lane else nullcontext()

    def _scratch(self, dtype: str) -> str:
        name = self.fresh("each")
        self.scratch.append(f"{name} = cuda.local.array({self.chunk_size}, {dtype})")
        return name

    def _bind_run(self, run: tuple[Axis, ...], name: str, each: int) -> None:
        if each > 1:
            self.lane, self.beside, self.lane_header = run[-1], frozenset(run[:-1]), f"for e in range({each}):"
            self.chunk_depth, self.chunk_size, self.first = len(self.levels) - 1, each, name
            self.firsts = Axis(exact(product(x.extent for x in run), each))
            self.bind(self.firsts, name)
            name = f"({name} * {each} + e)"
        for x in run:
            self.bind(x, name)

    first = ""
    """Of a thread's neighbouring points: the number of the first, divided by how many they are."""
    firsts: Axis
    """What that number runs along."""

    def index_steps(self, index: Index) -> Steps:
        """With neighbours, where all else is a multiple of how many they are, as that times an index: NVVM then sees
        that accesses begin on a boundary, and joins them, if the constant stands last."""
        each = self.chunk_size
        if self.lane is None or index.coefficient(self.lane) != 1:
            return (yield from super().index_steps(index))
        others = [(a, c) for a, c in self.terms(index) if a is not self.lane]
        terms = [(a, part) for a, c in others if (part := divide(c, each)) is not None]
        const = divide(index.const, each)
        if const is None or len(terms) < len(others):
            return (yield from super().index_steps(index))
        parts = [(yield from super().index_steps(Index(terms)))] if terms else []
        parts += [self.first, *([self._factor(const)] if const != 0 else [])]
        whole = " + ".join(parts).replace("+ -", "- ")
        return f"{f'placed({whole})' if len(parts) > 1 else whole} * {each} + e"

    def condition(self, c: Condition) -> str:
        """Bounds as one comparison of 32 bits, which is all that an index may need."""
        if isinstance(c, Divides):
            return super().condition(c)
        return f"within({self.index(c.index + -c.low)}, {self.names.size(c.high - c.low)})"

    # ------------------------------------------------------------ values
    def _guard(self, e: Expr) -> Steps:
        """A condition that holds for all of a thread's neighbours or none stands outside of the loop over them."""
        inside = self.lane in self.levels[-1].bound and self.lane in e.axes
        if not inside or e.dtype == dtypes.BOOL or not self._alike(e.data):
            return (yield from super()._guard(e))
        name = self._scratch(e.dtype) + self.at_lane
        inner = self.levels.pop()
        with self.neighbours():
            otherwise = yield e.args[1]
            self.line(f"{name} = {otherwise}")
        conditions = " and ".join(map(self.of_all, e.data))
        with self.nest(f"if {conditions}:", conditional=True), self.neighbours():
            value = yield e.args[0]
            self.line(f"{name} = {value}")
        self.levels[-1].values[e] = name
        self.levels.append(inner)
        return name

    def _alike(self, conditions: Sequence[Condition]) -> bool:
        """Does each condition hold for all of a thread's neighbours or none?"""
        assert self.lane is not None
        return all(alike(c, self.lane, self.chunk_size) for c in conditions)

    def of_all(self, c: Condition) -> str:
        """A condition that is alike for a thread's neighbours, counted in as many as a thread has."""
        if self.lane not in c.index.axes:
            return self.condition(c)
        assert isinstance(c, Within)
        shifted, each = c.index + -c.low, self.chunk_size
        others = Index([(a, exact(k, each)) for a, k in self.terms(shifted) if a is not self.lane])
        place = others + loops.at(self.firsts) + exact(shifted.const, each)
        return self.condition(Within(place, exact(c.high - c.low, each)))

    def operation(self, e: Expr) -> Steps:
        text = yield from super().operation(e)
        return LOADED.get(e.data[0].dtype, "{}").format(text) if e.kind == "load" else text

    def form(self, function: Function) -> Form:
        return function.cuda

    def stores(self, write: Callable[[Store, str], None] | None = None) -> None:
        """The stores at one point, by `write(store, text of the value)` where not as elements of their buffers. With
        several, every value is computed before the first store."""
        texts = []
        for s in self.kernel.stores:
            text = self.value(s.value)
            if len(self.kernel.stores) > 1 and not text.isidentifier():
                name = self.fresh("v")
                self.line(f"{name} = {text}")
                self.levels[-1].values[s.value] = text = name
            texts.append(text)
        for s, text in zip(self.kernel.stores, texts):
            (write or self.store)(s, STORED.get(s.buffer.dtype, "{}").format(text))

    def store(self, s: Store, text: str) -> None:
        self.line(f"{self.names.buffer(s.buffer)}[{self.index(s.buffer.address(s.index))}] = {text}")

    def _accumulate(self, e: Expr, acc: str, best: str) -> None:
        """Of an argmax without a branch, so that NVVM joins the loads of neighbours."""
        if not best:
            super()._accumulate(e, acc, best)
            return
        v, better = self.value(e.args[0]), self.fresh("better")
        if not v.isidentifier():
            name = self.fresh("v")
            self.line(f"{name} = {v}")
            v = name
        self.line(f"{better} = ({v} > {best}) | (({v} != {v}) & ({best} == {best}))")
        self.line(f"{best} = where({better}, {v}, {best})")
        self.line(f"{acc} = where({better}, int32({self.index(flat(e.data[1]))}), {acc})")

    # ------------------------------------------------------------ reductions shared by a group
    def share(self, together: Sequence[Expr], group: int) -> None:
        """Have `group` threads compute reductions over the same axes in one loop, here and at once: each thread takes
        every `group`-th term; then all of them have the whole."""
        for e, (acc, best) in zip(together, self._own_share(together, "lane", group), strict=True):
            self._merge_lanes(e, acc, best, group)
            self.levels[-1].values[e] = acc

    def share_in_columns(self, together: Sequence[Expr], lanes: int, rows: int) -> None:
        """Have the `rows` threads of each of `lanes` lanes compute reductions over the same axes in one loop, here and
        at once: each row takes every `rows`-th term of its lanes' points; then all threads of a lane have the whole."""
        for e, (acc, best) in zip(together, self._own_share(together, "group", rows), strict=True):
            self._merge_columns(e, acc, best, lanes, rows)
            self.levels[-1].values[e] = acc

    def _merge_lanes(self, e: Expr, acc: str, best: str, group: int) -> None:
        """Each thread's part through its warp's shuffles, and through shared memory where there are several warps."""
        for step in STEPS:
            pair = [f"cuda.shfl_xor_sync({ALL_LANES}, {x}, {step})" for x in (acc, best) if x]
            self._merge(e, acc, best, pair)
        if group > WARP:
            self._merge_warps(e, acc, best, group // WARP)

    def _own_share(self, together: Sequence[Expr], first: str, step: int) -> list[tuple[str, str]]:
        """This thread's part of each of several reductions, from term `first` on: (the sum or place, the best of an
        argmax, which is alone)."""
        kind, axes = together[0].data
        axes = axes if kind == "argmax" else memory_order(axes, together[0].args[0])
        parts = [self._begun(e) for e in together]
        term = self.fresh("k")
        count = self.names.size(product(x.extent for x in axes))
        with self.nest(f"for {term} in range({first}, {count}, {step}):", *axes):
            self.decode(term, axes, "r")
            with self.neighbours():
                for e, (acc, best) in zip(together, parts, strict=True):
                    self._accumulate(loops.reduction(e.data[0], axes, e.args[0], e.dtype), acc, best)
        return parts

    def _begun(self, e: Expr) -> tuple[str, str]:
        """The names of a reduction of no terms yet."""
        kind, dtype = e.data[0], e.args[0].dtype
        acc = self._accumulator("acc", "int32" if kind == "argmax" else dtype)
        best = self._accumulator("best", dtype) if kind == "argmax" else ""
        with self.neighbours():
            if best:
                self.line(f"{best} = {initial('max', dtype)}")
            self.line(f"{acc} = {'int32(0)' if best else initial(kind, dtype)}")
        return acc, best

    def _merge(self, e: Expr, acc: str, best: str, other: Sequence[str]) -> None:
        """`acc` (and `best`) combined with another thread's."""
        if not best:
            self.line(f"{acc} = {combine(e.data[0], acc, other[0], e.dtype)}")
            return
        place, value = self.fresh("place"), self.fresh("value")
        self.line(f"{place} = {other[0]}")
        self.line(f"{value} = {other[1]}")
        greater = f"{value} > {best} or ({value} != {value} and {best} == {best})"
        equal = f"({value} == {best} or ({value} != {value} and {best} != {best})) and {place} < {acc}"
        with self.nest(f"if {greater} or ({equal}):"):
            self.line(f"{best} = {value}")
            self.line(f"{acc} = {place}")

    def _merge_warps(self, e: Expr, acc: str, best: str, warps: int) -> None:
        """Each warp's part through shared memory; every thread combines them in the same order."""
        parts = [(x, self.fresh("part"), d) for x, d in ((acc, e.dtype), (best, e.args[0].dtype)) if x]
        for _, part, dtype in parts:
            self.scratch.append(f"{part} = cuda.shared.array({warps}, {dtype})")
        with self.nest(f"if lane % {WARP} == 0:"):
            for x, part, _ in parts:
                self.line(f"{part}[lane // {WARP}] = {x}")
        self._combine(e, parts, warps, "{part}[{w}]")

    def _accumulator(self, stem: str, dtype: str) -> str:
        return self._scratch(dtype) + self.at_lane if self.lane else self.fresh(stem)

    def _merge_columns(self, e: Expr, acc: str, best: str, lanes: int, rows: int) -> None:
        """Each thread's part through shared memory; the threads of a lane combine theirs in the same order."""
        parts = [(x, self.fresh("part"), d) for x, d in ((acc, e.dtype), (best, e.args[0].dtype)) if x]
        each = self.chunk_size if self.lane else 1
        at = f"lane * {each} + e" if self.lane else "lane"
        for x, part, dtype in parts:
            self.scratch.append(f"{part} = cuda.shared.array({rows * lanes * each}, {dtype})")
            with self.neighbours():
                self.line(f"{part}[group * {lanes * each} + {at}] = {x}")
        self._combine(e, parts, rows, f"{{part}}[{{w}} * {lanes * each} + {at}]")

    def _combine(self, e: Expr, parts: Sequence[tuple[str, str, str]], count: int, element: str) -> None:
        self.line("cuda.syncthreads()")
        with self.neighbours():
            for x, part, _ in parts:
                self.line(f"{x} = {element.format(part=part, w=0)}")
        acc, best = parts[0][0], parts[1][0] if len(parts) > 1 else ""
        with self.nest(f"for w in range(1, {count}):"), self.neighbours():
            self._merge(e, acc, best, [element.format(part=part, w="w") for _, part, _ in parts])
