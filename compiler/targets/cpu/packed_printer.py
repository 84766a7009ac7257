"""Tasks of tiles from packed operands, printed: copies of rows and columns, the tiles, what is made of their sums.

The copies lie as the tiles read them: of b, for each column of tiles, `room` rows of as many elements as a tile is
wide; of a, for each row of tiles, either the same or its rows one after the other. Where a lies outside of its bounds,
its copy holds zeros, unless that is so for a whole task: then the sum leaves it out.

The matrix unit wants a's rows one after the other and b's in pairs, word by word, over a whole number of its steps:
both are copied as they lie and then put in that order (`llvm/matrix_tiles.py`). Leans on `shares` for a thread's share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr
from ...loops.kernels import Kernel, address
from ...shapes import product
from ..shared.writer import Writer
from .machine import DEPTH, SIDE, lanes
from .packing import stride
from .schedule import Packing, Tile
from .shares import blocks, parallel, write_stores
from .sum_conditions import Kept, kept

Trips = Sequence[tuple[Axis, str, str]]
"""Loops of the sum: an axis, where it begins, and how many of its places come."""


@dataclass(frozen=True)
class _Task:
    """What all parts of a kernel's text need: the tile, how its operands are packed, its width in elements."""

    kernel: Kernel
    tile: Tile
    packing: Packing
    column: Axis
    width: int
    kept: Kept
    w: Writer

    @property
    def sums(self) -> int:
        """Elements of one tile."""
        return self.tile.rows * self.width

    @property
    def strip(self) -> int:
        """Elements of a's copy for one row of tiles."""
        return self.tile.rows * (self.packing.pitch or self.packing.room)

    @property
    def panel(self) -> int:
        """Elements of b's copy for one column of tiles."""
        return self.packing.room * self.width

    @property
    def matrix(self) -> bool:
        """Are the tiles the matrix unit's?"""
        return self.tile.kind == "matrix"

    @property
    def copied(self) -> str:
        """The dtype of copies."""
        return dtypes.BFLOAT16 if self.matrix else self.tile.reduction.dtype

    @property
    def zero(self) -> str:
        return f"{self.tile.reduction.dtype}(0)"

    @property
    def steps(self) -> str:
        """The text of how many steps a tile takes, those over zeros among them."""
        return "whole" if self.matrix else "steps"

    def rows(self) -> str:
        """Writes which rows a tile has, from `m` on; the text of how many."""
        extent = product(x.extent for x in self.packing.rows)
        self.w.line(f"m = row * {self.tile.rows}")
        if isinstance(extent, int) and extent % self.tile.rows == 0:
            return str(self.tile.rows)
        self.w.line(f"rows = min({self.tile.rows}, {self.w.names.size(extent)} - m)")
        return "rows"

    def columns(self) -> str:
        """Writes which columns a tile has, from `n` on; the text of how many."""
        self.w.line(f"n = column * {self.width}")
        if self.whole_columns:
            return str(self.width)
        self.w.line(f"columns = min({self.width}, {self.w.names.size(self.column.extent)} - n)")
        return "columns"

    @property
    def whole_columns(self) -> bool:
        return isinstance(self.column.extent, int) and self.column.extent % self.width == 0

    def place_row(self, row: str = "m + y") -> None:
        """Writes where a row is along each of the axes that rows run over."""
        axes = self.packing.rows
        if len(axes) == 1:
            self.w.bind(axes[0], f"({row})")
            return
        self.w.line(f"rest = {row}")
        for x in reversed(axes[1:]):
            size, name = self.w.names.size(x.extent), self.w.fresh("q")
            self.w.line(f"{name} = rest % {size}")
            self.w.line(f"rest = rest // {size}")
            self.w.bind(x, name)
        name = self.w.fresh("q")
        self.w.line(f"{name} = rest")
        self.w.bind(axes[0], name)


def print_packed(kernel: Kernel, t: Tile, packing: Packing, w: Writer) -> None:
    """Per task and part of the sum: both copies, then every tile of the task."""
    assert t.column is not None
    dtype = t.reduction.dtype
    width = t.columns * lanes(dtype)
    where = kept(t.a, t.b, t.conditions, packing.rows, t.column, t.summed)
    assert where is not None
    task = _Task(kernel, t, packing, t.column, width, where, w)
    slots = packing.down * packing.across if t.block is not None else 1
    w.scratch += [
        f"acc = {dtype}_scratch({slots * task.sums})",
        f"a_packed = {task.copied}_scratch({packing.down * task.strip})",
        f"b_packed = {task.copied}_scratch({packing.across * task.panel})",
    ]
    if packing.turned:
        w.scratch.append(f"a_columns = {task.copied}_scratch({packing.room * t.rows})")
    rows = blocks(w, product(x.extent for x in packing.rows), t.rows)
    columns = blocks(w, t.column.extent, width)
    tasks: list[tuple[Axis | str, str]] = [
        ("down", f"({rows} + {packing.down - 1}) // {packing.down}"),
        ("along", f"({columns} + {packing.across - 1}) // {packing.across}"),
    ]
    places: list[tuple[Axis | str, str]] = [(x, w.names.size(x.extent)) for x in t.outer]
    cut = {x for c in where.of_sum for x in c.index.axes}  # where sums are of several lengths: each thread has some
    uneven = [place for place in places if place[0] in cut]
    with parallel(w, [*(place for place in places if place not in uneven), *tasks, *uneven]):
        w.line(f"first_row = down * {packing.down}")
        w.line(f"last_row = min({rows}, first_row + {packing.down})")
        w.line(f"first_column = along * {packing.across}")
        w.line(f"last_column = min({columns}, first_column + {packing.across})")
        with _unit(task):
            _sum(task)


@contextmanager
def _unit(task: _Task) -> Iterator[None]:
    """The matrix unit's registers are this task's meanwhile, where it wants them."""
    if task.matrix:
        task.w.line("matrix_begin()")
    yield
    if task.matrix:
        task.w.line("matrix_end()")


def _sum(task: _Task) -> None:
    """A task's sums, part by part."""
    t, w, dtype = task.tile, task.w, task.tile.reduction.dtype
    if t.block is None:
        _part(task, [(x, "0", w.names.size(x.extent)) for x in t.summed])
    else:
        slots = task.packing.down * task.packing.across
        parts = blocks(w, t.block.axis.extent, t.block.size)
        with w.nest(f"for z in range({slots * task.sums}):"):
            w.line(f"acc[z] = {dtype}(0)")
        split, size = t.block.axis, t.block.size
        counts = [w.names.size(x.extent) for x in t.block.outside]
        w.line(f"left = {' * '.join([*counts, f'({parts})' if counts else parts])}")
        with ExitStack() as nest:
            for x in t.block.outside:
                nest.enter_context(w.nest(f"for {w.bind(x, w.fresh('k'))} in range({w.names.size(x.extent)}):", x))
            nest.enter_context(w.nest(f"for block in range({parts}):"))
            w.line("left = left - 1")
            w.line(f"start = block * {size}")
            w.line(f"count = min({w.names.size(split.extent)} - start, {size})")
            inside = t.summed[t.summed.index(split) + 1 :]
            _part(task, [(split, "start", "count"), *((x, "0", w.names.size(x.extent)) for x in inside)])


def _part(task: _Task, trips: Trips) -> None:
    """One part of the sum: the copies, and what the tiles add up from them."""
    t, w = task.tile, task.w
    trips = _cut(task, trips)
    w.line(f"steps = {' * '.join(count for *_, count in trips)}")
    if task.matrix:
        w.line(f"whole = (steps + {DEPTH - 1}) // {DEPTH} * {DEPTH}")
    _copy_b(task, trips)
    if task.packing.turned:
        _turn_a(task, trips)
    elif task.packing.pitch:
        _copy_rows_of_a(task, trips)
    else:
        _copy_a(task, trips)
    add = "_add" * (t.block is not None)
    short = {"float32": "f32", "float64": "f64"}[t.reduction.dtype]
    a_row, a_step = (task.packing.pitch, 1) if task.packing.pitch else (1, t.rows)
    with _tiles(task) as (slot, rows, columns):
        acc = "acc" if t.block is None else f"offset(acc, {slot} * {task.sums})"
        a0, b0 = f"(row - first_row) * {task.strip}", f"(column - first_column) * {task.panel}"
        name, numbers = f"matrix_tile_{t.rows}x{t.columns}{add}", [a0, a_row, "b_packed", b0, "whole"]
        if not task.matrix:
            name = f"outer_tile_{t.rows}x{t.columns}_1_{short}_full{add}"
            numbers = [a0, a_row, t.rows, "b_packed", b0, task.width, "steps", a_step, task.width]
        w.line(f"{name}({', '.join(map(str, [acc, 'a_packed', *numbers]))})")
        if t.block is None:
            _results(task, rows, columns)
        else:  # while other tiles are still to come, so that results reach memory meanwhile
            with w.nest("if left == 0:", conditional=True):
                _results(task, rows, columns, f"{slot} * {task.sums} + ")


def _cut(task: _Task, trips: Trips) -> Trips:
    """The loops without what the sum's conditions cut off; no step at all where one fails for the whole part."""
    w, of_sum = task.w, task.kept.of_sum
    out: list[tuple[Axis, str, str]] = []
    whole = [w.condition(c) for c in of_sum if not any(x in c.index.axes for x, *_ in trips)]
    for x, first, count in trips:
        inside = [c for c in of_sum if x in c.index.axes]
        if inside:
            low, high, _ = w.bounds(x, inside)
            if first != "0":
                w.line(f"{low} = max({low}, {first})")
                w.line(f"{high} = min({high}, {first} + {count})")
            first, count = low, w.fresh("count")
            w.line(f"{count} = max(0, {high} - {low})")
        if whole and not out:
            now = w.fresh("count")
            w.line(f"{now} = {count} if {' and '.join(whole)} else 0")
            count = now
        out.append((x, first, count))
    return out


@contextmanager
def _tiles(task: _Task) -> Iterator[tuple[str, str, str]]:
    """A loop over the task's tiles; yields the texts of a tile's number, its rows and its columns. A column's copy
    stays near for all its rows."""
    w = task.w
    with w.nest("for column in range(first_column, last_column):"):
        columns = task.columns()
        with w.nest("for row in range(first_row, last_row):"):
            rows = task.rows()
            yield f"((column - first_column) * {task.packing.down} + row - first_row)", rows, columns


def _results(task: _Task, rows: str, columns: str, first: str = "") -> None:
    """What is made of a tile's sums, element by element; its first is acc[first + 0]."""
    w, t = task.w, task.tile
    with w.nest(f"for y in range({rows}):", *task.packing.rows):
        task.place_row()
        w.bind(task.column, "(n + z)")
        trips = task.width if task.whole_columns else task.column.extent
        with w.nest(f"for z in range({columns}):", task.column, trips=trips):
            w.levels[-1].values[t.reduction] = f"acc[{first}y * {task.width} + z]"
            write_stores(task.kernel, w)


@contextmanager
def _steps(task: _Task, trips: Trips, conditions: Sequence[loops.Condition] = ()) -> Iterator[str]:
    """Loops over the part of the sum, each condition as far out as it can stand; yields the text of a step's number."""
    w, number, left = task.w, "", list(conditions)
    inner = {x for x, *_ in trips}
    with ExitStack() as nest:
        for x, first, count in trips:
            left = _kept(w, nest, left, inner)
            k = w.fresh("k")
            w.bind(x, f"({first} + {k})" if first != "0" else k)
            nest.enter_context(w.nest(f"for {k} in range({count}):", x, trips=x.extent))
            number = f"({number}) * {count} + {k}" if number else k
            inner.discard(x)
        _kept(w, nest, left, inner)
        yield number


def _kept(w: Writer, nest: ExitStack, conditions: Sequence[loops.Condition], inner: set[Axis]) -> list[loops.Condition]:
    """Opens a level for the conditions that the loops still to come do not change; returns the others."""
    now = [c for c in conditions if not c.index.axes & inner]
    if now:
        nest.enter_context(w.nest(f"if {' and '.join(map(w.condition, now))}:", conditional=True))
    return [c for c in conditions if c not in now]


def _copy_b(task: _Task, trips: Trips) -> None:
    w, t = task.w, task.tile
    with w.nest("for column in range(first_column, last_column):"):
        columns = task.columns()
        with _steps(task, trips) as step:
            w.bind(task.column, "n")
            to = f"(column - first_column) * {task.panel} + ({step}) * {task.width}"
            w.line(f"copied_{task.width}(b_packed, {to}, {_at(w, t.b)}, 0, {columns})")
    if task.matrix:
        with w.nest("for column in range(first_column, last_column):"):
            w.line(f"to = (column - first_column) * {task.panel}")
            _in_pairs(task, "b_packed", "to", t.columns)


def _in_pairs(task: _Task, copy: str, first: str, vectors: int) -> None:
    """A copy's rows, which are so many times 16 elements long, up to a whole number of steps, and in pairs."""
    width = SIDE * vectors
    with task.w.nest(f"for z in range(steps * {width}, whole * {width}):"):
        task.w.line(f"{copy}[{first} + z] = {task.zero}")
    task.w.line(f"matrix_pairs_{vectors}({copy}, {first}, whole)")


def _copy_a(task: _Task, trips: Trips) -> None:
    """For each place of the sum, the elements of a tile's rows."""
    w, t = task.w, task.tile
    with w.nest("for row in range(first_row, last_row):"):
        rows = task.rows()
        with _steps(task, trips) as step:
            w.line(f"to = (row - first_row) * {task.strip} + ({step}) * {t.rows}")
            _column_of_a(task, rows, "a_packed")


def _turn_a(task: _Task, trips: Trips) -> None:
    """The same for one row of tiles after the other, from which its rows are made."""
    w, t = task.w, task.tile
    with w.nest("for row in range(first_row, last_row):", *task.packing.rows[:-1]):
        rows = task.rows()
        if len(task.packing.rows) > 1:  # a tile's rows are neighbours along the last axis
            last = task.packing.rows[-1]
            task.place_row("m")
            w.line(f"m = {w.axis_names[last]}")
        with _steps(task, trips) as step:
            w.line(f"to = ({step}) * {t.rows}")
            _column_of_a(task, rows, "a_columns")
        _in_pairs(task, "a_columns", "0", t.rows // SIDE)
        to = f"(row - first_row) * {task.strip}"
        w.line(f"matrix_turned_{t.rows}(a_packed, {to}, {task.packing.pitch}, a_columns, 0, whole)")


def _column_of_a(task: _Task, rows: str, copy: str) -> None:
    """The elements of a tile's rows at one place of the sum, which lie along the last axis of rows, from `to` on."""
    w, t, x = task.w, task.tile, task.packing.rows[-1]
    outside = [c for c in task.kept.of_a if x not in c.index.axes]
    across = [c for c in task.kept.of_a if x in c.index.axes]
    if stride(address(t.a), x) != 1 or not all(_is_range(c, x) for c in across):
        _gathered_column(task, rows, copy, outside, across)
        return
    low, high = "0", rows
    if across:
        first, end, _ = w.bounds(x, across)
        low, high = f"{first} - m", f"min({rows}, {end} - m)"
    if outside:
        w.line(f"there = {high} if {' and '.join(map(w.condition, outside))} else 0")
        high = "there"
    w.bind(x, "m")
    w.line(f"copied_{t.rows}({copy}, to, {_at(w, t.a)}, {low}, {high})")


def _is_range(c: loops.Condition, x: Axis) -> bool:
    """Does the condition hold between two places along x, and at no other?"""
    return isinstance(c, loops.Within) and c.index.affine_in([x]) and isinstance(c.index.coefficient(x), int)


def _at(w: Writer, load: Expr) -> str:
    """A load's buffer and where in it its element is."""
    return f"{w.names.buffer(load.data[0])}, {w.index(address(load))}"


def _gathered_column(
    task: _Task, rows: str, copy: str, outside: Sequence[loops.Condition], across: Sequence[loops.Condition]
) -> None:
    """The same where neighbours along that axis lie apart."""
    w, t, x = task.w, task.tile, task.packing.rows[-1]
    if rows != str(t.rows) or task.kept.of_a:
        with w.nest(f"for y in range({t.rows}):"):
            w.line(f"{copy}[to + y] = {task.zero}")
    with ExitStack() as nest:
        if outside:
            nest.enter_context(w.nest(f"if {' and '.join(map(w.condition, outside))}:", conditional=True))
        w.bind(x, "(m + y)")
        nest.enter_context(w.nest(f"for y in range({rows}):", x, trips=t.rows))
        if across:
            nest.enter_context(w.nest(f"if {' and '.join(map(w.condition, across))}:", conditional=True))
        w.line(f"{copy}[to + y] = {w.value(t.a)}")


def _copy_rows_of_a(task: _Task, trips: Trips) -> None:
    """The rows of each tile one after the other, those that are not there as zeros."""
    w, t, pitch = task.w, task.tile, task.packing.pitch
    with w.nest("for row in range(first_row, last_row):"):
        rows = task.rows()
        with w.nest(f"for y in range({rows}):", *task.packing.rows):
            task.place_row()
            w.line(f"to = (row - first_row) * {task.strip} + y * {pitch}")
            if task.kept.of_a:
                with w.nest(f"for z in range({task.steps}):"):
                    w.line(f"a_packed[to + z] = {task.zero}")
            elif task.matrix:
                with w.nest("for z in range(steps, whole):"):
                    w.line(f"a_packed[to + z] = {task.zero}")
            with _steps(task, trips, task.kept.of_a) as step:
                w.line(f"a_packed[to + {step}] = {w.value(t.a)}")
        if rows != str(t.rows):
            with w.nest(f"for y in range({rows}, {t.rows}):"), w.nest(f"for z in range({task.steps}):"):
                w.line(f"a_packed[(row - first_row) * {task.strip} + y * {pitch} + z] = {task.zero}")
