"""Products of float32 without tensor cores, printed: stages as for tensor cores, multiplied by threads.

Two terms at a time: of an operand along its rows a thread loads four neighbours of one term at once, of one along its
terms two terms of one row. Its rows are neighbours in fours, or every fourth (its columns every eighth), so that a warp
reads 32 different banks. Leans on `register_tiles` for the schedule, on `tensor_printer` for stages.
"""

from __future__ import annotations

from .panel_printer import Side
from .register_tiles import ALONG, DOWN, RegisterTiled
from .schedule import WARP
from .tensor_epilogue import print_rows
from .tensor_printer import Sides, print_stages
from .writer import CudaWriter

TERMS = 2  # whose elements are in registers together
FOUR = 4


def print_register_tiles(s: RegisterTiled, w: CudaWriter) -> None:
    """The whole kernel."""
    sides, m, n = print_stages(s, w, _place_lane, _multiply)
    _leave(s, sides, w)
    print_rows(s, w, m, n)


def _place_lane(s: RegisterTiled, sides: Sides, w: CudaWriter) -> None:
    """The warp's part of the tile, the thread's elements in registers, and where they begin in either panel."""
    t = s.tile
    for side, count in zip(sides, (s.high, s.wide)):
        w.scratch.append(f"{side.name}_part = cuda.local.array({TERMS * count}, float32)")
        if side.panel.along_terms:
            w.scratch.append(f"{side.name}_run = cuda.local.array({TERMS}, float32)")
    across = t.columns // t.wide
    w.line(f"down = t // {WARP} // {across} * {t.high}")
    w.line(f"along = t // {WARP} % {across} * {t.wide}")
    w.line(f"a_lane = t % {WARP} // {ALONG}")
    w.line(f"b_lane = t % {ALONG}")
    for side, first in zip(sides, ("down", "along")):
        w.line(f"{side.name}_at = {side.name}_tile + ({first} + {_lane(side)}) * {side.row_step}")


def _lane(side: Side) -> str:
    """A thread's first row (or column) of its warp's."""
    return f"{side.name}_lane" if side.panel.along_terms else f"{side.name}_lane * {FOUR}"


def _multiply(s: RegisterTiled, sides: Sides, w: CudaWriter) -> None:
    high, wide = s.high, s.wide
    for side in sides:
        w.line(f"{side.name}_now = {side.name}_at + ready * {side.room}")
    with w.nest(f"for first in range(0, {s.tile.depth}, {TERMS}):"):
        for side, count, threads in zip(sides, (high, wide), (DOWN, ALONG)):
            _elements(side, count, threads, w)
        with (
            w.nest(f"for e in range({TERMS}):"),
            w.nest(f"for y in range({high}):"),
            w.nest(f"for z in range({wide}):"),
        ):
            product = f"a_part[e * {high} + y] * b_part[e * {wide} + z]"
            w.line(f"acc[y * {wide} + z] = acc[y * {wide} + z] + {product}")


def _elements(side: Side, count: int, threads: int, w: CudaWriter) -> None:
    """Two terms of a thread's rows (or columns)."""
    name, at = side.name, f"{side.name}_now + first * {side.term_step}"
    if side.panel.along_terms:
        with w.nest(f"for y in range({count}):"):
            w.line(f"load_shared_{TERMS}({name}_run, 0, {at} + y * {threads * side.row_step})")
            for e in range(TERMS):
                w.line(f"{name}_part[{e * count} + y] = {name}_run[{e}]")
        return
    with w.nest(f"for e in range({TERMS}):"), w.nest(f"for y in range({count // FOUR}):"):
        place = f"{at} + e * {side.term_step} + y * {FOUR * threads * side.row_step}"
        w.line(f"load_shared_{FOUR}({name}_part, e * {count} + y * {FOUR}, {place})")


def _leave(s: RegisterTiled, sides: Sides, w: CudaWriter) -> None:
    """The sums to shared memory, where the stages were."""
    (a, b), high, wide, line = sides, s.high, s.wide, FOUR * s.tile.results_pitch
    w.line("cuda.syncthreads()")
    w.line(f"results = panel(0, {s.tile.rows * s.tile.results_pitch}, float32)")
    lanes = [_lane(side) for side in sides]
    w.line(f"results_at = results + (down + {lanes[0]}) * {line} + (along + {lanes[1]}) * {FOUR}")
    row = f"y * {DOWN * line}" if a.panel.along_terms else f"y // {FOUR} * {FOUR * DOWN * line} + y % {FOUR} * {line}"
    with w.nest(f"for y in range({high}):"):
        if b.panel.along_terms:
            with w.nest(f"for z in range({wide}):"):
                w.line(f"store_shared_float32(results_at + {row} + z * {FOUR * ALONG}, acc[y * {wide} + z])")
        else:
            for z in range(0, wide, FOUR):
                four = ", ".join(f"acc[y * {wide} + {z + i}]" for i in range(FOUR))
                w.line(f"store_shared_{FOUR}(results_at + {row} + {FOUR * ALONG * z}, {four})")
    w.line("cuda.syncthreads()")
