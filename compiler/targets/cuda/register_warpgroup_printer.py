"""Products of tf32 by warpgroups, printed: one operand in fragments, the other in swizzled stages along its terms.

    fill the first stages
    for step in range(tiles):
        wait for the copies of this stage, and for the products of the one before; then for all threads
        for each 8 terms: load and round fragments of `a`, begin to multiply them
        begin to fill the stage that the products waited for have left

`b` waits in registers for a stage to be left, and is rounded as it goes there. Where another block shares the
multiprocessor, it multiplies while this one loads. Leans on `warpgroups` for the schedule, on `tensor_printer` for
fragments, on `panel_printer` and `tensor_epilogue` for what comes before and after.
"""

from __future__ import annotations

from .schedule import WARP
from .tensor_cores import FRAGMENT_ROWS, TERMS, TensorCoreTiled
from .tensor_epilogue import print_epilogue
from .tensor_printer import Sides, lane_of_fragment, place_fragments, print_fragments
from .tile_printer import place_block
from .warpgroup_printer import print_products
from .warpgroups import HIGH, WARPGROUP, RegisterWarpgroupTiled
from .writer import CudaWriter


def print_register_warpgroups(s: RegisterWarpgroupTiled, w: CudaWriter) -> None:
    """The whole kernel."""
    _, m, n = print_products(s, w, _place_lane, _multiply)
    place_block(s, s.tile.rows, s.tile.columns, w, m, n, again=True)
    _place_sums(s, w)
    print_epilogue(s, w, m, n)


def _place_lane(s: TensorCoreTiled, sides: Sides, w: CudaWriter) -> None:
    """The warp's rows of the tile, its group's columns, and registers for a stage of its fragments."""
    t = s.tile
    words = t.high // FRAGMENT_ROWS * 4 * (t.depth // TERMS[s.precision])
    w.scratch.append(f"a_part = cuda.local.array({words}, uint32)")
    if s.runs[0] > 1:
        w.scratch.append(f"a_run = cuda.local.array({s.runs[0]}, float32)")
    _place_sums(s, w)
    w.line(f"b_at = b_tile + along * {sides[1].row_step}")
    place_fragments(sides[0], "down", s.runs[0], w)


def _place_sums(s: TensorCoreTiled, w: CudaWriter) -> None:
    """Where a lane's sums lie in the tile."""
    t = s.tile
    across = t.columns // t.wide
    w.line(f"down = t // {WARPGROUP} // {across} * {HIGH} + t // {WARP} % {WARPGROUP // WARP} * {t.high}")
    w.line(f"along = t // {WARPGROUP} % {across} * {t.wide}")
    lane_of_fragment(w)


def _multiply(s: RegisterWarpgroupTiled, sides: Sides, w: CudaWriter) -> None:
    t, (a, b), terms = s.tile, sides, TERMS[s.precision]
    down, sums = t.high // FRAGMENT_ROWS, t.wide // 2
    w.line(f"a_now = a_at + ready * {a.room}")
    w.line(f"b_now = b_at + ready * {b.room}")
    with w.nest(f"for first in range(0, {t.depth}, {terms}):"):
        base = f"first * {4 * down // terms} + " if 4 * down >= terms else f"first // {terms // (4 * down)} + "
        print_fragments(s, a, down, w, base)
        w.line("wgmma_fence()")
        with w.nest(f"for y in range({down}):"):
            place = f"{base}y * 4"
            w.line(f"wgmma_{s.precision}_{t.wide}(acc, y * {sums}, a_part, {place}, b_now + first * {b.term_step})")
    w.line("wgmma_commit()")
