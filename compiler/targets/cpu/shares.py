"""What every form of a kernel needs: this thread's share of a space of axes, and the stores at one of its points.

Where a share begins and ends must not show in the bits. A loop over a share is therefore one that LLVM leaves as it
stands (`llvm/loop_wishes.py`), and points that are to be computed in the lanes of a vector are shared in whole pieces:
a loop inside, whose bounds depend on sizes alone. Leans on `writer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...loops.expressions import Axis
from ...loops.kernels import Kernel
from ...shapes import Dim
from ...shapes import product as multiplied
from ..shared.levels import masks_pay
from ..shared.writer import Writer
from .machine import target

PIECE = 1024
"""Elements of a piece: what it takes to begin one is lost in it, and two of them are what two threads are worth."""
VECTORS = 64
"""Points of a piece are a multiple of this: whole vectors of any lanes, several at a time."""
UNROLLED = 64
"""LLVM unrolls loops of more constant trips than that no more, and looks for lanes inside of them."""


def share(n: str) -> str:
    return f"range({n} * thread // threads, {n} * (thread + 1) // threads)"


def points_of_a_piece(kernel: Kernel, inside: Sequence[Axis] = ()) -> int:
    """How many points a piece has, each of which loops over `inside`; 1 where LLVM finds lanes within a point."""
    loops = [tuple(inside), *((*inside, *e.data[1]) for e in kernel.expressions if e.kind == "reduce")]
    if target().masks and any(masks_pay(x.extent) for axes in loops for x in axes):
        return 1
    trips = [n for n in (multiplied(x.extent for x in axes) for axes in loops) if isinstance(n, int) and n <= UNROLLED]
    if len(trips) < len(loops):
        return 1
    return max(PIECE // max(sum(trips), 1) // VECTORS, 1) * VECTORS


@contextmanager
def parallel(
    w: Writer, parts: Sequence[tuple[Axis | str, str]], piece: int = 1, trips: Dim | None = None
) -> Iterator[None]:
    """This thread's share of a space of several axes: one loop over their product, taken apart at its head.

    piece: how many points are shared as one. trips: of a single axis, how many it has (`Levels.nest`).
    """
    bound = [x for x, _ in parts if isinstance(x, Axis)]
    if not parts:
        with w.nest("if thread == 0:", conditional=True):
            yield
        return
    total = product(parts)
    if len(parts) > 1:
        w.line(f"work = {total}")
        name, total = "p", "work"
    else:
        name = _part_name(w, parts[0][0])
    with _shared(w, name, total if total.isalnum() else f"({total})", piece, bound, trips):
        if len(parts) > 1:
            take_apart(w, name, parts)
        yield


@contextmanager
def _shared(w: Writer, name: str, n: str, piece: int, bound: Sequence[Axis], trips: Dim | None) -> Iterator[None]:
    """`name` runs through this thread's share of n points, in whole pieces."""
    if piece == 1:
        with w.nest(f"for {name} in {share(n)}:", *bound):
            yield
    elif n.isdigit() and int(n) <= piece:
        with w.nest("if thread == 0:", conditional=True), w.nest(f"for {name} in range({n}):", *bound, trips=trips):
            yield
    else:
        w.line(f"points = {piece}")
        w.line(f"pieces = ({n} + points - 1) // points")
        limits = f"range(piece * points, min(piece * points + points, {n}))"
        with w.nest(f"for piece in {share('pieces')}:"), w.nest(f"for {name} in {limits}:", *bound, trips=trips):
            yield


def in_small_pieces(text: str) -> str:
    """A kernel's text with pieces of two points, so that several threads have some at the sizes of a check."""
    return re.sub(r"\bpoints = \d+$", "points = 2", text, flags=re.MULTILINE)


def product(parts: Sequence[tuple[Axis | str, str]]) -> str:
    return " * ".join(c if c.isidentifier() or c.isdigit() or len(parts) == 1 else f"({c})" for _, c in parts)


def take_apart(w: Writer, place: str, parts: Sequence[tuple[Axis | str, str]]) -> None:
    """The number of each part from the number of their combination, the last running fastest."""
    w.line(f"rest = {place}")
    for what, count in reversed(parts[1:]):
        divisor = count if count.isidentifier() or count.isdigit() else f"({count})"
        w.line(f"{_part_name(w, what)} = rest % {divisor}")
        w.line(f"rest = rest // {divisor}")
    w.line(f"{_part_name(w, parts[0][0])} = rest")


def _part_name(w: Writer, what: Axis | str) -> str:
    if isinstance(what, Axis):
        return w.axis_names.get(what) or w.bind(what, w.fresh("o"))
    return what


def write_stores(kernel: Kernel, w: Writer) -> None:
    """The stores at one point. With several, every value is computed before the first store."""
    texts = []
    for s in kernel.stores:
        text = w.value(s.value)
        if len(kernel.stores) > 1 and not text.isidentifier():
            name = w.fresh("v")
            w.line(f"{name} = {text}")
            w.levels[-1].values[s.value] = text = name
        texts.append(text)
    for s, text in zip(kernel.stores, texts):
        w.line(f"{w.names.buffer(s.buffer)}[{w.index(s.buffer.address(s.index))}] = {text}")


def blocks(w: Writer, extent: Dim, size: int) -> str:
    if isinstance(extent, int):
        return w.names.size(-(-extent // size))
    return f"({w.names.size(extent)} + {size - 1}) // {size}"
