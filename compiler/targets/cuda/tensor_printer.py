"""Products of matrices on tensor cores, printed: stages in shared memory filled by asynchronous copies, mma by warps.

    for step in range(tiles + stages - 1):      one body fills a stage and multiplies an earlier one
        wait for the stage to be multiplied, and for all threads
        begin to fill stage `step`
        multiply stage `step - stages + 1`

The barrier of a step parts the reading of a stage in the step before from the copies that fill it anew. Leans on
`tensor_cores` for the schedule, on `mma` for what the source calls, on `writer` for expressions.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ...loops.kernels import address
from ...shapes import Dim, product
from .schedule import WARP
from .tensor_cores import FRAGMENT_COLUMNS, FRAGMENT_ROWS, TERMS, SharedPanel, TensorCoreTiled, copied
from .tile_printer import place_block
from .writer import CudaWriter

ALIGNMENT = 16
UNROLLED = 32  # sums in one loop of the epilogue


def print_tensor(s: TensorCoreTiled, w: CudaWriter) -> None:
    """The whole kernel."""
    t = s.tile
    m, n, k = (w.names.size(product(x.extent for x in axes)) for axes in (s.rows, s.columns, s.summed))
    sides = (Side(s, s.a_panel, "a", "m", t.rows), Side(s, s.b_panel, "b", "n", t.columns))
    for side in sides:
        w.scratch.append(
            f"{side.name}_tile = cuda.shared.array({t.stages * side.room}, float32, alignment={ALIGNMENT})"
        )
    w.scratch.append(f"acc = cuda.local.array({t.sums}, float32)")
    for name, count in (("a_part", t.high // FRAGMENT_ROWS * 4), ("b_part", t.wide // FRAGMENT_COLUMNS * 2)):
        w.scratch.append(f"{name} = cuda.local.array({count}, uint32)")
    place_block(s, t.rows, t.columns, w, m, n)
    _place_lane(s, w)
    for side in sides:
        side.prepare(w)
    with w.nest(f"for z in range({t.sums}):"):
        w.line("acc[z] = float32(0.0)")
    w.line(f"tiles = ({k} + {t.depth - 1}) // {t.depth}")
    with w.nest(f"for step in range(tiles + {t.stages - 1}):"):
        with w.nest(f"if step >= {t.stages - 1}:"):
            w.line(f"wait_copies_{t.stages - 2}()")
            w.line("cuda.syncthreads()")
        with w.nest("if step < tiles:"):
            for side in sides:
                side.fill(w, k)
        w.line("commit_copies()")
        with w.nest(f"if step >= {t.stages - 1}:"):
            _multiply(s, sides, w)
    _epilogue(s, w, m, n)


def _place_lane(s: TensorCoreTiled, w: CudaWriter) -> None:
    """The warp's part of the tile, and the lane's of a fragment."""
    across = s.tile.columns // s.tile.wide
    w.line(f"down = t // {WARP} // {across} * {s.tile.high}")
    w.line(f"along = t // {WARP} % {across} * {s.tile.wide}")
    w.line(f"group = t % {WARP} // 4")
    w.line("quad = t % 4")


class Side:
    """One operand: its panel, and its names in the source ("a" with rows "m", "b" with columns "n")."""

    def __init__(self, schedule: TensorCoreTiled, panel: SharedPanel, name: str, side: str, size: int) -> None:
        self.schedule, self.panel, self.name, self.side, self.size = schedule, panel, name, side, size
        t = schedule.tile
        self.depth, self.threads = t.depth, t.threads
        self.room = panel.room(size, t.depth)
        self.vector = max(1, panel.vector)
        fast, self.slow = (t.depth, size) if panel.along_terms else (size, t.depth)
        self.across = fast // self.vector  # threads along the fast side
        self.at_once = self.threads // self.across  # lines that all threads fill together

    def prepare(self, w: CudaWriter) -> None:
        """What does not change from stage to stage: this thread's place within the lines that it fills."""
        w.line(f"{self.name}_fast = t % {self.across} * {self.vector}")
        w.line(f"{self.name}_line = t // {self.across}")

    def fill(self, w: CudaWriter, k: str) -> None:
        """This thread's share of a stage: zeros where rows, columns or terms end."""
        name, side, panel = self.name, self.side, self.panel
        trips = -(-self.slow // self.at_once)
        with w.nest(f"for f in range({trips}):"):
            w.line(f"line = {name}_line + f * {self.at_once}")
            with self._lines(w):
                place, term = ("line", f"{name}_fast") if panel.along_terms else (f"{name}_fast", "line")
                w.line(f"{side} = {side}0 + {place}")
                w.line(f"k = step * {self.depth} + {term}")
                stage = f"step % {self.schedule.tile.stages} * {self.room}"
                w.line(f"place = {stage} + {panel.place(self.size, self.depth, place, term)}")
                self._copy(w, k) if panel.vector else self._compute(w, k)

    def _lines(self, w: CudaWriter) -> AbstractContextManager[Any]:
        """A condition for the last trip, where not all threads have a line."""
        return w.nest(f"if line < {self.slow}:", conditional=True) if self.slow % self.at_once else nullcontext()

    def _bounds(self, w: CudaWriter, k: str) -> list[str]:
        extent = product(x.extent for x in self.panel.axes)
        inside = [] if _whole(extent, self.size) else [f"{self.side} < {w.names.size(extent)}"]
        return inside + ([] if _whole(product(x.extent for x in self.schedule.summed), self.depth) else [f"k < {k}"])

    def _copy(self, w: CudaWriter, k: str) -> None:
        found = copied(self.panel.operand)
        assert found is not None
        conditions, load = found
        with w.bound(*self.panel.axes, *self.schedule.summed):
            w.decode(self.side, self.panel.axes, f"i{self.side}")
            w.decode("k", self.schedule.summed, "r")
            valid = " and ".join([*self._bounds(w, k), *map(w.condition, conditions)]) or "True"
            index = w.index(address(load))
            buffer = w.names.buffer(load.data[0])
            w.line(f"copy_async_{4 * self.vector}({self.name}_tile, place, {buffer}, {index}, {valid})")

    def _compute(self, w: CudaWriter, k: str) -> None:
        w.line("x = float32(0.0)")
        bounds = " and ".join(self._bounds(w, k)) or "True"
        with w.nest(f"if {bounds}:", *self.panel.axes, *self.schedule.summed, conditional=True):
            w.decode(self.side, self.panel.axes, f"i{self.side}")
            w.decode("k", self.schedule.summed, "r")
            w.line(f"x = {w.value(self.panel.operand)}")
        w.line(f"{self.name}_tile[place] = x")

    def element(self, row: str, term: str) -> str:
        """An element of the stage that is multiplied."""
        return f"{self.name}_tile[{self.name}_stage + {self.panel.place(self.size, self.depth, row, term)}]"


def _whole(extent: Dim, size: int) -> bool:
    return isinstance(extent, int) and extent % size == 0


def _multiply(s: TensorCoreTiled, sides: tuple[Side, Side], w: CudaWriter) -> None:
    """Fragments of one stage, and their products. Any order of terms will do that both operands share: a word of two
    bfloat16 has the terms quad and quad + 4, so that a warp's loads are in 32 banks in either precision."""
    t, terms = s.tile, TERMS[s.precision]
    down, along = t.high // FRAGMENT_ROWS, t.wide // FRAGMENT_COLUMNS
    a, b = sides
    for side in sides:
        w.line(f"{side.name}_stage = (step - {t.stages - 1}) % {t.stages} * {side.room}")
    with w.nest(f"for first in range(0, {t.depth}, {terms}):"):
        with w.nest(f"for y in range({down}):"):
            for part in range(4):
                row = f"down + y * {FRAGMENT_ROWS} + group + {part % 2 * 8}"
                w.line(f"a_part[y * 4 + {part}] = {_rounded(s, a, row, part // 2)}")
        with w.nest(f"for z in range({along}):"):
            for part in range(2):
                w.line(f"b_part[z * 2 + {part}] = {_rounded(s, b, f'along + z * {FRAGMENT_COLUMNS} + group', part)}")
        with w.nest(f"for y in range({down}):"), w.nest(f"for z in range({along}):"):
            w.line(f"mma_{s.precision}(acc, (y * {along} + z) * 4, a_part, y * 4, b_part, z * 2)")


def _rounded(s: TensorCoreTiled, side: Side, row: str, half: int) -> str:
    """One word of a fragment: a term in tf32, or two in bfloat16."""
    if s.precision == "tf32":
        return f"round_tf32({side.element(row, f'first + quad + {4 * half}')})"
    pair = ", ".join(side.element(row, f"first + quad + {8 * half + 4 * e}") for e in range(2))
    return f"pack_bfloat16({pair})"


def _epilogue(s: TensorCoreTiled, w: CudaWriter, m: str, n: str) -> None:
    """What is made of the sums: a lane has two neighbouring columns in two rows of each fragment. A loop over more
    than some of them would not be unrolled, and the sums would leave the registers."""
    down, along = 2 * s.tile.high // FRAGMENT_ROWS, 2 * s.tile.wide // FRAGMENT_COLUMNS
    each = max(1, UNROLLED // along)
    for first in range(0, down, each):
        with w.nest(f"for y in range({first}, {min(first + each, down)}):"), w.nest(f"for z in range({along}):"):
            w.line(f"m = m0 + down + group + y * {FRAGMENT_ROWS // 2}")
            w.line(f"n = n0 + along + quad * 2 + z // 2 * {FRAGMENT_COLUMNS} + z % 2")
            with w.nest(f"if m < {m} and n < {n}:", *s.rows, *s.columns, conditional=True) as level:
                w.decode("m", s.rows, "im")
                w.decode("n", s.columns, "in")
                level.values[s.reduction] = f"acc[(y // 2 * {along // 2} + z // 2) * 4 + y % 2 * 2 + z % 2]"
                w.stores()
