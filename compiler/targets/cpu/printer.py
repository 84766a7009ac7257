"""Kernels for the CPU: the schedule of a kernel printed as Python source that Numba compiles.

Every kernel has the signature `(table, thread, threads)` and computes its thread's share of the iteration
space. The forms, one per schedule: plain loops (LLVM vectorises the innermost), chunks of lanes inside reductions,
register tiles (`tile_printer`), and maps of small tiles (`winograd_printer`). Leans on `writer` for expressions and
`schedule` for choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...loops.expressions import Axis
from ...loops.kernels import Kernel
from ...rewriting.verify import verify_source
from ..shared.names import Names
from ..shared.summed_axes import over_the_same
from ..shared.writer import Writer
from .machine import lanes
from .packed_printer import print_packed
from .schedule import BLOCK, Blocked, Chunked, Plain, Tile, Transform
from .shares import blocks, parallel, points_of_a_piece, write_stores
from .tile_printer import print_tile
from .winograd_printer import print_transform

ARGUMENTS = ("table", "thread", "threads")
SHORT = {"float32": "f32", "float64": "f64"}


@dataclass(frozen=True)
class CpuSource:
    """A printed kernel: `text` with neutral names (what is compiled), `names` its arguments."""

    text: str
    names: Names

    def pretty(self, name: str) -> str:
        """For reading: the user's names."""
        return self.names.pretty(self.text).replace("def kernel(", f"def {name}(", 1)


def print_kernel(kernel: Kernel) -> CpuSource:
    """The kernel's source under its schedule. Raises VerifyError where a result is left unwritten."""
    names = Names()
    writer = Writer(names, kernel.values, masks=True)
    writer.in_blocks = True
    if isinstance(kernel.schedule, Tile) and kernel.schedule.packing is not None:
        print_packed(kernel, kernel.schedule, kernel.schedule.packing, writer)
    elif isinstance(kernel.schedule, Tile):
        print_tile(kernel, kernel.schedule, writer)
    elif isinstance(kernel.schedule, Transform):
        print_transform(kernel, kernel.schedule, writer)
    elif isinstance(kernel.schedule, Chunked):
        writer.together = over_the_same(kernel.values)
        _chunked(kernel, kernel.schedule, writer)
    elif isinstance(kernel.schedule, Blocked):
        _blocked(kernel, kernel.schedule, writer)
    else:
        assert isinstance(kernel.schedule, Plain)
        writer.together = over_the_same(kernel.values)
        _plain(kernel, kernel.schedule, writer)
    text = writer.text("kernel", ARGUMENTS)
    verify_source(kernel, text, names.buffers)
    return CpuSource(text, names)


# ---------------------------------------------------------------- plain loops


def _plain(kernel: Kernel, schedule: Plain, w: Writer) -> None:
    order = schedule.order
    if not order:
        with w.nest("if thread == 0:", conditional=True):
            write_stores(kernel, w)
        return
    if len(order) == 1:
        w.bind(order[0], "i")
        part = (order[0], w.names.size(order[0].extent))
        with parallel(w, [part], points_of_a_piece(kernel), order[0].extent):
            write_stores(kernel, w)
        return
    shared, rest = order[:-1], order[-1]
    with parallel(w, [(x, w.names.size(x.extent)) for x in shared], points_of_a_piece(kernel, [rest])):
        i = w.bind(rest, "i")
        w.along = rest
        with w.nest(f"for {i} in range({w.names.size(rest.extent)}):", rest, trips=rest.extent):
            write_stores(kernel, w)


def _blocked(kernel: Kernel, schedule: Blocked, w: Writer) -> None:
    """Square blocks of the two axes that loads and stores run along."""
    parts: list[tuple[Axis | str, str]] = [(x, w.names.size(x.extent)) for x in schedule.order]
    parts += [("down", blocks(w, schedule.load.extent, BLOCK)), ("along", blocks(w, schedule.store.extent, BLOCK))]
    with parallel(w, parts):
        for name, of, x in (("i", "down", schedule.load), ("j", "along", schedule.store)):
            w.line(f"first_{name} = {of} * {BLOCK}")
            w.line(f"end_{name} = min(first_{name} + {BLOCK}, {w.names.size(x.extent)})")
        sides = [x.extent for x in (schedule.load, schedule.store)]
        known = [n for n in sides if isinstance(n, int) and n >= BLOCK]
        if len(known) < len(sides) or not {s.value.dtype for s in kernel.stores} <= set(SHORT):
            _element_by_element(kernel, schedule, w)
        elif all(n % BLOCK == 0 for n in known):
            _in_squares(kernel, schedule, w)
        else:
            with w.nest(f"if end_i - first_i == {BLOCK} and end_j - first_j == {BLOCK}:", conditional=True):
                _in_squares(kernel, schedule, w)
            with w.nest(f"if end_i - first_i < {BLOCK} or end_j - first_j < {BLOCK}:", conditional=True):
                _element_by_element(kernel, schedule, w)


def _element_by_element(kernel: Kernel, schedule: Blocked, w: Writer) -> None:
    i, j = w.bind(schedule.load, "i"), w.bind(schedule.store, "j")
    with (
        w.nest(f"for {i} in range(first_i, end_i):", schedule.load),
        w.nest(f"for {j} in range(first_j, end_j):", schedule.store),
    ):
        write_stores(kernel, w)


def _in_squares(kernel: Kernel, schedule: Blocked, w: Writer) -> None:
    """A block in squares as wide as a vector: values in lanes along the loads, which stores want the other way."""
    side = min(lanes(s.value.dtype) for s in kernel.stores)
    names = [f"square{n}" if n else "square" for n in range(len(kernel.stores))]
    w.scratch += [f"{name} = {s.value.dtype}_scratch({side * side})" for name, s in zip(names, kernel.stores)]
    with (
        w.nest(f"for down_i in range(first_i, end_i, {side}):"),
        w.nest(f"for down_j in range(first_j, end_j, {side}):"),
    ):
        w.bind(schedule.store, "(down_j + y)")
        w.bind(schedule.load, "(down_i + z)")
        with (
            w.nest(f"for y in range({side}):", schedule.store),
            w.nest(f"for z in range({side}):", schedule.load),
        ):
            for name, s in zip(names, kernel.stores):
                w.line(f"{name}[y * {side} + z] = {w.value(s.value)}")
        for name, s in zip(names, kernel.stores):
            w.line(f"transposed_{side}_{SHORT[s.value.dtype]}({name}, 0)")
        w.bind(schedule.load, "(down_i + y)")
        w.bind(schedule.store, "(down_j + z)")
        with (
            w.nest(f"for y in range({side}):", schedule.load),
            w.nest(f"for z in range({side}):", schedule.store),
        ):
            for name, s in zip(names, kernel.stores):
                place = w.index(s.buffer.address(s.index))
                w.line(f"{w.names.buffer(s.buffer)}[{place}] = {name}[y * {side} + z]")


# ---------------------------------------------------------------- chunks of lanes inside reductions


def _chunked(kernel: Kernel, schedule: Chunked, w: Writer) -> None:
    lane = schedule.lane
    n = w.names.size(lane.extent)
    reduced = [e for e in kernel.expressions if e.kind == "reduce" and lane in e.axes]
    needed = {x for e in reduced for x in e.axes}
    outer = [x for x in schedule.order if x in needed]
    mapped = [x for x in schedule.order if x not in needed]
    chunks = f"({n} + {schedule.size - 1}) // {schedule.size}"
    parts: list[tuple[Axis | str, str]] = [(x, w.names.size(x.extent)) for x in outer]
    with parallel(w, [*parts, ("chunk", chunks)]):
        w.line(f"first = chunk * {schedule.size}")
        w.line(f"count = min({schedule.size}, {n} - first)")
        w.bind(lane, "(first + lane)")
        w.lane, w.lane_header, w.chunk_depth = lane, "for lane in range(count):", len(w.levels) - 1
        w.chunk_size = schedule.size
        _nested(kernel, mapped, w)


def _nested(kernel: Kernel, mapped: Sequence[Axis], w: Writer) -> None:
    if mapped:
        name = w.bind(mapped[0], w.fresh("i"))
        with w.nest(f"for {name} in range({w.names.size(mapped[0].extent)}):", mapped[0]):
            _nested(kernel, mapped[1:], w)
        return
    assert w.lane is not None
    with w.nest(w.lane_header, w.lane, trips=w.lane.extent):
        write_stores(kernel, w)
