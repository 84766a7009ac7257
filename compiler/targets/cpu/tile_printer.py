"""Register tiles, printed: what a tile adds up, alone, with its neighbours over a part of the sum, or from a panel, and
the epilogue that makes results of the sums.

`printer` calls `print_tile` for kernels with such a schedule. Leans on `shares` for a thread's share.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from ...loops import expressions as loops
from ...loops.expressions import Axis, Index
from ...loops.kernels import Kernel
from ...shapes import Dim
from ..shared.writer import Writer
from .machine import lanes
from .operand_cost import in_one_piece
from .panel import Panel
from .schedule import SLOTS, Block, Tile
from .shares import blocks, parallel, product, take_apart, write_stores


def print_tile(kernel: Kernel, t: Tile, w: Writer) -> None:
    """A kernel whose schedule is a register tile."""
    dtype = t.reduction.dtype
    width = t.columns * lanes(dtype) if t.kind == "outer" else t.columns
    parts: list[tuple[Axis | str, str]] = [(x, w.names.size(x.extent)) for x in t.outer]
    if t.column is not None:
        parts.append(("column", blocks(w, t.column.extent, width)))
    if t.row is not None:
        parts.insert(len(t.outer) if t.across else len(parts), ("row", blocks(w, t.row.extent, t.rows)))
    if t.block is not None:
        _tiles_together(kernel, t, t.block, w, parts, width)
        return
    if t.panel is not None:
        _tiles_of_panel(kernel, t, t.panel, w, width)
        return
    w.scratch.append(f"acc = {dtype}_scratch({t.rows * width})")
    with parallel(w, parts):
        rows, columns = sides(t, w, width)
        _call(t, w, rows, columns)
        epilogue(kernel, t, w, width)


def sides(t: Tile, w: Writer, width: int) -> tuple[str, str]:
    """How many rows and columns this tile has; their first are `m` and `n`."""
    return side(w, "row", t.row, t.rows), side(w, "column", t.column, width)


def _tiles_together(
    kernel: Kernel, t: Tile, block: Block, w: Writer, parts: list[tuple[Axis | str, str]], width: int
) -> None:
    """Up to SLOTS neighbouring tiles go through the sum block by block, their sums in memory meanwhile. A thread's
    tiles are in groups of one size, or nearly."""
    dtype, size = t.reduction.dtype, t.rows * width
    w.scratch.append(f"acc = {dtype}_scratch({SLOTS * size})")
    w.line(f"work = {product(parts)}")
    w.line("first = work * thread // threads")
    w.line("count = work * (thread + 1) // threads - first")
    w.line(f"groups = (count + {SLOTS - 1}) // {SLOTS}")
    with w.nest("for group in range(groups):"):
        w.line("base = first + count * group // groups")
        w.line("slots = first + count * (group + 1) // groups - base")
        with w.nest(f"for z in range(slots * {size}):"):
            w.line(f"acc[z] = {dtype}(0)")
        with ExitStack() as nest:
            for x in block.outside:
                nest.enter_context(w.nest(f"for {w.bind(x, w.fresh('k'))} in range({w.names.size(x.extent)}):", x))
            nest.enter_context(w.nest(f"for block in range({blocks(w, block.axis.extent, block.size)}):"))
            with w.nest("for slot in range(slots):", *t.outer):
                take_apart(w, "base + slot", parts)
                rows, columns = sides(t, w, width)
                _fetch_ahead(t, block, w)
                _call(t, w, rows, columns, f"offset(acc, slot * {size})")
        with w.nest("for slot in range(slots):", *t.outer):
            take_apart(w, "base + slot", parts)
            sides(t, w, width)
            epilogue(kernel, t, w, width, f"slot * {size} + ")


def _fetch_ahead(t: Tile, block: Block, w: Writer) -> None:
    """With every tile of a block, its share of the next block is asked for where that lies in one piece: a tile reads
    a few elements of each row, and the processor sees no pattern in that."""
    for load, place in zip((t.a, t.b), t.places):
        if not in_one_piece(place, block.axis, (t.row, t.column), t.outer):
            continue
        row = place.coefficient(block.axis)
        here = [x for x in (t.row, t.column, *t.summed) if x is not None and x not in block.outside]
        start = w.index(_without(place, here))
        piece = w.names.size(row * block.size)
        w.line(f"share = {piece} // slots + 1")
        w.line(f"ahead = {start} + (block + 1) * {piece} + slot * share")
        w.line(f"prefetch({w.names.buffer(load.data[0])}, ahead, share)")


def _tiles_of_panel(kernel: Kernel, t: Tile, panel: Panel, w: Writer, width: int) -> None:
    """Per place of the outer axes: the panel is filled, then a group of columns of tiles is computed from it."""
    assert t.row is not None and t.column is not None
    dtype = t.reduction.dtype
    w.scratch += [f"acc = {dtype}_scratch({t.rows * width})", f"panel = {t.a.data[0].dtype}_scratch({panel.size})"]
    columns = blocks(w, t.column.extent, width)
    groups = blocks(w, t.column.extent, width * t.group)
    parts: list[tuple[Axis | str, str]] = [("group", groups), *((x, w.names.size(x.extent)) for x in t.outer)]
    if panel.conditions:
        _clear(panel, w)
    with parallel(w, parts):
        _fill(panel, w)
        several = f"range(group * {t.group}, min({columns}, group * {t.group} + {t.group}))"
        with (
            w.nest(f"for column in {several}:"),
            w.nest(f"for row in range({blocks(w, t.row.extent, t.rows)}):"),
        ):
            rows, count = sides(t, w, width)
            _call(t, w, rows, count)
            epilogue(kernel, t, w, width)


def _fill(panel: Panel, w: Writer) -> None:
    """The values where the conditions hold. Elsewhere zeros stay, which are written again only where the conditions cut
    off what they do not cut off everywhere."""
    pieces, value = panel.pieces()
    place = Index()
    for x, _, _ in pieces:
        place = place * x.extent + loops.at(x)
    headers, cut = [], []
    for x, whole, each in pieces:
        inside = [c for c in panel.conditions if whole in c.index.axes]
        first, last = w.bounds(whole, inside)[:2] if inside else ("0", w.names.size(whole.extent))
        if not all(c.index.axes <= set(panel.axes) for c in inside):
            cut.append(f"{first} > 0 or {last} < {w.names.size(whole.extent)}")
        if each > 1:
            first, last = (f"{side} * {w.names.size(each)}" if side != "0" else side for side in (first, last))
        headers.append((f"for {w.bind(x, w.fresh('p'))} in range({first}, {last}):", x))
    outside = [w.condition(c) for c in panel.conditions if not c.index.axes & set(panel.axes)]
    if cut or outside:
        with w.nest(f"if {' or '.join([*(f'not {c}' for c in outside), *cut])}:", conditional=True):
            _clear(panel, w)
    with ExitStack() as nest:
        if outside:
            nest.enter_context(w.nest(f"if {' and '.join(outside)}:", conditional=True))
        for header, x in headers:
            nest.enter_context(w.nest(header, x, trips=x.extent))
        w.line(f"panel[{w.index(place)}] = {w.value(value)}")


def _clear(panel: Panel, w: Writer) -> None:
    with w.nest(f"for z in range({w.names.size(panel.size)}):"):
        w.line(f"panel[z] = {panel.value.dtype}(0)")


def side(w: Writer, name: str, axis: Axis | None, size: int) -> str:
    """How many rows (columns) this tile has; their first is `m` (`n`)."""
    if axis is None:
        return "1"
    first = "m" if name == "row" else "n"
    w.line(f"{first} = {name} * {size}" if size > 1 else f"{first} = {name}")
    w.bind(axis, first)
    if isinstance(axis.extent, int) and axis.extent % size == 0:
        return str(size)
    w.line(f"{name}s = min({size}, {w.names.size(axis.extent)} - {first})")
    return f"{name}s"


def _call(t: Tile, w: Writer, rows: str, columns: str, acc: str = "acc") -> None:
    """Bounds of the summed loops where conditions or blocks cut them, then the tile."""
    where = t.places
    start: dict[Axis, str] = {}
    trips: dict[Axis, str] = {}
    steps: dict[Axis, int] = {}
    empty: list[str] = []
    outside = t.block.outside if t.block is not None else ()
    summed = tuple(x for x in t.summed if x not in outside) + ((t.lane,) if t.kind == "dot" else ())
    for x in summed:
        start[x], trips[x], steps[x] = "0", w.names.size(x.extent), 1
    for x in summed:
        inside = [c for c in t.conditions if x in c.index.axes]
        if inside:
            start[x], last, steps[x] = w.bounds(x, inside)
            count = f"{last} - {start[x]}"
            trips[x] = f"max(0, {count})" if steps[x] == 1 else f"max(0, ({count} + {steps[x] - 1}) // {steps[x]})"
        if t.block is not None and x is t.block.axis:
            start[x], trips[x] = _within_block(w, t.block, start[x], last if inside else w.names.size(x.extent))
    for c in t.conditions:
        if not any(x in c.index.axes for x in summed):
            empty.append(w.condition(c))
    for x in summed:
        w.bind(x, start[x])
    a0, b0 = (w.index(_without(i, [x for x in summed if start[x] == "0" and steps[x] == 1])) for i in where)
    nest = _nest(t, w, trips, steps)
    if empty and nest:
        nest[0] = (f"({nest[0][0]} if {' and '.join(empty)} else 0)", *nest[0][1:])
    loop_args = [text for n, *moves in nest for text in (n, *map(w._factor, moves))]
    a = "panel" if t.panel is not None else w.names.buffer(t.a.data[0])
    b = w.names.buffer(t.b.data[0])
    a_row = w._factor(where[0].coefficient(t.row)) if t.row is not None else "0"
    short = {"float32": "f32", "float64": "f64"}[t.reduction.dtype]
    name = f"{t.kind}_tile_{t.rows}x{t.columns}_{len(nest)}_{short}"
    if t.kind == "outer":
        args = [acc, a, a0, a_row, rows, b, b0, columns, *loop_args]
        w.line(f"{name}{'_full' if _unmasked(t) else ''}{'_add' if t.block else ''}({', '.join(args)})")
        return
    b_column = w._factor(where[1].coefficient(t.column)) if t.column is not None else "0"
    length = trips[t.lane]
    if empty and not t.summed:
        length = f"({length} if {' and '.join(empty)} else 0)"
    args = ["acc", a, a0, a_row, rows, b, b0, b_column, columns, length, *loop_args]
    w.line(f"{name}({', '.join(args)})")


def _within_block(w: Writer, block: Block, first: str, last: str) -> tuple[str, str]:
    """(first place, number of places) of the split axis in this block."""
    start, stop = w.fresh("start"), w.fresh("stop")
    low = f"block * {block.size}"
    w.line(f"{start} = {low if first == '0' else f'max({first}, {low})'}")
    w.line(f"{stop} = min({last}, {low} + {block.size})")
    return start, f"max(0, {stop} - {start})"


def _nest(t: Tile, w: Writer, trips: dict[Axis, str], steps: dict[Axis, int]) -> list[tuple[str, Dim, Dim]]:
    """(trips, step of a, step of b) per summed loop, outermost first; a loop over all of an axis that goes on where
    the next trip of the loop around it starts becomes one with it."""
    nest: list[tuple[str, Dim, Dim]] = []
    whole: Dim | None = None  # the number of trips of nest[0], where no condition cuts them
    for x in reversed([x for x in t.summed if t.block is None or x not in t.block.outside]):
        a_step, b_step = (_step(place, x, steps[x]) for place in t.places)
        uncut = trips[x] == w.names.size(x.extent)
        if nest and whole is not None and (a_step, b_step) == (nest[0][1] * whole, nest[0][2] * whole):
            nest[0] = (f"{_factored(trips[x])} * {nest[0][0]}", *nest[0][1:])
            whole = x.extent * whole if uncut else None
        else:
            nest.insert(0, (trips[x], a_step, b_step))
            whole = x.extent if uncut else None
    return nest


def _factored(text: str) -> str:
    return text if text.isidentifier() or text.isdigit() or text.startswith("max(") else f"({text})"


def _unmasked(t: Tile) -> bool:
    """May the tile load whole vectors of b? Masked loads cost a quarter of its speed.

    Our own buffers are followed by readable bytes for the widest tile, and lanes past the end are not stored.
    """
    width = t.columns * lanes(t.reduction.dtype)
    whole = isinstance(t.lane.extent, int) and t.lane.extent % width == 0
    return whole or t.b.data[0].kind in ("temp", "carry", "state", "constant")


def _without(index: Index, axes: Sequence[Axis]) -> Index:
    """The index with some axes at zero."""
    return index.substitute({x: Index() for x in axes})


def _step(index: Index, x: Axis, step: int) -> Dim:
    """How far the address moves when the summed loop over x takes one step."""
    total: Dim = index.coefficient(x) * step
    for atom, c in index.terms:
        if isinstance(atom, loops.Div) and x in atom.index.axes:
            inner = atom.index.coefficient(x) * step
            assert isinstance(inner, int) and isinstance(atom.by, int) and inner % atom.by == 0
            total = total + c * (inner // atom.by)
    return total


def epilogue(kernel: Kernel, t: Tile, w: Writer, width: int, first: str = "") -> None:
    """What is made of the sums, element by element of the tile; the first is acc[first + 0]."""
    row_axes = (t.row,) if t.row is not None else ()
    column_axes = (t.column,) if t.column is not None else ()
    place = (
        "y * " + str(width) + " + z"
        if t.row is not None and t.column is not None
        else "y"
        if t.row
        else "z"
        if t.column
        else "0"
    )

    def body() -> None:
        w.levels[-1].values[t.reduction] = f"acc[{first}{place}]"
        write_stores(kernel, w)

    def columns() -> None:
        if not column_axes:
            body()
            return
        assert t.column is not None
        w.bind(t.column, "(n + z)")
        fixed = isinstance(t.column.extent, int) and t.column.extent % width == 0
        trips = width if fixed else t.column.extent
        with w.nest(f"for z in range({width if fixed else 'columns'}):", *column_axes, trips=trips):
            body()

    if not row_axes:
        columns()
        return
    assert t.row is not None
    w.bind(t.row, "(m + y)")
    fixed = isinstance(t.row.extent, int) and t.row.extent % t.rows == 0
    with w.nest(f"for y in range({t.rows if fixed else 'rows'}):", *row_axes):
        columns()
