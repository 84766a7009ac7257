"""Register tiles, the inner kernels of contractions, as intrinsics that generated source calls by name.

Leans on `tile_code` for names and arguments, on `tile_bodies` and `pairs` for what a tile does.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import types

from ..machine import target
from .pairs import PairedOuter
from .pointers import Pointer, named_intrinsic
from .tile_bodies import Dot, Outer
from .tile_code import POINTERS, TileCode, shape


def outer_tile(
    dtype: str, rows: int, vectors: int, loops: int, *, masked: bool = True, accumulate: bool = False
) -> Any:
    """The intrinsic of an outer tile."""
    return _intrinsic(TileCode("outer", dtype, rows, vectors, loops, not masked, accumulate))


def dot_tile(dtype: str, rows: int, cols: int, loops: int, *, accumulate: bool = False) -> Any:
    """The intrinsic of a dot tile."""
    return _intrinsic(TileCode("dot", dtype, rows, cols, loops, False, accumulate))


def named(name: str) -> Any:
    """The intrinsic that generated source calls `name`."""
    return _intrinsic(shape(name))


@cache
def _intrinsic(tile: TileCode) -> Any:
    """One intrinsic for each shape; cached, since Numba registers every one it is given."""
    names = tile.arguments

    def typed(typingctx: Any, *args: Any) -> Any:
        kinds = dict(zip(names, args))
        if not all(isinstance(kinds[each], Pointer) and tile.takes(each, kinds[each].dtype) for each in POINTERS):
            return None
        wanted = [kinds[each] if each in POINTERS else types.int64 for each in names]

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: tuple[Any, ...]) -> ir.Value:
            _emitter(tile, kinds)(tile, builder, kinds, dict(zip(names, values))).emit()
            return context.get_dummy_value()

        return types.void(*wanted), generate

    return named_intrinsic(tile.name, names, typed)


def _emitter(tile: TileCode, kinds: dict[str, Any]) -> Any:
    if tile.kind == "dot":
        return Dot
    if tile.loops and target().pairs and kinds["a"].dtype == kinds["b"].dtype == "bfloat16":
        return PairedOuter
    return Outer
