"""Products of matrices in tiles of shared memory, printed: each thread multiplies its part in registers.

Leans on `contraction` for the tiles and on `writer` for expressions.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...loops.expressions import Axis, Expr, loads
from ...loops.kernels import address
from ...shapes import product
from .contraction import Product, Tiled
from .writer import CudaWriter


def print_tiled(s: Tiled, w: CudaWriter) -> None:
    """The whole kernel."""
    t, dtype = s.tile, s.reduction.dtype
    m, n, k = (w.names.size(product(x.extent for x in axes)) for axes in (s.rows, s.columns, s.summed))
    for name, count in (("a_tile", t.rows * t.depth), ("b_tile", t.columns * t.depth)):
        w.scratch.append(f"{name} = cuda.shared.array({count}, {dtype})")
    for name, count in (("acc", t.high * t.wide), ("a_part", t.high), ("b_part", t.wide)):
        w.scratch.append(f"{name} = cuda.local.array({count}, {dtype})")
    place_block(s, t.rows, t.columns, w, m, n)
    across = t.columns // t.wide
    w.line(f"down = t // {across} * {t.high}")
    w.line(f"along = t % {across} * {t.wide}")
    with w.nest(f"for z in range({t.high * t.wide}):"):
        w.line(f"acc[z] = {dtype}(0.0)")
    with w.nest(f"for k0 in range(0, {k}, {t.depth}):"):
        _fill(s, w, "a_tile", s.a, s.rows, "m", m, t.rows, k)
        _fill(s, w, "b_tile", s.b, s.columns, "n", n, t.columns, k)
        w.line("cuda.syncthreads()")
        _multiply(s, w)
        w.line("cuda.syncthreads()")
    _epilogue(s, w, m, n)


def place_block(s: Product, rows: int, columns: int, w: CudaWriter, m: str, n: str, again: bool = False) -> None:
    """Lines that find this thread's number, and which tile of `rows` x `columns` its block has; `again` after a loop,
    which then needs no registers for them."""
    w.bind_outermost(*s.batch)
    w.line("t = thread_again()" if again else "t = cuda.threadIdx.x")
    w.line("block = block_again()" if again else "block = cuda.blockIdx.x")
    for name, size, count in (("n", columns, n), ("m", rows, m)):
        w.line(f"tiles_{name} = ({count} + {size - 1}) // {size}")
        w.line(f"{name}0 = rest(block, tiles_{name}) * {size}")
        w.line(f"block = quotient(block, tiles_{name})")
    if s.batch:
        w.decode("block", s.batch, "o")


def _fill(
    s: Tiled, w: CudaWriter, tile: str, operand: Expr, axes: Sequence[Axis], side: str, count: str, size: int, k: str
) -> None:
    """This thread's share of an operand's tile: zeros where rows, columns or terms end."""
    t, dtype = s.tile, s.reduction.dtype
    trips = size * t.depth // t.threads
    with w.nest(f"for f in range({trips}):"):
        w.line(f"place = t + f * {t.threads}")
        if _along_terms(operand, s.summed[-1]):
            w.line(f"down_{side} = place // {t.depth}")
            w.line(f"term = place % {t.depth}")
        else:
            w.line(f"down_{side} = place % {size}")
            w.line(f"term = place // {size}")
        w.line(f"{side} = {side}0 + down_{side}")
        w.line("k = k0 + term")
        w.line(f"x = {dtype}(0.0)")
        with w.nest(f"if {side} < {count} and k < {k}:", *axes, *s.summed, conditional=True):
            w.decode(side, axes, f"i{side}")
            w.decode("k", s.summed, "r")
            w.line(f"x = {w.value(operand)}")
        w.line(f"{tile}[term * {size} + down_{side}] = x")


def _along_terms(operand: Expr, last: Axis) -> bool:
    """Does the operand lie in memory along the last summed axis?"""
    return any(address(e).coefficient(last) == 1 for e in loads([operand]))


def _multiply(s: Tiled, w: CudaWriter) -> None:
    t = s.tile
    with w.nest(f"for term in range({t.depth}):"):
        with w.nest(f"for y in range({t.high}):"):
            w.line(f"a_part[y] = a_tile[term * {t.rows} + down + y]")
        with w.nest(f"for z in range({t.wide}):"):
            w.line(f"b_part[z] = b_tile[term * {t.columns} + along + z]")
        with w.nest(f"for y in range({t.high}):"), w.nest(f"for z in range({t.wide}):"):
            w.line(f"acc[y * {t.wide} + z] = acc[y * {t.wide} + z] + a_part[y] * b_part[z]")


def _epilogue(s: Tiled, w: CudaWriter, m: str, n: str) -> None:
    """What is made of the sums, element by element of this thread's part."""
    t = s.tile
    with w.nest(f"for y in range({t.high}):"), w.nest(f"for z in range({t.wide}):"):
        w.line("m = m0 + down + y")
        w.line("n = n0 + along + z")
        with w.nest(f"if m < {m} and n < {n}:", *s.rows, *s.columns, conditional=True) as level:
            w.decode("m", s.rows, "im")
            w.decode("n", s.columns, "in")
            level.values[s.reduction] = f"acc[y * {t.wide} + z]"
            w.stores()
