"""Schedules as text: what `kernelwright kernels` prints, and what a user may write instead.

Axes are named per kernel, so that the text is the same in every process: i0, i1, ... are those of its stores in order,
r0, r1, ... those that it sums over. `parse(show(s, k), k)` is s again. What a text leaves out (the operands of a
contraction, its conditions) is the kernel's; a text that does not fit the kernel is one error. Leans on `tiling` and
`transforms` for what fits.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ...errors import CompileError
from ...loops import expressions as loops
from ...loops.expressions import Axis
from ...loops.kernels import Kernel
from ..shared.kernel_text import axis_names, show
from .packing import repacked
from .schedule import LONGEST_CHUNK, Block, Blocked, Chunked, Plain, Schedule, Tile
from .tile_shapes import only
from .tiling import fitting
from .winograd_maps import plan_transform

AXES = r"[ir]\d+(?: [ir]\d+)*|none"
PLAIN = re.compile(rf"loops ({AXES})")
CHUNKED = re.compile(rf"loops ({AXES}), lanes along (\w+) in chunks of (\d+)")
BLOCKED = re.compile(rf"loops ({AXES}), then \d+x\d+ blocks of (\w+) and (\w+)")
TRANSFORM = re.compile(rf"(?:image from )?tiles of .* matrix: lanes (\w+), outer ({AXES})")
TILE = re.compile(r"(outer|dot|matrix) tile ([1-9]\d?)x([1-9]\d?)(?:: (.*))?")
PLACES = re.compile(
    rf"rows (None|{AXES}), columns (\w+), lanes (\w+), summing ({AXES}), outer ({AXES})"
    r"(?:, \d+ tiles together over (\d+) of (\w+))?(, row by row)?(?:, from a panel of \d+ for (\d+) columns)?"
    r"(?:, packed for ([1-9]\d?)x([1-9]\d?) tiles(?: over ([1-9]\d*) of (\w+))?)?"
)
MOST_SUMS = 64
FORMS = (
    '"loops i0 i1", "loops i0, lanes along i1 in chunks of 64", "loops i0, then 32x32 blocks of i1 and i2", '
    '"outer tile 8x2", "dot tile 4x4" or "matrix tile 32x2" alone or with the axes as `kernelwright kernels` prints '
    "them"
)


def parse(text: str, kernel: Kernel) -> Schedule:
    """The schedule that a text means for a kernel.

    Raises CompileError where the text is no schedule, or names axes or a tile that do not fit the kernel.
    """
    text = " ".join(text.split())
    axes = {name: axis for axis, name in axis_names(kernel).items()}
    reader = _Reader(text, kernel, axes)
    for pattern, read in (
        (CHUNKED, reader.chunked),
        (BLOCKED, reader.blocked),
        (PLAIN, reader.plain),
        (TILE, reader.tile),
        (TRANSFORM, reader.transform),
    ):
        match = pattern.fullmatch(text)
        if match is not None:
            return read(*match.groups())
    raise CompileError(f"schedule of {kernel.name}: {text!r} is no schedule; write {FORMS}")


class _Reader:
    """One text for one kernel."""

    def __init__(self, text: str, kernel: Kernel, axes: Mapping[str, Axis]):
        self.text, self.kernel, self.named = text, kernel, axes

    def fail(self, why: str) -> CompileError:
        space = ", ".join(f"{name} < {axis.extent}" for name, axis in self.named.items()) or "none"
        return CompileError(
            f"schedule of {self.kernel.name}: {self.text!r} does not fit: {why} (axes of the kernel: {space})"
        )

    def axis(self, name: str) -> Axis:
        if name not in self.named:
            raise self.fail(f"there is no axis {name}")
        return self.named[name]

    def all(self, names: str) -> tuple[Axis, ...]:
        return () if names == "none" else tuple(self.axis(name) for name in names.split())

    def cover(self, given: Sequence[Axis], wanted: Iterable[Axis], what: str) -> None:
        """Every wanted axis once and no other."""
        needed = list(wanted)
        if len(given) != len(needed) or set(given) != set(needed):
            names = " ".join(name for name, axis in self.named.items() if axis in set(needed)) or "none"
            raise self.fail(f"{what} must be {names} in some order")

    def plain(self, order: str) -> Plain:
        axes = self.all(order)
        self.cover(axes, self.kernel.axes, "the loops")
        return Plain(axes)

    def chunked(self, order: str, lane: str, size: str) -> Chunked:
        axes, along = self.all(order), self.axis(lane)
        self.cover((*axes, along), self.kernel.axes, "the loops with the lanes' axis")
        if not any(along in e.axes for e in self.kernel.expressions if e.kind == "reduce"):
            raise self.fail(f"no sum varies along {lane}")
        if not 0 < int(size) <= LONGEST_CHUNK:
            raise self.fail(f"chunks have 1 to {LONGEST_CHUNK} lanes")
        return Chunked(axes, along, int(size))

    def blocked(self, order: str, load: str, store: str) -> Blocked:
        axes = (*self.all(order), self.axis(load), self.axis(store))
        self.cover(axes, self.kernel.axes, "the loops with the blocks' axes")
        if any(e.kind == "reduce" for e in self.kernel.expressions):
            raise self.fail("blocks are for kernels without sums")
        return Blocked(axes[:-2], axes[-1], axes[-2])

    def transform(self, lane: str, outer: str) -> Schedule:
        planned = plan_transform(self.kernel)
        if planned is None or show(replace(planned, outer=self.all(outer)), self.kernel) != self.text:
            fits = "none" if planned is None else repr(show(planned, self.kernel))
            raise self.fail(f"the kernel's map of tiles is {fits}, of which the outer axes may change order")
        self.cover(self.all(outer), planned.outer, "the outer axes")
        return replace(planned, outer=self.all(outer))

    def tile(self, kind: str, rows: str, columns: str, places: str | None) -> Tile:
        r, c = int(rows), int(columns)
        if r * c > MOST_SUMS:
            raise self.fail(f"a tile has up to {MOST_SUMS} sums, not {r * c}")
        with only(kind, r, c):
            found = fitting(self.kernel)
        if not found:
            with_rows = "" if r == 1 else ", or none with more than one row"
            raise self.fail(f"the kernel is no contraction that {kind} tiles fit{with_rows}")
        if places is None:
            return min(found, key=lambda t: t.cost)
        match = PLACES.fullmatch(places)
        if match is None:
            raise self.fail('after the tile\'s size come "rows i0, columns i1, lanes i1, summing r0, outer none"')
        return self.placed(found, *match.groups())

    def placed(
        self,
        found: Sequence[Tile],
        row: str,
        column: str,
        lane: str,
        summing: str,
        outer: str,
        size: str | None,
        split: str | None,
        across: str | None,
        group: str | None,
        down: str | None,
        wide: str | None,
        part: str | None,
        parted: str | None,
    ) -> Tile:
        rows = () if row == "None" else self.all(row)
        side = None if column == "None" else self.axis(column)
        wanted = (rows, side, self.axis(lane), group is not None, down is not None)
        fits = [t for t in found if _sides(t) == wanted]
        if not fits:
            names = {axis: name for name, axis in self.named.items()} | {None: "None"}
            there = {
                f"rows {' '.join(names[x] for x in _sides(t)[0]) or None}, columns {names[t.column]}, "
                f"lanes {names[t.lane]}" + ", from a panel" * bool(t.panel) + ", packed" * bool(t.packing)
                for t in found
            }
            raise self.fail(f"the addresses allow {'; '.join(sorted(there))}")
        tile = min(fits, key=lambda t: t.cost)
        self.cover(self.all(outer), tile.outer, "the outer axes")
        self.cover(self.all(summing), tile.summed, "the axes summed over")
        summed = self.all(summing)
        if summed != tile.summed and tile.panel is not None:
            raise self.fail("the order of sums from a panel is that of the panel")
        if down is not None and wide is not None:
            return self.packed(replace(tile, outer=self.all(outer), summed=summed), int(down), int(wide), part, parted)
        block = None
        if size is not None and split is not None:
            block = self.block(tile, summed, int(size), self.axis(split))
        columns = int(group) if group else 0
        given = across is not None
        return replace(tile, outer=self.all(outer), summed=summed, block=block, across=given, group=columns)

    def packed(self, tile: Tile, down: int, across: int, size: str | None, axis: str | None) -> Tile:
        block = None
        if size is not None and axis is not None:
            split = self.axis(axis)
            if split not in tile.summed:
                raise self.fail(f"a part of the sum is one of {axis}, which is not summed over")
            block = Block(tile.summed[: tile.summed.index(split)], split, int(size))
        made = repacked(tile, down, across, block)
        if made is None:
            raise self.fail("the copies for so many tiles over such a part of the sum are too large")
        return made

    def block(self, tile: Tile, summed: tuple[Axis, ...], size: int, axis: Axis) -> Block:
        if tile.kind != "outer" or axis not in summed or tile.panel is not None or size < 1:
            raise self.fail("tiles go together over at least one place of an axis that an outer tile sums over")
        outside = summed[: summed.index(axis)]
        if any(isinstance(c, loops.Divides) or c.index.axes & set(outside) for c in tile.conditions):
            raise self.fail(f"conditions cut the sums outside {axis}, so that they cannot be parted there")
        return Block(outside, axis, size)


def _sides(t: Tile) -> tuple[tuple[Axis, ...], Axis | None, Axis, bool, bool]:
    """What tells the ways apart in which tiles fit a kernel's addresses."""
    rows = t.packing.rows if t.packing is not None else () if t.row is None else (t.row,)
    return rows, t.column, t.lane, t.panel is not None, t.packing is not None


def overridden(kernels: Sequence[Kernel], wanted: Mapping[str, str]) -> list[Kernel]:
    """The kernels, with the schedules that are wanted by name or pattern ("conv1*").

    Raises CompileError for a pattern that names no kernel, and as `parse` does.
    """
    out = list(kernels)
    for pattern, text in wanted.items():
        chosen = [i for i, k in enumerate(out) if fnmatch.fnmatchcase(k.name, pattern)]
        if not chosen:
            names = ", ".join(dict.fromkeys(k.name for k in kernels))
            raise CompileError(f"schedules: no kernel is called {pattern!r}; there are {names}")
        for i in chosen:
            schedule = parse(text, out[i])
            out[i] = replace(out[i], schedule=schedule, cycles=getattr(schedule, "cost", out[i].cycles))
    return out
