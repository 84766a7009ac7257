"""The printer of scalar expressions as Python source, shared by every kind of kernel.

A `Writer` keeps a stack of open loop levels. A value is written at the outermost level where all the axes it
depends on are bound, so what does not change inside a loop is computed outside of it; a value used once is
written in place. Text uses neutral names (`buf0`, `size0`), so that kernels of equal structure are equal
text; `Names.pretty` gives them the user's names for reading. Leans on `loops` and `kernels`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Index
from ...loops.functions import FUNCTIONS, Form, Function, printed
from ...loops.kernels import Buffer
from ...shapes import Dim, Size, nominal, product
from .long_sums import LANE_TERMS, TERMS, Blocks, blocks

LITERAL_SIZE = 16
FEW_TRIPS = 32
"""Up to here, the scalar rest of a vector loop takes longer than masks in all of it."""
FEW_TAPS = 16
LINE = 100


class Names:
    """The kernel's arguments: one table slot per buffer and per size that is not a small number."""

    def __init__(self) -> None:
        self.buffers: dict[Buffer, str] = {}
        self.sizes: dict[Dim, str] = {}
        self.literal = LITERAL_SIZE

    def buffer(self, buffer: Buffer) -> str:
        return self.buffers.setdefault(buffer, f"buf{len(self.buffers)}")

    def size(self, size: Dim) -> str:
        """A size as text: small numbers stand as they are, others are read from the table."""
        if isinstance(size, int) and abs(size) <= self.literal:
            return str(size)
        return self.sizes.setdefault(size, f"size{len(self.sizes)}")

    def header(self) -> list[str]:
        """The lines that read the table."""
        lines = [f"{name} = size_at(table, {i})" for i, name in enumerate(self.sizes.values())]
        first = len(lines)
        return lines + [
            f"{name} = {b.dtype}_at(table, {first + i})" for i, (b, name) in enumerate(self.buffers.items())
        ]

    def pretty(self, text: str) -> str:
        """The text with the user's names."""
        taken: Counter[str] = Counter()
        table: dict[str, str] = {}
        for size, name in self.sizes.items():
            table[name] = f"n{size}" if isinstance(size, int) else _size_name(size)
        for buffer, name in self.buffers.items():
            wanted = re.sub(r"\W+", "_", buffer.name).strip("_") or "value"
            wanted = f"{wanted}_" if wanted in table.values() or wanted in _RESERVED or wanted[0].isdigit() else wanted
            taken[wanted] += 1
            table[name] = wanted if taken[wanted] == 1 else f"{wanted}_{taken[wanted]}"
        return re.sub(r"\b(?:buf|size)\d+\b", lambda m: table.get(m.group(), m.group()), text)


def _size_name(size: Size) -> str:
    """`784*batch` as `batch_784`."""
    words = re.findall(r"\w+", str(size))
    return "_".join(sorted(words, key=lambda word: word[0].isdigit()))


_RESERVED = frozenset(["table", "thread", "threads", "i", "j", "k", "p", "acc", "range", "min", "max", "where", "exp"])


@dataclass
class Level:
    """One nesting of the code: its header (`for ...`, `if ...`), the axes it binds, its lines and known values."""

    header: str | None
    bound: frozenset[Axis]
    conditional: bool = False
    lines: list[str] = field(default_factory=list)
    values: dict[Expr, str] = field(default_factory=dict)


class Writer:
    """Writes nested loops and the expressions in them."""

    def __init__(self, names: Names, roots: Sequence[Expr], masks: bool = False):
        self.names = names
        self.masks = masks
        self.axis_names: dict[Axis, str] = {}
        self.levels: list[Level] = [Level(None, frozenset())]
        self.uses = _uses(roots)
        self.scratch: list[str] = []
        self._fresh: Counter[str] = Counter()
        self.lane: Axis | None = None
        self.lane_header = ""

    # ------------------------------------------------------------ text
    def fresh(self, stem: str) -> str:
        self._fresh[stem] += 1
        return f"{stem}{self._fresh[stem] - 1}"

    def line(self, text: str) -> None:
        self.levels[-1].lines.append(text)

    @contextmanager
    def nest(self, header: str, *axes: Axis, conditional: bool = False, trips: Dim | None = None) -> Iterator[Level]:
        """A level inside the present one; its text is placed in its parent when it closes.

        trips: of a loop that LLVM may vectorise, how many it has; where they are few, its last vector is masked.
        """
        level = Level(header, frozenset(axes), conditional)
        self.levels.append(level)
        yield level
        self.levels.pop()
        if level.lines:
            inner = not any(line.lstrip().startswith("for ") for line in level.lines)
            short = self.masks and inner and trips is not None and _short(trips)
            lines = ["masked()", *level.lines] if short else level.lines
            self.levels[-1].lines += [header, *("    " + text for text in lines)]

    def bind(self, axis: Axis, name: str) -> str:
        self.axis_names[axis] = name
        return name

    def text(self, name: str, arguments: Sequence[str]) -> str:
        body = [*self.names.header(), *self.scratch, *self.levels[0].lines]
        return "\n".join([f"def {name}({', '.join(arguments)}):", *("    " + line for line in body), ""])

    # ------------------------------------------------------------ indices
    def index(self, index: Index) -> str:
        """An index expression as text."""
        parts = []
        for atom, c in index.terms:
            text = self._atom(atom)
            if c == 1:
                parts.append(text)
            elif c == -1:
                parts.append(f"-{text}")
            else:
                parts.append(f"{text} * {self._factor(c)}")
        if index.const != 0 or not parts:
            parts.append(self._factor(index.const))
        return " + ".join(parts).replace("+ -", "- ")

    def _factor(self, size: Dim) -> str:
        if isinstance(size, int) and size < -self.names.literal:
            return f"-{self.names.size(-size)}"
        if isinstance(size, Size) and all(c < 0 for _, c in size.terms):
            return f"-{self.names.size(-size)}"
        return self.names.size(size)

    def _atom(self, atom: Any) -> str:
        if isinstance(atom, Axis):
            return self.axis_names[atom]
        if isinstance(atom, loops.Div):
            return f"(({self.index(atom.index)}) // {self.names.size(atom.by)})"
        if isinstance(atom, loops.Mod):
            return f"(({self.index(atom.index)}) % {self.names.size(atom.by)})"
        return self.value(atom.value)

    def condition(self, c: loops.Condition) -> str:
        text = self.index(c.index)
        if isinstance(c, loops.Divides):
            return f"({text}) % {c.by} == 0"
        return f"{self.names.size(c.low)} <= {text} < {self.names.size(c.high)}"

    # ------------------------------------------------------------ values
    def value(self, e: Expr) -> str:
        """The text that stands for `e` here; writes whatever has to be computed before."""
        for level in reversed(self.levels):
            if e in level.values:
                return level.values[e]
        if e.kind == "const":
            return constant(e)
        if e.kind == "index":
            return f"{e.dtype}({self.index(e.data)})"
        if e.kind == "size":
            return f"{e.dtype}({self.names.size(e.data)})"
        if e.kind == "reduce":
            return self._reduce(e)
        if e.kind == "guard":
            return self._guard(e)
        at = self._level_for(e)
        inner, self.levels = self.levels[at + 1 :], self.levels[: at + 1]
        text = self._operation(e)
        if self.uses[e] > 1 or inner or len(text) > LINE:
            name = self.fresh("v")
            self.line(f"{name} = {text}")
            self.levels[-1].values[e] = text = name
        self.levels += inner
        return text

    def _level_for(self, e: Expr) -> int:
        """The outermost level at which `e` can be computed."""
        bound: set[Axis] = set()
        need = 0
        for depth, level in enumerate(self.levels):
            if level.conditional or (e.axes & level.bound) - bound:
                need = depth
            bound |= level.bound
        assert e.axes <= bound, f"{e} needs axes that are not bound"
        return need

    def _operation(self, e: Expr) -> str:
        if e.kind == "load":
            buffer, index = e.data
            return f"{self.names.buffer(buffer)}[{self.index(buffer.address(index))}]"
        args = [self.value(a) for a in e.args]
        if e.data == "cast" and e.dtype == dtypes.BOOL:
            return f"({args[0]} != 0)"
        function = FUNCTIONS[e.data]
        text = printed(self.form(function), e.data, args, e.dtype)
        return _wrapped(text, e.dtype) if function.widens else text

    def form(self, function: Function) -> Form:
        """How the target has a scalar function."""
        return function.cpu

    def _guard(self, e: Expr) -> str:
        name = self.fresh("g")
        self.line(f"{name} = {self.value(e.args[1])}")
        with self.nest(f"if {' and '.join(map(self.condition, e.data))}:", conditional=True):
            self.line(f"{name} = {self.value(e.args[0])}")
        self.levels[-1].values[e] = name
        return name

    # ------------------------------------------------------------ reductions
    def _reduce(self, e: Expr) -> str:
        """The loops of a reduction, before the level that needs its value."""
        in_lanes = self.lane is not None and self.lane in e.axes
        depth = max(
            (d for d, level in enumerate(self.levels) if level.bound & (e.axes - {self.lane}) or level.conditional),
            default=0,
        )
        if in_lanes:
            depth = max(depth, self.chunk_depth)
            in_lanes = not any(self.lane in level.bound for level in self.levels[: depth + 1])  # else this lane alone
        inner, self.levels = self.levels[depth + 1 :], self.levels[: depth + 1]
        name = self._reduce_lanes(e) if in_lanes else self._reduce_scalar(e)
        self.levels[-1].values[e] = name
        self.levels += inner
        return name

    along: Axis | None = None
    """The innermost loop, which LLVM is to vectorise: a short sum inside keeps all its trips there, behind masks."""
    chunk_depth = 0
    chunk_size = 0

    def _reduce_scalar(self, e: Expr) -> str:
        kind, axes, conditions, e = self._cut(e)
        acc, best = self.fresh("acc"), ""
        dtype = e.args[0].dtype
        if kind == "argmax":
            best = self.fresh("best")
            self.line(f"{best} = {initial('max', dtype)}")
            self.line(f"{acc} = int32(0)")
        else:
            parted = self._parted(kind, dtype, axes, conditions, TERMS)
            self.line(f"{acc} = {initial(kind, dtypes.FLOAT64 if parted else dtype)}")
            if parted:
                self._in_blocks(parted, conditions, lambda inner: self._block(e, acc, inner))
                return f"{dtype}({acc})"
        self._loops(axes, conditions, lambda: self._accumulate(e, acc, best))
        return acc

    in_blocks = False
    """Are long sums taken in blocks (`long_sums.py`)?"""

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

    def _block(self, e: Expr, acc: str, inner: Callable[[Any], None]) -> None:
        part = self.fresh("part")
        self.line(f"{part} = {initial('sum', e.args[0].dtype)}")
        inner(lambda: self._accumulate(e, part, ""))
        self.line(f"{acc} = {acc} + {dtypes.FLOAT64}({part})")

    def _cut(self, e: Expr) -> tuple[str, Sequence[Axis], list[loops.Condition], Expr]:
        """(kind, axes in memory order, conditions that become loop bounds, the reduction without them)."""
        kind, axes = e.data
        body = e.args[0]
        taken: list[loops.Condition] = []
        if body.kind == "guard" and _is_identity(kind, body.args[1]):
            few = all(isinstance(a.extent, int) for a in axes) and nominal(product(a.extent for a in axes)) <= FEW_TAPS
            within = {self.lane, self.along} if few else {self.lane}
            taken = [c for c in body.data if _cuts_loop(c, axes) and not within & c.index.axes]
            kept = [c for c in body.data if c not in taken]
            body = loops.guard(kept, *body.args)
        order = axes if kind == "argmax" else _memory_order(axes, body)
        cut = loops.reduction(kind, order, body, e.dtype)
        self.uses.update(_uses([cut]))
        return kind, order, taken, cut

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
                self.line(f"{acc} = int32({self.index(_flat(axes))})")
        else:
            self.line(f"{acc} = {combine(kind, acc, v, e.dtype)}")

    def _reduce_lanes(self, e: Expr) -> str:
        """`acc[lane]` for a chunk of lanes, the lane loop innermost."""
        kind, axes, conditions, e = self._cut(e)
        dtype = e.args[0].dtype
        assert self.lane is not None
        lane, header = self.lane, self.lane_header
        parted = self._parted(kind, dtype, axes, conditions, LANE_TERMS)
        if parted:
            return self._reduce_lanes_in_blocks(e, parted, conditions)
        acc = self._scratch("int32" if kind == "argmax" else dtype)
        best = self._scratch(dtype) if kind == "argmax" else ""
        with self.nest(header, lane, trips=lane.extent):
            if best:
                self.line(f"{best}[lane] = {initial('max', dtype)}")
            self.line(f"{acc}[lane] = {'0' if best else initial(kind, dtype)}")

        def body() -> None:
            with self.nest(header, lane, trips=lane.extent):
                self._accumulate(e, f"{acc}[lane]", f"{best}[lane]" if best else "")

        self._loops(axes, conditions, body)
        return f"{acc}[lane]"

    def _reduce_lanes_in_blocks(self, e: Expr, parts: Blocks, conditions: Sequence[loops.Condition]) -> str:
        """`_reduce_lanes` of a sum in blocks: a running sum for each lane, and the sum of these."""
        dtype, lane, header = e.args[0].dtype, self.lane, self.lane_header
        assert lane is not None
        acc, part = self._scratch(dtypes.FLOAT64), self._scratch(dtype)

        def each_lane(text: str) -> None:
            with self.nest(header, lane, trips=lane.extent):
                self.line(text)

        def terms() -> None:
            with self.nest(header, lane, trips=lane.extent):
                self._accumulate(e, f"{part}[lane]", "")

        def block(inner: Callable[[Any], None]) -> None:
            each_lane(f"{part}[lane] = {initial('sum', dtype)}")
            inner(terms)
            each_lane(f"{acc}[lane] = {acc}[lane] + {dtypes.FLOAT64}({part}[lane])")

        each_lane(f"{acc}[lane] = {initial('sum', dtypes.FLOAT64)}")
        self._in_blocks(parts, conditions, block)
        return f"{dtype}({acc}[lane])"

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


def _short(trips: Dim) -> bool:
    """Is a loop of so many trips spent in the rest after its whole vectors? What stands in the text is unrolled."""
    unrolled = isinstance(trips, int) and (trips < 8 or (trips > LITERAL_SIZE and trips % LITERAL_SIZE == 0))
    return nominal(trips) <= FEW_TRIPS and not unrolled


def _uses(roots: Sequence[Expr]) -> Counter[Expr]:
    uses: Counter[Expr] = Counter(roots)
    for e in loops.postorder(roots):
        uses.update(e.args)
    return uses


def _is_identity(kind: str, otherwise: Expr) -> bool:
    """Does reducing over `otherwise` change nothing?"""
    if otherwise.kind != "const":
        return False
    v = loops.const_value(otherwise)
    if kind in ("sum", "prod"):
        return bool(v == (0 if kind == "sum" else 1))
    if not dtypes.is_float(otherwise.dtype):
        return False
    return bool(v == (math.inf if kind == "min" else -math.inf))


def _cuts_loop(c: loops.Condition, axes: Sequence[Axis]) -> bool:
    """Is the condition a bound (or a stride) for exactly one of the axes?"""
    inside = [a for a in axes if a in c.index.axes]
    if len(inside) != 1 or not c.index.affine_in(inside):
        return False
    k = c.index.coefficient(inside[0])
    return isinstance(k, int) and (abs(k) == 1 or isinstance(c, loops.Within))


def _memory_order(axes: Sequence[Axis], body: Expr) -> tuple[Axis, ...]:
    """The axes with the longest steps through memory outermost."""
    steps = dict.fromkeys(axes, 0)
    for e in loops.loads([body]):
        buffer, index = e.data
        place = buffer.address(index)
        for a in axes:
            steps[a] = max(steps[a], nominal(place.coefficient(a)))
    return tuple(sorted(axes, key=lambda a: -steps[a]))


def _flat(axes: Sequence[Axis]) -> Index:
    place = Index()
    for x in axes:
        place = place * x.extent + loops.at(x)
    return place


def constant(e: Expr) -> str:
    """A number of the expression's dtype as text."""
    v = loops.const_value(e)
    if e.dtype == dtypes.BOOL:
        return str(bool(v))
    if dtypes.is_float(e.dtype):
        v = float(v)
        if math.isnan(v) or math.isinf(v):
            return f"{e.dtype}({str(v).replace('inf', 'INFINITY').replace('nan', 'NAN')})"
        return f"{e.dtype}({v!r})"
    return _integer(int(v), e.dtype)


def _integer(value: int, dtype: str) -> str:
    """An integer of a dtype. The least int64 is no literal: its digits alone are one more than the greatest."""
    return f"{dtype}({value})" if value != -(2**63) else f"{dtype}({value + 1} - 1)"


def _wrapped(text: str, dtype: str) -> str:
    """The result of an operator. Of integers it is in parentheses and cast to its dtype, in which NumPy computes it and
    wraps around; Numba computes it in 64 bits."""
    return f"{dtype}{text}" if dtypes.is_integer(dtype) else text


def initial(kind: str, dtype: str) -> str:
    """What a reduction starts from."""
    if kind in ("sum", "prod"):
        return f"{dtype}({0 if kind == 'sum' else 1})"
    if dtypes.is_float(dtype):
        return f"{dtype}({'-' if kind == 'max' else ''}INFINITY)"
    import numpy as np

    limits = np.iinfo(dtype)
    return _integer(int(limits.min if kind == "max" else limits.max), dtype)


def combine(kind: str, acc: str, v: str, dtype: str) -> str:
    """One step of a reduction whose result is of `dtype`."""
    if kind in ("sum", "prod"):
        text = f"{acc} {'+' if kind == 'sum' else '*'} {v}"
        return _wrapped(f"({text})", dtype) if dtypes.is_integer(dtype) else text
    return f"{'maximum' if kind == 'max' else 'minimum'}({acc}, {v})"
