"""The sizes that a register tile may have: rows by columns, those that fit the registers of the CPU compiled for.

"outer" and "matrix" tiles have columns of vectors, "dot" tiles columns of single sums. Leans on
`targets/cpu/machine.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from .machine import Machine, target

OUTER_TILES = (
    (12, 2),
    (8, 3),
    (6, 4),
    (14, 2),
    (6, 3),
    (4, 4),
    (10, 2),
    (5, 4),
    (8, 2),
    (6, 2),
    (5, 2),
    (4, 2),
    (3, 4),
    (2, 4),
    (1, 4),
    (16, 1),
    (14, 1),
    (12, 1),
    (10, 1),
    (8, 1),
    (6, 1),
    (4, 1),
    (2, 2),
    (1, 1),
    (2, 1),
    (3, 1),
    (5, 1),
)
DOT_TILES = (
    (4, 5),
    (5, 4),
    (4, 4),
    (6, 4),
    (4, 6),
    (6, 3),
    (3, 6),
    (4, 3),
    (3, 4),
    (4, 2),
    (2, 4),
    (8, 1),
    (1, 8),
    (6, 1),
    (1, 6),
    (5, 1),
    (1, 5),
    (4, 1),
    (1, 4),
    (2, 2),
    (1, 1),
)
MATRIX_TILES = ((32, 2), (16, 3), (48, 1), (16, 2), (32, 1), (16, 1))
"""In rows and columns of 16: a tile of the matrix unit's registers each."""
FEW_REGISTERS = {"outer": ((4, 3),), "dot": ((3, 3), (6, 2))}
"""Tiles besides these for CPUs of 16 vector registers."""

_only: ContextVar[tuple[str, int, int] | None] = ContextVar("only", default=None)


def tile_shapes(kind: str) -> tuple[tuple[int, int], ...]:
    """The (rows, columns) to choose among: those whose sums stay in the registers of the present target, or the one
    that `only` asks for."""
    asked = _only.get()
    if asked is not None:
        return (asked[1:],) if asked[0] == kind else ()
    return _tiles(kind, target())


@contextmanager
def only(kind: str, rows: int, columns: int) -> Iterator[None]:
    """Tiles are planned with this shape inside."""
    token = _only.set((kind, rows, columns))
    try:
        yield
    finally:
        _only.reset(token)


@cache
def _tiles(kind: str, on: Machine) -> tuple[tuple[int, int], ...]:
    if kind == "matrix":
        return MATRIX_TILES if on.matrix_unit else ()
    known = {"outer": OUTER_TILES, "dot": DOT_TILES}[kind]
    if on.vector_registers < 32:
        known += FEW_REGISTERS[kind]
    return tuple(t for t in known if on.holds(*t))
