"""The printer of maps of small tiles: a tile is mapped in registers, then stored point by point with its epilogue.

Leans on `schedule` for what such a map is, on `shares`, and on the intrinsics of `targets/cpu/llvm/winograd_tiles.py`.
"""

from __future__ import annotations

from ...loops.expressions import Axis, Index, at
from ...loops.kernels import Kernel, address
from ..shared.writer import Writer
from .machine import lanes
from .schedule import Doubted, Grid, Transform
from .shares import blocks, parallel, write_stores
from .winograd_matrices import MATRICES, STEPS

Limits = tuple[str, str]

LITERAL_SIZE = 6
"""Greater sizes come from the table, so that layers of many sizes share a kernel: its tiles are unrolled anyway."""


def print_transform(kernel: Kernel, t: Transform, w: Writer) -> None:
    """The kernel's lines."""
    w.names.literal = LITERAL_SIZE
    if t.rows is None or t.columns is None:
        _to_tiles(kernel, t, w)
    else:
        _to_image(kernel, t, t.rows, t.columns, w)


def _to_tiles(kernel: Kernel, t: Transform, w: Writer) -> None:
    points, _ = MATRICES[t.matrix].shape
    width = lanes(t.reduction.dtype)
    w.scratch.append(f"acc = {t.reduction.dtype}_scratch({points * points * width})")
    with parallel(w, _parts(t, t.outer, w, width)):
        count = _lane(t, w, width)
        limits: list[str] = []
        if t.conditions or not _padded(t):
            for axis in t.pixels:
                inside = [c for c in t.conditions if axis in c.index.axes]
                limits += w.bounds(axis, inside)[:2] if inside else ("0", str(axis.extent))
            limits.append(str(width) if _padded(t) else count)
        for axis in (*t.points, *t.pixels):
            w.bind(axis, "0")
        place = address(t.load)
        steps = [w._factor(place.coefficient(axis)) for axis in t.pixels]
        _call(t, w, f"transform_{t.matrix}_all_all", place, steps, limits)
        with w.nest(f"for y in range({points}):", t.points[0]), w.nest(f"for x in range({points}):", t.points[1]):
            w.bind(t.points[0], "y")
            w.bind(t.points[1], "x")
            _stores(kernel, t, w, points, width)


def _to_image(kernel: Kernel, t: Transform, rows: Grid, columns: Grid, w: Writer) -> None:
    size, step = MATRICES[t.matrix].shape[1], STEPS[t.matrix]
    width, pitch = lanes(t.reduction.dtype), min(step, size)
    acc = (pitch * pitch + 1) * width  # the last vector: the greatest magnitude that was mapped
    w.scratch.append(f"acc = {t.reduction.dtype}_scratch({acc})")
    with parallel(w, _parts(t, (*t.outer, rows.tile, columns.tile), w, width)):
        count = _lane(t, w, width)
        first = range(0, size, step)
        overlap = len(first) > 1
        if overlap:
            with w.nest(f"for z in range({acc}):"):
                w.line(f"acc[z] = {t.reduction.dtype}(0)")
        for down in first:
            for along in first:
                _from_tile(t, rows, columns, down, along, w, "_whole_add" if overlap else "_whole")
        h, w0 = (f"{step} * {w.axis_names[grid.tile]} - {grid.pad}" for grid in (rows, columns))
        w.line(f"h = {h}" if rows.pad else f"h = {step} * {w.axis_names[rows.tile]}")
        w.line(f"w = {w0}" if columns.pad else f"w = {step} * {w.axis_names[columns.tile]}")
        w.bind(rows.pixel, "(h + y)")
        w.bind(columns.pixel, "(w + x)")
        inside = _pixels(w, rows, "h", pitch), _pixels(w, columns, "w", pitch)
        if t.doubted is not None:
            _doubt(t, t.doubted, (rows, columns), inside, count, w)
        with (
            w.nest(f"for y in {_range(inside[0])}:", rows.pixel),
            w.nest(f"for x in {_range(inside[1])}:", columns.pixel),
        ):
            _stores(kernel, t, w, pitch, width)


def _doubt(
    t: Transform, d: Doubted, grids: tuple[Grid, Grid], inside: tuple[Limits, Limits], count: str, w: Writer
) -> None:
    """Results far smaller than what the tile holds, or of a tile that holds what is not finite, are summed anew.

    Where all that a result reads is 0 it is 0, and where some is NaN it is NaN, without a sum for each lane."""
    pitch, width = min(STEPS[t.matrix], MATRICES[t.matrix].shape[1]), lanes(t.reduction.dtype)
    (y0, y1), (x0, x1) = inside
    place = f"acc[(y * {pitch} + x) * {width} + z]"
    w.line(f"doubt = transform_doubt_{t.matrix}(acc, {y0}, {y1}, {x0}, {x1}, {count})")
    with (
        w.nest("if doubt != 0:", conditional=True),
        w.nest(f"for y in range({y0}, {y1}):", grids[0].pixel),
        w.nest(f"for x in range({x0}, {x1}):", grids[1].pixel),
    ):
        w.line(f"small = transform_doubt_{t.matrix}(acc, y, y + 1, x, x + 1, {count})")
        with w.nest("if small != 0:", conditional=True):
            seen = w.value(d.common)
            with w.nest(f"for z in range({count}):"):
                w.line(f"{place} = {seen}")
            with w.nest(f"if {seen} > 0 or (small == 2 and {seen} == {seen}):", conditional=True):
                w.bind(t.lane, "(n + z)")
                with w.nest(f"for z in range({count}):"):
                    w.line(f"{place} = {t.reduction.dtype}(0)")
                w.add_in_lanes(d.sum, place, f"for z in range({count}):", t.lane)


def _from_tile(t: Transform, rows: Grid, columns: Grid, down: int, along: int, w: Writer, suffix: str) -> None:
    """What the tile that begins `down / step` rows and `along / step` columns before this one adds."""
    step = STEPS[t.matrix]
    buffer, index = t.load.data
    conditions = []
    place = list(index)
    for grid, back in ((rows, down // step), (columns, along // step)):
        place[grid.dimension] = at(grid.tile) + -back
        count_of_tiles = buffer.shape[grid.dimension]
        if back or grid.tile.extent != count_of_tiles:
            name = w.axis_names[grid.tile]
            conditions.append(f"{back} <= {name} < {w.names.size(count_of_tiles + back)}")
    for axis in t.points:
        w.bind(axis, "0")
    where = buffer.address(tuple(place))
    steps = [w._factor(where.coefficient(axis)) for axis in t.points]
    name = f"transform_{t.matrix}_back{down}_back{along}{suffix}"
    if not conditions:
        _call(t, w, name, where, steps, [])
        return
    with w.nest(f"if {' and '.join(conditions)}:", conditional=True):
        _call(t, w, name, where, steps, [])


def _pixels(w: Writer, grid: Grid, first: str, most: int) -> Limits:
    """The places of a tile that lie inside the image: from one number on, below the other."""
    exact = grid.pad == 0 and isinstance(grid.pixel.extent, int) and grid.pixel.extent % most == 0
    if exact:
        return "0", str(most)
    return (f"max(0, -{first})" if grid.pad else "0"), f"min({most}, {w.names.size(grid.pixel.extent)} - {first})"


def _range(limits: Limits) -> str:
    return f"range({', '.join(each for i, each in enumerate(limits) if i or each != '0')})"


def _parts(t: Transform, outer: tuple[Axis, ...], w: Writer, width: int) -> list[tuple[Axis | str, str]]:
    return [*((x, w.names.size(x.extent)) for x in outer), ("block", blocks(w, t.lane.extent, width))]


def _lane(t: Transform, w: Writer, width: int) -> str:
    """How many lanes this vector has; the first is `n`."""
    w.line(f"n = block * {width}")
    w.bind(t.lane, "n")
    if isinstance(t.lane.extent, int) and t.lane.extent % width == 0:
        return str(width)
    w.line(f"lanes = min({width}, {w.names.size(t.lane.extent)} - n)")
    return "lanes"


def _padded(t: Transform) -> bool:
    """May whole vectors be loaded? Our own buffers are followed by readable bytes for the widest vector."""
    return t.load.data[0].kind in ("temp", "carry", "state", "constant")


def _call(t: Transform, w: Writer, name: str, place: Index, steps: list[str], limits: list[str]) -> None:
    name = name if limits or "_whole" in name else f"{name}_whole"
    arguments = ["acc", w.names.buffer(t.load.data[0]), w.index(place), *steps, *limits]
    w.line(f"{name}({', '.join(arguments)})")


def _stores(kernel: Kernel, t: Transform, w: Writer, pitch: int, width: int) -> None:
    w.bind(t.lane, "(n + z)")
    fixed = isinstance(t.lane.extent, int) and t.lane.extent % width == 0
    with w.nest(f"for z in range({width if fixed else 'lanes'}):", t.lane, trips=width):
        wanted = t.reduction if t.doubted is None else t.doubted.chosen
        w.levels[-1].values[wanted] = f"acc[(y * {pitch} + x) * {width} + z]"
        write_stores(kernel, w)
