"""The shapes of register tiles, as generated source names them, and what each is given.

`outer_tile_8x2_3_f32` is a tile of 8 rows by 2 vectors over 3 nested loops: every A element is broadcast against B
vectors. `dot_tile_4x4_1_f32` is 4 rows by 4 columns, vectorised along the contiguous summed axis. Suffixes, in this
order: `_full` (outer: all lanes are valid, B is loaded without masks), `_add` (start from what acc holds).

    outer_tile(acc, a, a0, a_row, row_count, b, b0, lane_count, n, a_step, b_step, ...)
    dot_tile(acc, a, a0, a_row, row_count, b, b0, b_col, col_count, length, n, a_step, b_step, ...)

with one triple (n, a_step, b_step) for each loop, outermost first. All numbers are elements, not bytes. Rows beyond
`row_count` and columns beyond `col_count` repeat the last one, lanes beyond `lane_count` hold 0: the caller stores
what it wants. acc is rows x (vectors * lanes) or rows x cols, packed. A loop of zero trips leaves zeros (or what was
there, with `_add`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DTYPES = {"f32": "float32", "f64": "float64"}
NAME = re.compile(r"(outer|dot)_tile_(\d+)x(\d+)_(\d+)_(f32|f64)(_full)?(_add)?")
OUTER_ARGUMENTS = ("acc", "a", "a0", "a_row", "row_count", "b", "b0", "lane_count")
DOT_ARGUMENTS = ("acc", "a", "a0", "a_row", "row_count", "b", "b0", "b_col", "col_count", "length")
POINTERS = frozenset(["acc", "a", "b"])


@dataclass(frozen=True)
class TileCode:
    """The shape of a tile; `columns` counts vectors in an outer tile and single columns in a dot tile."""

    kind: str
    dtype: str
    rows: int
    columns: int
    loops: int
    full: bool = False
    add: bool = False

    @property
    def name(self) -> str:
        """What generated source calls it."""
        short = next(key for key, dtype in DTYPES.items() if dtype == self.dtype)
        suffix = "_full" * self.full + "_add" * self.add
        return f"{self.kind}_tile_{self.rows}x{self.columns}_{self.loops}_{short}{suffix}"

    def takes(self, name: str, dtype: str) -> bool:
        """May this pointer be of that type? Operands of bfloat16 are widened as they are loaded."""
        return dtype == self.dtype or (name != "acc" and (self.dtype, dtype) == ("float32", "bfloat16"))

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the parameters."""
        first = OUTER_ARGUMENTS if self.kind == "outer" else DOT_ARGUMENTS
        loops = [f"{each}_{loop}" for loop in range(self.loops) for each in ("n", "a_step", "b_step")]
        return (*first, *loops)


def shape(name: str) -> TileCode:
    """The tile that generated source calls `name`. Raises ValueError where that names none."""
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} names no tile; a tile is named like outer_tile_8x2_3_f32 or dot_tile_4x4_1_f32_add")
    kind, rows, columns, loops, short, full, add = match.groups()
    return TileCode(kind, DTYPES[short], int(rows), int(columns), int(loops), bool(full), bool(add))
