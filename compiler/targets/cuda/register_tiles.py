"""Products of float32 without tensor cores, as data: tiles whose operands come to shared memory as for tensor cores.

A warp has 4 x 8 threads; each multiplies 8 x 8 results (or 4 x 4) in registers. Leans on `tensor_cores`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ... import dtypes
from .contraction import MULTIPROCESSORS, Product
from .tensor_cores import TensorCoreTile, TensorCoreTiled, panels

DOWN, ALONG = 4, 8
"""Threads of a warp along rows and columns."""
TILES = (TensorCoreTile(128, 128, 16, 32, 64, 3), TensorCoreTile(64, 64, 16, 16, 32, 4))
RATES = {128: 1.0, 64: 0.6}
"""How fast each should multiply, of the fastest: by how many loads from shared memory a product needs."""


@dataclass(frozen=True)
class RegisterTiled(TensorCoreTiled):
    """A block for every tile of rows and columns of every point of `batch`, in float32."""

    @property
    def runs(self) -> tuple[int, int]:
        return 1, 1

    @property
    def high(self) -> int:
        """Rows of a thread."""
        return self.tile.high // DOWN

    @property
    def wide(self) -> int:
        """Columns of a thread."""
        return self.tile.wide // ALONG

    def __str__(self) -> str:
        t = self.tile
        return (
            f"tile {t.rows}x{t.columns}x{t.depth} in shared memory, {self.high}x{self.wide} per thread, "
            f"{t.stages} stages, a {self.a_panel} and b {self.b_panel}: {self.axes_text()}"
        )


def plan_register_tile(found: Product) -> RegisterTiled | None:
    """The product in such tiles; None for other dtypes and where there are too few tiles."""
    points, m, n, k = found.sizes()
    if found.reduction.dtype != dtypes.FLOAT32 or min(m, n) < TILES[-1].rows // 2 or k < TILES[-1].depth:
        return None
    tile = min(TILES, key=lambda t: t.blocks(points, m, n) / RATES[t.rows] * t.rows * t.columns)
    if tile.blocks(points, m, n) < MULTIPROCESSORS:
        tile = TILES[-1]
    if tile.blocks(points, m, n) < MULTIPROCESSORS // 2:
        return None
    summed, a, b = panels(found, dtypes.FLOAT32)
    fields = {**vars(found), "summed": summed, "tile": tile, "precision": dtypes.FLOAT32}
    return RegisterTiled(**fields, a_panel=a, b_panel=b)
