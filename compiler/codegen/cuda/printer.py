"""Kernels for NVIDIA GPUs: the schedule of a kernel printed as Python source that numba-cuda compiles.

Three forms, one per schedule: a thread per point, a warp or a block per reduction, and tiles in shared memory. The
source is one flat function of sizes and pointers, with literal tile sizes and without calls to other kernels. The
same source runs in the lockstep executor. Leans on `writer` for expressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from ...kernels import Kernel
from ...loops import Axis, Expr, loads
from ...schedule import address
from ...shapes import Dim, product
from .contraction import Tiled
from .schedule import Launch, PerGroup, PerThread, Schedule, launch, shared_reductions
from .writer import CudaNames, CudaWriter


@dataclass(frozen=True)
class Source:
    """A printed kernel: `text` with neutral names, the kinds of its arguments, and how it is started."""

    text: str
    names: CudaNames
    kinds: tuple[str, ...]
    launch: Launch

    def pretty(self, name: str) -> str:
        """For reading: the user's names."""
        return self.names.pretty(self.text).replace("def kernel(", f"def {name}(", 1)


def print_kernel(kernel: Kernel, schedule: Schedule) -> Source:
    """The kernel's source under a schedule."""
    w = CudaWriter(kernel)
    if isinstance(schedule, Tiled):
        _tiled(schedule, w)
    elif isinstance(schedule, PerGroup):
        _per_group(schedule, w)
    else:
        _per_thread(schedule, w)
    assert isinstance(w.names, CudaNames)
    names, kinds = w.names.arguments()
    return Source(w.text("kernel", names), w.names, tuple(kinds), launch(schedule))


# ---------------------------------------------------------------- a thread per point


def _per_thread(s: PerThread, w: CudaWriter) -> None:
    axes = [x for run in s.runs for x in run]
    points: Dim = product(x.extent for x in axes)
    w.line(f"p = cuda.blockIdx.x * {s.threads} + cuda.threadIdx.x")
    if s.vector == 1:
        with w.nest(f"if p < {w.names.size(points)}:", *axes, conditional=True):
            w.decode("p", s.runs, "i")
            w.stores()
        return
    with w.nest(f"if p * {s.vector} < {w.names.size(points)}:", *axes[: -len(s.runs[-1])], conditional=True):
        w.line(f"first = p * {s.vector}")
        w.decode("first", s.runs, "i")
        last = w.axis_names[axes[-1]]
        with w.nest(f"for e in range({s.vector}):", *s.runs[-1]):
            for x in s.runs[-1]:
                w.bind(x, f"({last} + e)")
            w.stores()


# ---------------------------------------------------------------- a warp or a block per reduction


def _per_group(s: PerGroup, w: CudaWriter) -> None:
    """Groups past the last point work on the last one, since all threads must meet, and store nothing."""
    points: Dim = product(x.extent for x in s.outer)
    per_block = s.threads // s.group
    n = w.names.size(points)
    w.bind_outermost(*s.outer)
    w.line("t = cuda.threadIdx.x")
    if per_block == 1:
        w.line("lane = t")
        w.line("point = cuda.blockIdx.x")
    else:
        w.line(f"lane = t % {s.group}")
        w.line(f"point = cuda.blockIdx.x * {per_block} + t // {s.group}")
    whole = per_block == 1 or (isinstance(points, int) and points % per_block == 0)
    if not whole:
        w.line("wanted = point")
        w.line(f"point = min(point, {n} - 1)")
    if s.outer:
        w.decode("point", s.outer, "o")
    for e in shared_reductions(w.kernel.values):
        w.share(e, s.group)
    conditions = ([] if whole else [f"wanted < {n}"]) + ([] if s.inner else ["lane == 0"])
    with w.nest(f"if {' and '.join(conditions)}:", conditional=True) if conditions else nullcontext():
        if not s.inner:
            w.stores()
            return
        count = w.names.size(product(x.extent for x in s.inner))
        with w.nest(f"for j in range(lane, {count}, {s.group}):", *s.inner, conditional=True):
            w.decode("j", s.inner, "i")
            w.stores()


# ---------------------------------------------------------------- tiles in shared memory


def _tiled(s: Tiled, w: CudaWriter) -> None:
    t, dtype = s.tile, s.reduction.dtype
    m, n, k = (w.names.size(product(x.extent for x in axes)) for axes in (s.rows, s.columns, s.summed))
    for name, count in (("a_tile", t.rows * t.depth), ("b_tile", t.columns * t.depth)):
        w.scratch.append(f"{name} = cuda.shared.array({count}, {dtype})")
    for name, count in (("acc", t.high * t.wide), ("a_part", t.high), ("b_part", t.wide)):
        w.scratch.append(f"{name} = cuda.local.array({count}, {dtype})")
    _place(s, w, m, n)
    with w.nest(f"for z in range({t.high * t.wide}):"):
        w.line(f"acc[z] = {dtype}(0.0)")
    with w.nest(f"for k0 in range(0, {k}, {t.depth}):"):
        _fill(s, w, "a_tile", s.a, s.rows, "m", m, t.rows, k)
        _fill(s, w, "b_tile", s.b, s.columns, "n", n, t.columns, k)
        w.line("cuda.syncthreads()")
        _multiply(s, w)
        w.line("cuda.syncthreads()")
    _epilogue(s, w, m, n)


def _place(s: Tiled, w: CudaWriter, m: str, n: str) -> None:
    """Which tile this block has, and where in it this thread is."""
    t = s.tile
    w.bind_outermost(*s.batch)
    w.line("t = cuda.threadIdx.x")
    w.line("block = cuda.blockIdx.x")
    for name, size, count in (("n", t.columns, n), ("m", t.rows, m)):
        w.line(f"tiles_{name} = ({count} + {size - 1}) // {size}")
        w.line(f"{name}0 = remainder(block, tiles_{name}) * {size}")
        w.line(f"block = quotient(block, tiles_{name})")
    if s.batch:
        w.decode("block", s.batch, "o")
    across = t.columns // t.wide
    w.line(f"down = t // {across} * {t.high}")
    w.line(f"along = t % {across} * {t.wide}")


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
