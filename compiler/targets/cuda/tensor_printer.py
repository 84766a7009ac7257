"""Products of matrices on tensor cores, printed: stages in shared memory filled by asynchronous copies, mma by warps.

    for step in range(tiles + stages - 1):      one body fills a stage and multiplies an earlier one
        wait for the stage to be multiplied, and for all threads
        begin to fill stage `step`
        multiply stage `step - stages + 1`

The barrier of a step parts the reading of a stage in the step before from the copies that fill it anew. Leans on
`tensor_cores` for the schedule, on `panel_printer` and `tensor_epilogue` for what comes before and after, on `mma` and
`shared_memory` for what the source calls, on `writer` for expressions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ... import dtypes
from ...shapes import product
from .panel_printer import Side
from .schedule import WARP
from .tensor_cores import FRAGMENT_COLUMNS, FRAGMENT_ROWS, TERMS, TensorCoreTiled
from .tensor_epilogue import print_epilogue
from .tile_printer import place_block
from .writer import CudaWriter

Sides = tuple[Side, Side]
"""The two operands of a product."""
S = TypeVar("S", bound=TensorCoreTiled)


def print_tensor(s: TensorCoreTiled, w: CudaWriter) -> None:
    """The whole kernel."""
    _, m, n = print_stages(s, w, _place_lane, _multiply)
    print_epilogue(s, w, m, n)


def print_stages(
    s: S,
    w: CudaWriter,
    place_lane: Callable[[S, Sides, CudaWriter], None],
    multiply: Callable[[S, Sides, CudaWriter], None],
) -> tuple[Sides, str, str]:
    """All up to the sums. Returns the operands, and how many rows and columns there are."""
    t = s.tile
    sides, m, n = begin(s, w, place_lane, 1)
    w.line("stage = int32(0)")
    with w.nest(f"for step in range(int32(tiles + {t.stages - 1})):"):
        with w.nest(f"if step >= {t.stages - 1}:"):
            w.line(f"wait_copies_{t.stages - 2}()")
            w.line("cuda.syncthreads()")
        with w.nest("if step < tiles:"):
            for side in sides:
                side.fill(w)
        w.line("commit_copies()")
        with w.nest(f"if step >= {t.stages - 1}:"):
            multiply(s, sides, w)
        go_on("stage", t.stages, w)  # what is multiplied is the one after what is filled: the oldest
        go_on("ready", t.stages, w)
    return sides, m, n


def begin(
    s: S,
    w: CudaWriter,
    place_lane: Callable[[S, Sides, CudaWriter], None],
    ready: int,
) -> tuple[Sides, str, str]:
    """What comes before the first stage; `ready` is the first to be multiplied. Returns the operands, and how many rows
    and columns there are."""
    t = s.tile
    m, n, k = (w.names.size(product(x.extent for x in axes)) for axes in (s.rows, s.columns, s.summed))
    sides = (Side(s, s.a_panel, "a", "m", t.rows), Side(s, s.b_panel, "b", "n", t.columns))
    _declare(s, sides, w)
    place_block(s, t.rows, t.columns, w, m, n)
    place_lane(s, sides, w)
    for side, count in zip(sides, (m, n)):
        side.prepare(w, count)
    with w.nest(f"for z in range({t.sums}):"):
        w.line("acc[z] = float32(0.0)")
    _stages_of_block(s, sides, w, k)
    w.line(f"ready = int32({ready})")
    return sides, m, n


def go_on(name: str, stages: int, w: CudaWriter) -> None:
    """To the next stage, after the last to the first."""
    w.line(f"{name} = int32({name} + 1)")
    with w.nest(f"if {name} == {stages}:"):
        w.line(f"{name} = int32(0)")


def _declare(s: TensorCoreTiled, sides: Sides, w: CudaWriter) -> None:
    """Panels in shared memory, sums in registers."""
    first = 0
    for side, room in zip(sides, s.rooms):
        kind = dtypes.stored(side.panel.words)
        w.scratch.append(f"{side.name}_tile = panel({first}, {room // side.panel.itemsize}, {kind})")
        first += room
    w.scratch.append(f"acc = cuda.local.array({s.tile.sums}, float32)")


def _stages_of_block(s: TensorCoreTiled, sides: Sides, w: CudaWriter, k: str) -> None:
    """How many stages this block goes through: none where all its terms are zeros."""
    w.line(f"tiles = int32(({k} + {s.tile.depth - 1}) // {s.tile.depth})")
    for condition in dict.fromkeys(c for side in sides for c in side.elements.of_block):
        with w.nest(f"if not ({w.condition(condition)}):"):
            w.line("tiles = int32(0)")


def _place_lane(s: TensorCoreTiled, sides: Sides, w: CudaWriter) -> None:
    """The warp's part of the tile, the lane's fragments in registers, and where they begin in either panel."""
    t = s.tile
    for name, words in (("a_part", t.high // FRAGMENT_ROWS * 4), ("b_part", t.wide // FRAGMENT_COLUMNS * 2)):
        w.scratch.append(f"{name} = cuda.local.array({words}, uint32)")
    for name, run in zip("ab", s.runs):
        if run > 1:
            w.scratch.append(f"{name}_run = cuda.local.array({run}, float32)")
    across = t.columns // t.wide
    w.line(f"down = t // {WARP} // {across} * {t.high}")
    w.line(f"along = t // {WARP} % {across} * {t.wide}")
    lane_of_fragment(w)
    for side, first, run in zip(sides, ("down", "along"), s.runs):
        place_fragments(side, first, run, w)


def place_fragments(side: Side, first: str, run: int, w: CudaWriter) -> None:
    """Where the lane's fragments begin in a panel."""
    row, term = _lane(side, run)
    w.line(f"{side.name}_at = {side.name}_tile + ({first} + {row}) * {side.row_step} + {term} * {side.term_step}")


def lane_of_fragment(w: CudaWriter) -> None:
    """A lane's row and its pair of columns in the sums of a fragment."""
    w.line(f"group = t % {WARP} // 4")
    w.line("quad = t % 4")


def _lane(side: Side, run: int) -> tuple[str, str]:
    """(row, term) of the lane's first element of a fragment; for loads of matrices, of the line whose address it gives.

    Four matrices of 8 rows by 16 bytes are two blocks of rows by two of terms: those of an operand with rows first
    along its rows, as the fragment of 16 rows has them, the other's first along its terms, two fragments of 8 columns.
    """
    panel, half = side.panel, 16 // side.panel.itemsize
    if not panel.by_matrices:
        return f"group * {run}", "quad * 2" if panel.packed else "quad"
    rows_first = side.name == "a"
    if panel.along_terms:
        return (
            ("t % 16", f"t // 16 % 2 * {half}") if rows_first else ("(t % 8 + t // 16 % 2 * 8)", f"t // 8 % 2 * {half}")
        )
    if rows_first:
        return "t // 8 % 2 * 8", "(t % 8 + t // 16 % 2 * 8)"
    return "t // 16 % 2 * 8", "(t % 8 + t // 8 % 2 * 8)"


def _multiply(s: TensorCoreTiled, sides: Sides, w: CudaWriter) -> None:
    """Fragments of one stage, and their products."""
    t = s.tile
    a, b = sides
    down, along = t.high // FRAGMENT_ROWS, t.wide // FRAGMENT_COLUMNS
    for side in sides:
        w.line(f"{side.name}_now = {side.name}_at + ready * {side.room}")
    with w.nest(f"for first in range(0, {t.depth}, {TERMS[s.precision]}):"):
        print_fragments(s, a, down, w)
        print_fragments(s, b, along // 2, w)
        with w.nest(f"for y in range({down}):"), w.nest(f"for z in range({along}):"):
            w.line(f"mma_{s.precision}(acc, (y * {along} + z) * 4, a_part, y * 4, b_part, z * 2)")


def print_fragments(s: TensorCoreTiled, side: Side, count: int, w: CudaWriter, base: str = "") -> None:
    """A lane's four words of each of `count` blocks of 16 rows (or columns), from term `first` on; to its registers for
    them, from place `base` on."""
    name, panel, words = side.name, side.panel, 4
    run = s.runs[0 if name == "a" else 1]
    if run > 1:
        _runs(side, run, count, w, base)
    else:
        at = f"{name}_now + y * {16 * side.row_step} + first * {side.term_step}"
        with w.nest(f"for y in range({count}):"):
            if panel.by_matrices:
                load = "load_matrices" if panel.along_terms else "load_matrices_transposed"
                w.line(f"{load}({name}_part, {base}y * {words}, {at})")
            for part in range(0 if panel.by_matrices else words):
                row, half = (part % 2, part // 2) if name == "a" else (part // 2, part % 2)
                w.line(f"{name}_part[{base}y * {words} + {part}] = {_packed(side, at, 8 * row, half)}")
    if s.precision == "tf32":
        with w.nest(f"for y in range({count * words}):"):
            w.line(f"{name}_part[{base}y] = round_tf32({name}_part[{base}y])")


def _runs(side: Side, run: int, count: int, w: CudaWriter, base: str) -> None:
    """Fragments by loads of `run` neighbouring rows of 4 bytes: fragments have the rows in another order, which
    `tensor_epilogue` knows. A row is half a fragment of `a`, and one of `b` has 8 columns."""
    name = side.name
    halves = 2 if name == "a" else 1
    with w.nest(f"for y in range({count * 2 // run}):"), w.nest("for half in range(2):"):
        at = f"{name}_now + y * {8 * run * side.row_step} + first * {side.term_step} + half * {4 * side.term_step}"
        w.line(f"load_shared_{run}({name}_run, 0, {at})")
        for i in range(run):
            part = f"{i // halves * 2 * halves + i % halves} + half * {halves}"
            w.line(f"{name}_part[{base}y * {2 * run} + {part}] = bits({name}_run[{i}])")


def _packed(side: Side, at: str, row: int, half: int) -> str:
    """One word of a fragment, two terms rounded to bfloat16."""
    place = row * side.row_step + 8 * half * side.term_step
    if side.panel.along_terms:
        return f"pack_shared({at}{_more(place)})"
    pair = (f"shared_float32({at}{_more(place + e * side.term_step)})" for e in range(2))
    return f"pack_bfloat16({', '.join(pair)})"


def _more(nbytes: int) -> str:
    return f" + {nbytes}" if nbytes else ""
