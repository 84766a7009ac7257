"""Products by warpgroups, printed: copies of 16 bytes fill swizzled stages, `wgmma` multiplies from them.

    fill the first stages
    for step in range(tiles):
        wait for the copies of this stage, and for products of stages before it; then for all threads
        begin to multiply this stage
        begin to fill the one that the products waited for have left

What copies and threads have written is for `wgmma` to see after `fence_async`. Leans on `warpgroups` for the schedule,
on `panel_printer` and `tensor_epilogue` for what comes before and after, on `wgmma` for what the source calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .schedule import WARP
from .tensor_cores import TERMS, TensorCoreTiled
from .tensor_epilogue import print_epilogue
from .tensor_printer import Sides, begin, go_on, lane_of_fragment
from .warpgroups import DEPTH, WARPGROUP, ByWarpgroups, WarpgroupTiled
from .wgmma import BOX
from .writer import CudaWriter

S = TypeVar("S", bound=ByWarpgroups)


def print_warpgroups(s: WarpgroupTiled, w: CudaWriter) -> None:
    """The whole kernel."""
    _, m, n = print_products(s, w, _place_lane, _multiply)
    print_epilogue(s, w, m, n)


def print_products(
    s: S,
    w: CudaWriter,
    place_lane: Callable[[S, Sides, CudaWriter], None],
    multiply: Callable[[S, Sides, CudaWriter], None],
) -> tuple[Sides, str, str]:
    """All up to the sums. Returns the operands, and how many rows and columns there are."""
    t = s.tile
    ahead = t.stages - 1 - s.flying
    sides, m, n = begin(s, w, place_lane, 0)
    w.line(f"filled = int32(tiles - {ahead})")
    with w.nest(f"for step in range({ahead}):"):
        _fill(sides, w, "step", "step < tiles")
    with w.nest("for step in range(tiles):"):
        w.line(f"wait_copies_{ahead - 1}()")
        w.line(f"wgmma_wait_{s.flying}()")
        w.line("fence_async()")
        w.line("cuda.syncthreads()")
        multiply(s, sides, w)
        _fill(sides, w, f"rest(ready + {ahead}, {t.stages})", "step < filled")
        go_on("ready", t.stages, w)
    w.line("wgmma_wait_0()")
    return sides, m, n


def _fill(sides: Sides, w: CudaWriter, stage: str, condition: str) -> None:
    """A stage under way, where there is one."""
    w.line(f"stage = int32({stage})")
    with w.nest(f"if {condition}:"):
        for side in sides:
            side.fill(w)
    w.line("commit_copies()")


def _place_lane(s: TensorCoreTiled, sides: Sides, w: CudaWriter) -> None:
    """The warp's rows of the tile, with all its columns, and where its group's rows begin."""
    w.line(f"down = t // {WARP} * {s.tile.high}")
    w.line("along = 0")
    lane_of_fragment(w)
    w.line(f"a_at = a_tile + t // {WARPGROUP} * {BOX}")


def _multiply(s: WarpgroupTiled, sides: Sides, w: CudaWriter) -> None:
    (a, b), terms = sides, TERMS[s.precision]
    ways = "".join("t" if side.panel.along_terms else "r" for side in sides)
    w.line(f"a_now = a_at + ready * {a.room}")
    w.line(f"b_now = b_tile + ready * {b.room}")
    w.line("wgmma_fence()")
    steps = [terms * side.term_step for side in sides]
    with w.nest(f"for first in range({DEPTH // terms}):"):
        w.line(f"wgmma_{s.tile.columns}_{ways}(acc, a_now + first * {steps[0]}, b_now + first * {steps[1]})")
    w.line("wgmma_commit()")
