"""Contractions on tensor cores, as data: block and warp tiles, stages, and how each operand comes to shared memory.

A warp multiplies fragments by `mma.sync` (PTX ISA, "Matrix Fragments for mma.m16n8k8 / m16n8k16"): 16 rows by 8 columns
at a time, 8 terms in tf32 or 16 in bfloat16, sums in float32. Operands lie in shared memory as float32 and are rounded
when a fragment is made of them. Leans on `contraction` for the matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ... import dtypes
from ...errors import CompileError
from ...loops import expressions as loops
from ...loops.expressions import Axis, Condition, Expr, Index
from ...loops.kernels import address
from ...loops.products import is_zero
from ...shapes import divide, product
from .alignment import begins_aligned
from .contraction import MULTIPROCESSORS, Product, step

PRECISIONS = ("float32", "tf32", "bfloat16")
TERMS = {"tf32": 8, "bfloat16": 16}
"""Terms of one mma."""

FRAGMENT_ROWS, FRAGMENT_COLUMNS = 16, 8
COPIED = 4
"""Elements of a 16-byte copy."""
ENOUGH_TERMS = 8192
"""Few tiles of sums longer than this leave the GPU idle: a block per element is better."""


def check_precision(precision: str) -> None:
    """Raises CompileError for a precision that is none."""
    if precision not in PRECISIONS:
        raise CompileError(f"compile: there is no precision {precision!r}; use one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True)
class TensorCoreTile:
    """A block's tile of `rows` x `columns` results, `depth` terms at a time with `stages` of them in shared memory;
    each warp has `high` x `wide` of it."""

    rows: int
    columns: int
    depth: int
    high: int
    wide: int
    stages: int

    @property
    def threads(self) -> int:
        return (self.rows // self.high) * (self.columns // self.wide) * 32

    @property
    def sums(self) -> int:
        """Sums in a thread's registers."""
        return self.high * self.wide // 32


BLOCKS = tuple(
    TensorCoreTile(*each)
    for each in (
        (128, 128, 16, 64, 32, 2),
        (128, 64, 16, 32, 32, 3),
        (64, 128, 16, 32, 32, 3),
        (64, 64, 16, 32, 32, 3),
        (64, 32, 16, 32, 16, 3),
        (32, 64, 16, 16, 32, 3),
        (32, 32, 16, 16, 16, 3),
    )
)


@dataclass(frozen=True)
class SharedPanel:
    """How an operand lies in shared memory: `size` rows (or columns) by `depth` terms, the one that it is contiguous
    along innermost. `vector` elements are copied at a time without passing through registers; 0: each element is
    computed by a thread, which stores it."""

    operand: Expr
    axes: tuple[Axis, ...]
    along_terms: bool
    vector: int

    def pitch(self, size: int, depth: int) -> int:
        """Elements from one row (or term) to the next. A warp reads 8 rows (or columns) by 4 terms at once; with these
        pitches they lie in 32 different banks, and each line begins on 16 bytes."""
        return _next(depth, 8, 4) if self.along_terms else _next(size, 32, 8)

    def room(self, size: int, depth: int) -> int:
        """Elements of one stage."""
        return self.pitch(size, depth) * (size if self.along_terms else depth)

    def place(self, size: int, depth: int, row: str, term: str) -> str:
        """An element's place in a stage, as text."""
        pitch = self.pitch(size, depth)
        return f"({row}) * {pitch} + {term}" if self.along_terms else f"({term}) * {pitch} + {row}"


def _next(size: int, by: int, rest: int) -> int:
    """The least number from `size` on that leaves `rest` when divided by `by`."""
    return size + (rest - size) % by


@dataclass(frozen=True)
class TensorCoreTiled(Product):
    """A block for every tile of rows and columns of every point of `batch`, on tensor cores in `precision`."""

    tile: TensorCoreTile
    precision: str
    a_panel: SharedPanel
    b_panel: SharedPanel

    @property
    def shared_bytes(self) -> int:
        t = self.tile
        rooms = self.a_panel.room(t.rows, t.depth) + self.b_panel.room(t.columns, t.depth)
        return t.stages * rooms * dtypes.ITEMSIZE[dtypes.FLOAT32]

    def __str__(self) -> str:
        t = self.tile
        copies = " and ".join(
            f"{side} {f'by {p.vector * 4} bytes' if p.vector else 'computed'}"
            for side, p in (("a", self.a_panel), ("b", self.b_panel))
        )
        return (
            f"{self.precision} tensor cores, tile {t.rows}x{t.columns}x{t.depth}, {t.high}x{t.wide} per warp, "
            f"{t.stages} stages, {copies}: {self.axes_text()}"
        )


def plan_tensor_cores(found: Product, precision: str) -> TensorCoreTiled | None:
    """The product on tensor cores; None for other dtypes, and where other forms are faster."""
    if precision not in TERMS or found.reduction.dtype != dtypes.FLOAT32:
        return None
    points, m, n, k = found.sizes()
    if min(points, m, n, k) == 0 or m * n < FRAGMENT_ROWS * FRAGMENT_COLUMNS:
        return None
    tile = min(BLOCKS, key=lambda t: _cost(t, points, m, n))
    if k > ENOUGH_TERMS and _blocks(BLOCKS[-1], points, m, n) < MULTIPROCESSORS // 2:
        return None
    orders = [tuple(sorted(found.summed, key=lambda x, e=e: -step(e, x))) for e in (found.b, found.a)]  # type: ignore[misc]
    panels = [tuple(panel(e, axes, o) for e, axes in ((found.a, found.rows), (found.b, found.columns))) for o in orders]
    best = max(range(len(orders)), key=lambda i: sum(p.vector for p in panels[i]))
    a, b = panels[best]
    return TensorCoreTiled(
        **vars(replace(found, summed=orders[best])), tile=tile, precision=precision, a_panel=a, b_panel=b
    )


def _blocks(t: TensorCoreTile, points: int, m: int, n: int) -> int:
    return points * math.ceil(m / t.rows) * math.ceil(n / t.columns)


def _cost(t: TensorCoreTile, points: int, m: int, n: int) -> float:
    """Multiply-adds, padding included, by the loads from shared memory and from the level-2 cache that each needs, and
    by how much of the GPU stays idle."""
    down, along = t.high // FRAGMENT_ROWS, t.wide // FRAGMENT_COLUMNS
    fragments = (4 * down + 2 * along) / (down * along)
    copies = (t.rows + t.columns) / (t.rows * t.columns)
    blocks = _blocks(t, points, m, n)
    return blocks * t.rows * t.columns * (1 + fragments / 4 + 16 * copies) * max(1.0, MULTIPROCESSORS / blocks)


# ---------------------------------------------------------------- how an operand comes to shared memory


def panel(operand: Expr, axes: tuple[Axis, ...], summed: tuple[Axis, ...]) -> SharedPanel:
    """The better of the two ways round: contiguous copies first, then along what lies contiguous in memory."""

    def worth(found: SharedPanel) -> tuple[int, bool]:
        last = summed[-1] if found.along_terms else axes[-1]
        return found.vector, any(address(e).coefficient(last) == 1 for e in loops.loads([operand]))

    return max(
        (SharedPanel(operand, axes, way, _vector(operand, summed if way else axes)) for way in (True, False)), key=worth
    )


def copied(operand: Expr) -> tuple[tuple[Condition, ...], Expr] | None:
    """(conditions, load) of an operand that is an element of memory or, where a condition does not hold, zero."""
    conditions: tuple[Condition, ...] = ()
    while operand.kind == "guard" and is_zero(operand.args[1]):
        conditions += tuple(operand.data)
        operand = operand.args[0]
    if operand.kind != "load" or operand.data[0].dtype != dtypes.FLOAT32:
        return None
    indices = [address(operand), *(c.index for c in conditions)]
    return None if any(map(_from_data, indices)) else (conditions, operand)


def _from_data(index: Index) -> bool:
    return any(
        isinstance(a, loops.Dynamic) or (not isinstance(a, Axis) and _from_data(a.index)) for a, _ in index.terms
    )


def _vector(operand: Expr, fast: Sequence[Axis]) -> int:
    """Elements per copy along the last of `fast`: 4 where as many neighbours always exist together on 16 bytes."""
    found = copied(operand)
    if found is None:
        return 0
    conditions, load = found
    if not begins_aligned(load.data[0]):
        return 1
    place = address(load)
    stride = product(())
    for i in range(len(fast) - 1, -1, -1):
        run = fast[i:]
        if place.coefficient(fast[i]) != stride or not place.affine_in(run):
            return 1
        stride = stride * fast[i].extent
        if any(c.index.axes & set(run) for c in conditions):
            return 1
        rest = [c for a, c in place.terms if a not in run] + [place.const]
        if divide(stride, COPIED) is not None and all(divide(c, COPIED) is not None for c in rest):
            return COPIED
    return 1
