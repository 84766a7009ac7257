"""What is made of the sums of a product on tensor cores, printed: from fragments through shared memory to rows.

A lane's sums are two neighbouring columns of many rows, which would be stores of 8 bytes at best, and other arithmetic
on them as scattered. So they go to shared memory, where the stages were, and each thread takes as many neighbours of a
row as 16 bytes of float32 are, with their columns the same in every trip. Leans on `tensor_cores` for the schedule, on
`shared_memory` for what the source calls, on `writer` for expressions.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import product as product_of
from typing import Any

from ...loops.expressions import Axis
from ...loops.kernels import Store
from ...shapes import divide, product
from .alignment import begins_aligned
from .contraction import whole
from .tensor_cores import FRAGMENT_COLUMNS, FRAGMENT_ROWS, TensorCoreTiled
from .writer import CudaWriter, storage

UNROLLED = 32  # sums in one loop; a longer one would not be unrolled, and the sums would leave the registers
TOGETHER = 4  # neighbours that a thread takes where they always exist together


def print_epilogue(s: TensorCoreTiled, w: CudaWriter, m: str, n: str) -> None:
    """The sums to shared memory, and from there what the kernel stores."""
    t, pitch = s.tile, s.tile.results_pitch
    w.line("cuda.syncthreads()")
    w.line(f"results = panel(0, {t.rows * pitch}, float32)")
    rows, columns = s.runs
    w.line(f"results_at = results + (down + group * {rows}) * {4 * pitch} + (along + quad * 2 * {columns}) * 4")
    down, along = t.high // FRAGMENT_ROWS, t.wide // FRAGMENT_COLUMNS
    each = max(1, UNROLLED // (4 * along))
    part = min(along, UNROLLED // 4)
    for first, across in product_of(range(0, down, each), range(0, along, part)):
        ys, zs = (f"range({i}, {min(i + by, end)})" for i, by, end in ((first, each, down), (across, part, along)))
        with w.nest(f"for y in {ys}:"), w.nest(f"for z in {zs}:"):
            _leave(w, along, rows, columns, 4 * pitch)
    w.line("cuda.syncthreads()")
    print_rows(s, w, m, n)


def _leave(w: CudaWriter, along: int, rows: int, columns: int, line: int) -> None:
    """A lane's four sums of a fragment: two neighbouring columns in two rows, 8 apart; or, where the lane has a run of
    neighbouring rows or columns in as many halves or fragments, as far apart as those are."""
    down, across = f"y * {FRAGMENT_ROWS * line}", f"z * {4 * FRAGMENT_COLUMNS}"
    if rows == 4:
        down = f"y // 2 * {2 * FRAGMENT_ROWS * line} + y % 2 * {2 * line}"
    if columns > 1:
        across = f"z // {columns} * {4 * FRAGMENT_COLUMNS * columns} + z % {columns} * 4"
    for half in range(2):
        pair = [f"acc[(y * {along} + z) * 4 + {2 * half + e}]" for e in range(2)]
        place = f"results_at + {down} + {across}" + (
            f" + {line if rows > 1 else FRAGMENT_ROWS // 2 * line}" if half else ""
        )
        if columns == 1:
            w.line(f"store_shared_2({place}, {', '.join(pair)})")
            continue
        for e in range(2):
            w.line(f"store_shared_float32({place} + {4 * columns * e}, {pair[e]})")


def print_rows(s: TensorCoreTiled, w: CudaWriter, m: str, n: str) -> None:
    """Each thread's columns, and the rows that it goes through."""
    t = s.tile
    together = TOGETHER if divide(s.columns[-1].extent, TOGETHER) is not None else 1
    across = t.columns // together
    at_once = t.threads // across
    w.line(f"row = quotient(t, {across})")
    w.line(f"column = rest(t, {across}) * {together}")
    w.line(f"results_from = results + row * {4 * t.results_pitch} + {_line(s, 'column', together)} * 4")
    if together > 1:
        w.scratch.append(f"sums = cuda.local.array({together}, float32)")
    w.line("n = n0 + column")
    with _below(w, "n", None if whole(product(x.extent for x in s.columns), t.columns) else n):
        w.decode("n", s.columns, "in")
        with w.nest(f"for f in range({t.rows // at_once}):"):
            w.line(f"m = m0 + row + f * {at_once}")
            with _below(w, "m", None if whole(product(x.extent for x in s.rows), t.rows) else m), w.bound(*s.rows):
                w.decode("m", s.rows, "im")
                _points(s, w, together, f"results_from + f * {4 * t.results_pitch * at_once}")


def _line(s: TensorCoreTiled, column: str, together: int) -> str:
    """Where the sums of a column stand, the first of those that a thread takes together."""
    each = s.b_panel.turned
    if each == 1:
        return column
    if together % each == 0:
        return f"{column} // {each}"
    return f"({column} % {each} * {s.tile.columns // each} + {column} // {each})"


def _line_of(s: TensorCoreTiled, e: int) -> int:
    """How far behind the first of a thread's columns the sums of the one `e` further on stand."""
    each = s.b_panel.turned
    return e % each * (s.tile.columns // each) + e // each


def _points(s: TensorCoreTiled, w: CudaWriter, together: int, at: str) -> None:
    """The stores of neighbouring columns of one row."""
    if together == 1:
        with w.bound(*s.columns) as level:
            w.line(f"total = shared_float32({at})")
            level.values[s.reduction] = "total"
            w.stores()
        return
    if s.b_panel.turned == 1:
        w.line(f"load_shared_4(sums, 0, {at})")
    for e in range(together if s.b_panel.turned > 1 else 0):
        w.line(f"sums[{e}] = shared_float32({at} + {4 * _line_of(s, e)})")
    last, name = s.columns[-1], w.axis_names[s.columns[-1]]
    kept: dict[Store, str] = {}

    def write(store: Store, text: str) -> None:
        """Elements that lie together wait for their neighbours."""
        if store not in kept:
            w.store(store, text)
            return
        w.line(f"{kept[store]}[e] = {text}")

    for store in filter(partial(_neighbours, last), w.kernel.stores):
        kept[store] = f"out{len(kept)}"
        w.scratch.append(f"{kept[store]} = cuda.local.array({together}, {storage(store.buffer)})")
    with w.nest(f"for e in range({together}):", *s.columns) as level:
        w.bind(last, f"({name} + e)")
        level.values[s.reduction] = "sums[e]"
        w.stores(write)
    w.bind(last, name)
    for store, text in kept.items():
        place = w.index(store.buffer.address(store.index))
        w.line(f"store_4({w.names.buffer(store.buffer)}, {place}, {text})")


def _neighbours(last: Axis, s: Store) -> bool:
    """Do `TOGETHER` points along the last column begin on a boundary of as many elements, and lie one after another?"""
    address = s.buffer.address(s.index)
    others = [c for atom, c in address.terms if atom is not last] + [address.const]
    whole = all(divide(c, TOGETHER) is not None for c in others)
    return whole and address.coefficient(last) == 1 and begins_aligned(s.buffer)


def _below(w: CudaWriter, name: str, end: str | None) -> AbstractContextManager[Any]:
    """Where the place exists."""
    return nullcontext() if end is None else w.nest(f"if {name} < {end}:", conditional=True)
