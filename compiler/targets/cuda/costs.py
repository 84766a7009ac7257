"""What a kernel costs a GPU under its buffers' orders: bytes through the level-2 cache, and multiply-adds.

Only ratios matter, to compare orders of axes: memory is read in sectors of 32 bytes, so neighbouring threads at distant
elements move up to eight times what they use. Rates are those of an A100's data sheet. Leans on `schedule`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ...dtypes import ITEMSIZE
from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Index
from ...loops.kernels import Kernel, address
from ...shapes import nominal
from ..shared.summed_axes import memory_order
from .contraction import Tiled
from .panels import COPY
from .schedule import WARP, PerGroup, PerStrip, PerThread, plan_schedule
from .tensor_cores import TensorCoreTiled

SECTOR = 32
BANDWIDTH = 2.0e12
MULTIPLY_ADDS = {"float32": 9.7e12, "tf32": 78e12, "bfloat16": 156e12}
PART_OF_PEAK = 0.5
LAUNCH = 2e-6
NARROW_COPY = 2.0
"""What narrower copies cost beside those of 16 bytes."""


def seconds(kernel: Kernel, precision: str = "float32") -> float:
    """The predicted time of one run, with symbols at their nominal size."""
    s = plan_schedule(kernel, precision)
    if isinstance(s, TensorCoreTiled | Tiled):
        return LAUNCH + _of_product(kernel, s)
    moved = 0.0
    within = _reduced_along(kernel) if isinstance(s, PerGroup) else {}
    lane, beyond = _lanes(s)
    for e in kernel.loads:
        ways = (within[e], None) if e in within else (lane, beyond)
        moved += _elements(e.axes) * _bytes(address(e), ways[0], e.data[0].dtype, ways[1])
    return LAUNCH + (moved + _stored(kernel, lane)) / BANDWIDTH


def _lanes(s: PerThread | PerGroup | PerStrip) -> tuple[Axis | None, Axis | None]:
    """The axis along which neighbouring threads go, and the one along which they go on where it ends."""
    axes = s.inner if isinstance(s, PerGroup) else tuple(x for run in s.runs for x in run)
    outer, inner = (None, None, *axes)[-2:]
    return inner, outer


def _reduced_along(kernel: Kernel) -> dict[Expr, Axis]:
    """For each load of a shared reduction, the axis of its terms along which the group's threads go."""
    found: dict[Expr, Axis] = {}
    for e in kernel.expressions:
        if e.kind == "reduce":
            last = memory_order(e.data[1], e.args[0])[-1]
            found |= dict.fromkeys(loops.loads(e.args), last)
    return found


def _elements(axes: Iterable[Axis]) -> int:
    return math.prod(nominal(x.extent) for x in axes)


def _bytes(place: Index, lane: Axis | None, dtype: str, beyond: Axis | None = None) -> float:
    """Bytes moved for each element used by a warp along `lane`. Where that is so short that the warp goes on along
    `beyond`, as from channels to the next pixel, it has several neighbours of a sector at each place of the lane."""
    size = ITEMSIZE[dtype]
    if lane is None or lane not in place.axes:
        return size
    step = abs(nominal(place.coefficient(lane))) if place.affine_in([lane]) else SECTOR
    moved = float(min(max(step, 1) * size, max(SECTOR, size)))
    lanes = nominal(lane.extent)
    if beyond in place.axes and lanes < moved:
        return min(moved, max(lanes * SECTOR / WARP, _bytes(place, beyond, dtype)))
    return moved


def _stored(kernel: Kernel, lane: Axis | None) -> float:
    space = _elements(kernel.axes)
    return sum(space * _bytes(s.buffer.address(s.index), lane, s.buffer.dtype) for s in kernel.stores)


def _of_product(kernel: Kernel, s: TensorCoreTiled | Tiled) -> float:
    """Each operand is read once for every tile along the other side; the rest once."""
    points, m, n, k = s.sizes()
    t = s.tile
    a = _panel(s.a, (*s.rows[-1:], *s.summed)) * m * k * math.ceil(n / t.columns)
    b = _panel(s.b, (*s.columns[-1:], *s.summed)) * n * k * math.ceil(m / t.rows)
    if isinstance(s, TensorCoreTiled):
        a, b = (x * (1.0 if p.nbytes == COPY else NARROW_COPY) for x, p in ((a, s.a_panel), (b, s.b_panel)))
    inside = set(loops.loads([s.reduction]))
    rest = sum(
        _elements(e.axes) * _bytes(address(e), s.columns[-1], e.data[0].dtype) for e in kernel.loads if e not in inside
    )
    rate = MULTIPLY_ADDS[s.precision if isinstance(s, TensorCoreTiled) else "float32"] * PART_OF_PEAK
    padded = math.ceil(m / t.rows) * t.rows * math.ceil(n / t.columns) * t.columns
    return (points * (a + b) + rest + _stored(kernel, s.columns[-1])) / BANDWIDTH + points * padded * k / rate


def _panel(operand: Expr, ways: Sequence[Axis]) -> float:
    """Bytes moved for each element of an operand, along the best of the axes that copies can follow."""
    return sum(
        min(_bytes(address(e), x, e.data[0].dtype) for x in ways if x in address(e).axes or x is ways[-1])
        for e in loops.loads([operand])
    )
