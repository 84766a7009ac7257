"""Contractions as tiles in shared memory: which axes are rows, columns and terms, and how large the tile is.

A convolution is the same product of matrices whose elements are read where the loop form says (implicit contraction):
rows are the axes that only the first operand has, columns those that only the second has, and conditions (padding,
strides) go to the operand that they speak of. Leans on `loops`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr
from ...loops.kernels import Kernel
from ...loops.products import factors
from ...shapes import Dim, nominal

MULTIPROCESSORS = 132  # of an H100; an A100 has 108
ENOUGH_TERMS = 4096  # few tiles of sums longer than this leave the GPU idle: a block per element is better


@dataclass(frozen=True)
class Shape:
    """A tile of `rows` x `columns` results, `depth` terms at a time; each thread has `high` x `wide` of it."""

    rows: int
    columns: int
    depth: int
    high: int
    wide: int

    @property
    def threads(self) -> int:
        return (self.rows // self.high) * (self.columns // self.wide)


SHAPES = tuple(
    Shape(*each)
    for each in (
        (128, 64, 16, 8, 4),
        (64, 64, 16, 4, 4),
        (32, 64, 16, 2, 4),
        (64, 32, 16, 4, 2),
        (16, 128, 16, 2, 4),
        (32, 32, 16, 2, 2),
        (16, 64, 16, 1, 4),
        (16, 16, 16, 1, 1),
    )
)


def whole(extent: Dim, size: int) -> bool:
    """Is an extent known to be so many whole tiles or stages?"""
    return isinstance(extent, int) and extent % size == 0


@dataclass(frozen=True)
class Product:
    """A kernel's sum of products as one of matrices, for every point of `batch`: `a` has the rows, `b` the columns."""

    batch: tuple[Axis, ...]
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    summed: tuple[Axis, ...]
    reduction: Expr
    a: Expr
    b: Expr

    def sizes(self) -> tuple[int, int, int, int]:
        """Points of the batch, rows, columns and terms, with symbols at their nominal size."""
        points, m, n, k = (
            math.prod(nominal(x.extent) for x in axes) for axes in (self.batch, self.rows, self.columns, self.summed)
        )
        return points, m, n, k

    def axes_text(self) -> str:
        """The axes' names, for reading."""
        names = [" ".join(map(str, axes)) or "none" for axes in (self.rows, self.columns, self.summed, self.batch)]
        return f"rows {names[0]}, columns {names[1]}, summing {names[2]}, batch {names[3]}"


@dataclass(frozen=True)
class Tiled(Product):
    """A block for every tile of rows and columns of every point of `batch`."""

    tile: Shape

    def __str__(self) -> str:
        t = self.tile
        return f"tile {t.rows}x{t.columns}x{t.depth} in shared memory, {t.high}x{t.wide} per thread: {self.axes_text()}"


def plan_tile(product: Product) -> Tiled | None:
    """The product in tiles; None where other forms are faster."""
    tile = _shape(*product.sizes())
    return Tiled(**vars(product), tile=tile) if tile else None


def matrices(kernel: Kernel) -> Product | None:
    """The matrices of a kernel with exactly one reduction, a sum of products with rows and columns; None without."""
    found = kernel.fact(_sum_of_products)
    if found is None:
        return None
    reduction, a, b = found
    rows = [x for x in kernel.axes if x in a.axes and x not in b.axes]
    columns = [x for x in kernel.axes if x in b.axes and x not in a.axes]
    store = kernel.stores[-1]
    place = store.buffer.address(store.index)
    if any(place.coefficient(x) == 1 for x in rows):  # neighbouring threads are neighbouring columns
        a, b, rows, columns = b, a, columns, rows
    if not rows or not columns:
        return None
    batch = tuple(x for x in kernel.axes if x not in rows and x not in columns)

    def by_stride(axes: Sequence[Axis]) -> tuple[Axis, ...]:
        return tuple(sorted(axes, key=lambda x: (x.extent != 1, -nominal(place.coefficient(x)))))

    summed = tuple(sorted(reduction.data[1], key=lambda x: -step(b, x)))
    return Product(batch, by_stride(rows), by_stride(columns), summed, reduction, a, b)


def _sum_of_products(kernel: Kernel) -> tuple[Expr, Expr, Expr] | None:
    """(reduction, left, right) where the kernel's one reduction is a sum of products of floats under no guard."""
    reductions = [e for e in kernel.expressions if e.kind == "reduce"]
    if len(reductions) != 1 or reductions[0].data[0] != "sum" or not dtypes.is_float(reductions[0].dtype):
        return None
    reduction = reductions[0]
    operands = _operands(reduction)
    if operands is None or any(e.kind == "guard" and reduction in loops.postorder([e]) for e in kernel.expressions):
        return None
    return (reduction, *operands)


def _operands(reduction: Expr) -> tuple[Expr, Expr] | None:
    """The two factors of the product, each under all conditions that speak of it and of axes that neither has, such as
    the remainder of a place by a stride. Where both have a condition's axes, neither may be read where it fails."""
    product = factors(reduction.args[0])
    if product is None:
        return None
    conditions, a, b = product
    free = {x for c in conditions for x in c.index.axes} - set(a.axes) - set(b.axes)
    zero = loops.const(0, reduction.dtype)
    of_a = [c for c in conditions if c.index.axes - free <= a.axes]
    of_b = [c for c in conditions if c.index.axes - free <= b.axes]
    if any(c not in of_a and c not in of_b for c in conditions):
        return None
    return loops.guard(of_a, a, zero), loops.guard(of_b, b, zero)


def step(e: Expr, x: Axis) -> int:
    """The longest step through memory of what `e` loads, along x, either way."""
    return max(
        (abs(nominal(b.address(i).coefficient(x))) for b, i in (load.data for load in loops.loads([e]))), default=0
    )


def _shape(points: int, m: int, n: int, k: int) -> Shape | None:
    """The cheapest tile; None where sums are long and tiles few. What a tile costs is its multiply-adds, padding
    included, by how many loads from shared memory each needs, and by how much of the GPU stays idle."""

    def blocks(s: Shape) -> int:
        return points * math.ceil(m / s.rows) * math.ceil(n / s.columns)

    def cost(s: Shape) -> float:
        work = blocks(s) * s.rows * s.columns
        return work * (1 + (s.high + s.wide) / (s.high * s.wide)) * max(1.0, MULTIPROCESSORS / blocks(s))

    smallest = SHAPES[-1]
    if m * n * points == 0 or (k > ENOUGH_TERMS and blocks(smallest) < MULTIPROCESSORS):
        return None
    return min(SHAPES, key=cost) if m * n >= smallest.rows * smallest.columns // 4 else None
