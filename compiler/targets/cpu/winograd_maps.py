"""The schedule of a small linear map of tiles: which matrix, which way, and the axes that its vectors run along.

`winograd` names the matrix on the contractions that it makes. A kernel of such a one fits when its one sum is still
`M[i, r] * M[j, s] * x`, and x is read once for every point of a tile. From images to tiles x is read at
`step * tile + r - pad`; back, every pixel h sums over the tiles `(h + pad - r) / step` that it lies in. Costs are in
cycles of one core. Leans on `schedule`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Index
from ...loops.kernels import Kernel, address
from ...shapes import nominal
from .machine import lanes
from .schedule import Doubted, Grid, Transform
from .winograd_matrices import MATRICES, STEPS

OPERATION, EDGE = 1.0, 1.3
FAR = 5.0


@dataclass(frozen=True)
class Direct:
    """What stands for a result that the map would spoil: `sum`, by the direct way, in the choice of the two."""

    chosen: Expr
    sum: Expr


@dataclass(frozen=True)
class Mapped:
    """What a kernel maps: the matrix, the sum that does it, and the image or the tiles that it reads."""

    matrix: str
    reduction: Expr
    x: Expr
    conditions: tuple[loops.Condition, ...]
    points: tuple[Axis, Axis]
    pixels: tuple[Axis, Axis]
    direct: Direct | None = None


def mapped(kernel: Kernel) -> Mapped | None:
    """What the kernel maps, None where it is no map of tiles. A fact of its nodes and stores: `kernel.fact(mapped)`."""
    name = next((n.attrs.tiles for n in kernel.nodes if hasattr(n.attrs, "tiles")), None)
    if name is None:
        return None
    reductions = [e for e in kernel.expressions if e.kind == "reduce"]
    direct = None
    if len(reductions) == 2:
        direct = _direct(kernel, reductions)
        reductions = [e for e in reductions if direct is not None and e is not direct.sum]
    if len(reductions) != 1 or reductions[0].data[0] != "sum":
        return None
    conditions, body = _unguarded(reductions[0].args[0])
    factors = _factors(body)
    if len(factors) != 3 or any(f.kind != "load" for f in factors):
        return None
    left, right, x = factors
    if left.data[0] is not right.data[0] or left.data[0].kind != "constant":
        return None
    i, r, j, s = (_axis(index) for f in (left, right) for index in f.data[1])
    if i is None or r is None or j is None or s is None:
        return None
    return Mapped(name, reductions[0], x, tuple(conditions), (i, j), (r, s), direct)


def _direct(kernel: Kernel, sums: list[Expr]) -> Direct | None:
    """The choice that the op `contained` makes, where the kernel makes it between these two sums."""
    for e in kernel.expressions:
        if e.kind == "call" and e.data == "where" and set(e.args[1:]) == set(sums):
            finite = e.args[0]
            if finite.kind == "call" and finite.data == "lt" and e.args[1] in finite.args[0].args:
                return Direct(e, e.args[2])
    return None


def _shared_factor(direct: Direct, lane: Axis) -> Expr | None:
    """The sum of magnitudes of the factor that all lanes of the direct sum have in common."""
    conditions, body = _unguarded(direct.sum.args[0])
    common = [f for f in _factors(body) if lane not in f.axes]
    if len(common) != 1:
        return None
    dtype = direct.sum.dtype
    size = loops.guard(conditions, loops.call("abs", common, dtype), loops.const(0, dtype))
    return loops.reduction("sum", direct.sum.data[1], size, dtype)


def plan_transform(kernel: Kernel) -> Transform | None:
    """The schedule, or None where the kernel is no map of tiles or its vectors do not lie in memory as such."""
    m = kernel.fact(mapped)
    if m is None:
        return None
    rows = columns = None
    own, summed = set(m.points), set(m.pixels)
    if set(m.reduction.data[1]) == {*m.points, *m.pixels}:
        rows, columns = (_grid(kernel, m, axis) for axis in m.pixels)
        if rows is None or columns is None:
            return None
        own, summed = {rows.pixel, columns.pixel}, {*m.points, *m.pixels}
    if set(m.reduction.data[1]) != summed or not own <= set(kernel.axes):
        return None
    if rows is not None and m.x.data[0].kind in ("input", "slice"):
        return None  # tiles are read in whole vectors
    place = address(m.x)
    free = [a for a in kernel.axes if a not in own]
    lane = next((a for a in free if place.coefficient(a) == 1), None)
    if lane is None:
        return None
    common = _shared_factor(m.direct, lane) if m.direct is not None else None
    if (m.direct is not None and common is None) or (m.direct is None) != (rows is None):
        return None
    outer = tuple(sorted((a for a in free if a is not lane), key=lambda a: -nominal(place.coefficient(a))))
    cost = _cost(kernel, m, lane)
    pieces = (m.matrix, m.points, m.pixels, rows, columns, outer, lane, m.reduction, m.x, m.conditions, cost)
    if m.direct is None or common is None:
        return Transform(*pieces)
    return Transform(*pieces, Doubted(m.direct.chosen, m.direct.sum, common))


def _unguarded(body: Expr) -> tuple[list[loops.Condition], Expr]:
    conditions: list[loops.Condition] = []
    while body.kind == "guard":
        conditions += body.data
        body = body.args[0]
    return conditions, body


def _factors(body: Expr) -> list[Expr]:
    if body.kind == "call" and body.data == "mul":
        return [f for a in body.args for f in _factors(a)]
    return [body]


def _axis(index: Index) -> Axis | None:
    """The axis, where the index is that axis alone."""
    if len(index.terms) == 1 and index.const == 0 and index.terms[0][1] == 1 and isinstance(index.terms[0][0], Axis):
        return index.terms[0][0]
    return None


def _grid(kernel: Kernel, m: Mapped, within: Axis) -> Grid | None:
    """How pixels lie in the tiles along one direction, where `within` counts the pixels of a tile."""
    step = STEPS[m.matrix]
    for c in m.conditions:
        if isinstance(c, loops.Divides) and c.index.coefficient(within) == -1 and c.by == step:
            pixels = [a for a, by in c.index.terms if isinstance(a, Axis) and a in kernel.axes and by == 1]
            pad = c.index.const
            if len(c.index.terms) != 2 or len(pixels) != 1 or not isinstance(pad, int) or pad < 0:
                return None
            where = loops.Div(c.index, step)
            found = [d for d, i in enumerate(m.x.data[1]) if any(atom == where for atom, _ in i.terms)]
            (pixel,) = pixels
            if len(found) != 1:
                return None
            return Grid(pixel, pad, Axis((pixel.extent + (pad + step - 1)) // step, "tile"), found[0])
    return None


def _cost(kernel: Kernel, m: Mapped, lane: Axis) -> float:
    """Of the arithmetic and of what lies scattered; all choices of lanes read and write the same bytes once."""
    points, size = MATRICES[m.matrix].shape
    numbers = math.prod(nominal(a.extent) for a in kernel.axes)
    across = math.prod(nominal(a.extent) for a in kernel.axes if a is not lane)
    vectors = across * -(-nominal(lane.extent) // lanes(m.reduction.dtype))
    summed = set(loops.postorder([m.reduction] if m.direct is None else [m.reduction, m.direct.sum]))
    places = [address(e) for e in kernel.loads if e not in summed]
    places += [s.buffer.address(s.index) for s in kernel.stores]
    scattered = sum(place.coefficient(lane) not in (0, 1) for place in places)
    computed: float = vectors * (2 * points * size / 9) * OPERATION * EDGE
    return computed + numbers * scattered * FAR
