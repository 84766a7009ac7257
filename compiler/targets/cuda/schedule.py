"""How a kernel is spread over a GPU: which axes become threads, how reductions are shared, how large a tile is.

A schedule is a small frozen value chosen from the kernel's addresses, as on the CPU. `Launch` says how many blocks a
run starts. Nothing is timed. Leans on `kernels`, and on `contraction` and
`tensor_cores` for the tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...dtypes import ITEMSIZE
from ...loops import expressions as loops
from ...loops.expressions import Axis, Condition, Expr, Index, Within
from ...loops.kernels import Kernel, address
from ...loops.one_run import bent, goes_on, steps
from ...shapes import Dim, divide, nominal, product
from ..shared.summed_axes import shared_reductions
from .alignment import begins_aligned
from .build import POINTER_ALIGN
from .contraction import MULTIPROCESSORS, Tiled, matrices, plan_tile
from .register_tiles import plan_register_tile
from .tensor_cores import TensorCoreTiled, plan_tensor_cores

THREADS = 256
WARP = 32
SERIAL = 32  # a reduction of fewer terms is summed by one thread
JOINED = 4  # NVVM joins so many neighbours at most in one access, whatever their width
MANY_SUMS = 128  # of these in a thread's registers, a second block's registers are too few for the rest
LONG = 1024  # a reduction of more terms is shared by a block, however many there are
FEW_THREADS = THREADS * WARP  # of which none reduces for several points, since others idle
MANY_POINTS = MULTIPROCESSORS * 8 * THREADS  # a thread each fills the GPU
VECTOR_LANES = 16  # of a strip with neighbours in each thread
NARROW_LANES = 8  # of the narrowest strip: 32 bytes of float32, the least that memory gives


@dataclass(frozen=True)
class PerThread:
    """A thread for every `vector` neighbouring points. `runs` are the axes from the outermost in, those that every
    address walks through as if they were one axis joined in a run. Reductions are loops of one thread."""

    runs: tuple[tuple[Axis, ...], ...]
    vector: int = 1
    threads: int = THREADS

    def __str__(self) -> str:
        each = f"{self.vector} points" if self.vector > 1 else "a point"
        return f"{each} per thread of {_runs(self.runs)}, {self.threads} threads"


@dataclass(frozen=True)
class PerGroup:
    """A group of `group` threads (a warp, or the whole block) for every point of `outer`. The group shares each
    reduction over values of `outer` alone, and then goes through the points of `inner`."""

    outer: tuple[Axis, ...]
    inner: tuple[Axis, ...]
    group: int
    threads: int = THREADS

    def __str__(self) -> str:
        what = "warp" if self.group == WARP else f"block of {self.group}"
        inner = f", threads along {_names(self.inner)}" if self.inner else ""
        return f"{what} per point of {_names(self.outer)}: reductions shared{inner}"


@dataclass(frozen=True)
class PerStrip:
    """A block for every strip of neighbouring points of `runs` (as in `PerThread`): `lanes` threads beside each other
    with `vector` points each, and as many rows of threads as the block has, which share the terms of the reductions.
    Neighbouring lanes read neighbouring elements, as in sums over rows of a matrix."""

    runs: tuple[tuple[Axis, ...], ...]
    lanes: int = WARP
    vector: int = 1
    threads: int = THREADS

    @property
    def points(self) -> int:
        return self.lanes * self.vector

    @property
    def rows(self) -> int:
        return self.threads // self.lanes

    def __str__(self) -> str:
        each = f", {self.vector} per thread" if self.vector > 1 else ""
        return f"block per {self.points} points of {_runs(self.runs)}{each}: reductions shared by {self.rows} rows"


@dataclass(frozen=True)
class Together:
    """Scheduled kernels of one text in one launch, each over its own buffers and sizes, which a table holds: blocks
    find theirs there. None reads or writes what another writes."""

    members: tuple[Kernel, ...]

    def __str__(self) -> str:
        return f"{len(self.members)} kernels in one launch, the first: {self.members[0].schedule}"


Single = PerThread | PerGroup | PerStrip | Tiled | TensorCoreTiled
Schedule = Single | Together


@dataclass(frozen=True)
class Launch:
    """`threads` in each of as many blocks as `blocks` says: the product of `extent / size`, each rounded up.
    `resident` is how many blocks a multiprocessor must have registers for: with two of 256 threads, 128 a thread.
    `shared` is a block's bytes of dynamic shared memory."""

    threads: int
    blocks: tuple[tuple[Dim, int], ...]
    resident: int = 2
    shared: int = 0


def launch(s: Schedule) -> Launch:
    """How a kernel of this schedule is started; of kernels in one launch, each brings blocks of its own."""
    if isinstance(s, Together):
        return replace(launch(s.members[0].schedule), blocks=())
    if isinstance(s, PerThread):
        return Launch(s.threads, ((product(x.extent for run in s.runs for x in run), s.vector * s.threads),))
    if isinstance(s, PerGroup):
        return Launch(s.threads, ((product(x.extent for x in s.outer), s.threads // s.group),))
    if isinstance(s, PerStrip):
        return Launch(s.threads, ((product(x.extent for run in s.runs for x in run), s.points),))
    sides = ((s.rows, s.tile.rows), (s.columns, s.tile.columns))
    return Launch(
        s.tile.threads,
        (*((x.extent, 1) for x in s.batch), *((product(x.extent for x in axes), size) for axes, size in sides)),
        1 if _sums(s) >= MANY_SUMS or s.tile.threads > THREADS else 2,
        s.shared_bytes if isinstance(s, TensorCoreTiled) else 0,
    )


def _sums(s: Tiled | TensorCoreTiled) -> int:
    """Sums in a thread's registers."""
    return s.tile.sums if isinstance(s, TensorCoreTiled) else s.tile.high * s.tile.wide


def _names(axes: Iterable[Axis]) -> str:
    return " ".join(map(str, axes)) or "none"


def _runs(runs: Sequence[Sequence[Axis]]) -> str:
    return " ".join("+".join(map(str, run)) for run in runs) or "none"


# ---------------------------------------------------------------- the choice


def plan_schedule(kernel: Kernel, precision: str = "float32") -> Single:
    """The schedule for a kernel under its buffers' orders, its products of matrices in `precision`."""
    found = matrices(kernel)
    tiled = (plan_tensor_cores(found, precision) or plan_register_tile(found) or plan_tile(found)) if found else None
    if tiled is not None:
        return tiled
    order = by_stride(kernel)
    shared = _per_group(kernel, order)
    if shared is not None:
        return shared
    runs = _join(kernel, order)
    vector = _vector(kernel, runs)
    points = math.prod(nominal(x.extent) for x in order)
    slow = any(e.kind == "reduce" for e in kernel.expressions) and points < vector * FEW_THREADS
    return PerThread(runs, 1 if slow else vector)


def by_stride(kernel: Kernel) -> tuple[Axis, ...]:
    """Output axes by falling stride in the last store, so that neighbouring threads write neighbouring elements; those
    of one place first."""
    store = kernel.stores[-1]
    place = store.buffer.address(store.index)
    return tuple(sorted(kernel.axes, key=lambda x: (x.extent != 1, -nominal(place.coefficient(x)))))


def _per_group(kernel: Kernel, order: tuple[Axis, ...]) -> PerGroup | PerStrip | None:
    """A group of threads per reduction, where one thread would take long and threads along the output are few."""
    heads = shared_reductions(kernel.values)
    if not heads:
        return None
    terms = max(_terms(e) for e in heads)
    needed = {x for e in heads for x in e.axes}
    outer = tuple(x for x in order if x in needed)
    points = math.prod(nominal(x.extent) for x in outer)
    columns = _along_output(heads, order)
    if terms < SERIAL or (columns and points >= MANY_POINTS):
        return None
    if columns and needed == set(order):
        return _strip(kernel, order, heads, points)
    few = points <= MULTIPROCESSORS and terms >= THREADS  # as many blocks run at once, each term by a thread of its own
    group = THREADS if few or terms > LONG else WARP
    return PerGroup(outer, tuple(x for x in order if x not in needed), group)


def _strip(kernel: Kernel, order: tuple[Axis, ...], heads: Sequence[Expr], points: int) -> PerStrip:
    """The widest strip of which there are blocks enough, else a narrow one, whose reductions more threads share."""
    runs = _join(kernel, order)
    vector = _vector(kernel, runs) if all(e.axes >= set(*runs[-1:]) for e in heads) else 1
    shapes = [(VECTOR_LANES, vector)] * (vector > 1) + [(WARP, 1)]
    lanes, vector = next((s for s in shapes if points >= s[0] * s[1] * MULTIPROCESSORS), (NARROW_LANES, 1))
    return PerStrip(runs, lanes, vector)


def _terms(e: Expr) -> int:
    return math.prod(nominal(x.extent) for x in e.data[1])


def _along_output(reductions: Sequence[Expr], order: tuple[Axis, ...]) -> bool:
    """Do neighbouring outputs read neighbouring elements, and neighbouring terms do not?"""
    places = [(address(x), e.data[1]) for e in reductions for x in loops.loads(e.args)]
    along_output = sum(bool(order) and p.coefficient(order[-1]) == 1 for p, _ in places)
    along_terms = sum(any(p.coefficient(x) == 1 for x in axes) for p, axes in places)
    return along_output > along_terms


# ---------------------------------------------------------------- joined axes and 16-byte accesses


def _indices(kernel: Kernel) -> list[Index]:
    """Every index that the kernel's text will have."""
    found = [s.buffer.address(s.index) for s in kernel.stores]
    for e in kernel.expressions:
        found += [address(e)] if e.kind == "load" else loops.indices(e)
    return found


def _join(kernel: Kernel, order: tuple[Axis, ...]) -> tuple[tuple[Axis, ...], ...]:
    """The axes in runs: neighbours that every index walks through as through one axis are together."""
    indices = _indices(kernel)
    apart = {x for i in indices if not all(isinstance(atom, Axis) for atom, _ in i.terms) for x in i.axes}
    moved = {x: steps(x, indices) for x in order}
    runs: list[tuple[Axis, ...]] = []
    for x in order:
        if runs and not apart & {runs[-1][-1], x} and goes_on(moved[runs[-1][-1]], moved[x], x):
            runs[-1] = (*runs[-1], x)
        else:
            runs.append((x,))
    return tuple(runs)


def _vector(kernel: Kernel, runs: tuple[tuple[Axis, ...], ...]) -> int:
    """How many neighbouring points a thread takes, so that its widest accesses are of 16 bytes; of words of 16 bits
    four, which are 8 bytes: a thread's second access beside the first would leave gaps between neighbouring threads."""
    if not runs:
        return 1
    places = [s.buffer.address(s.index) for s in kernel.stores] + [address(e) for e in kernel.loads]
    last = runs[-1][-1]
    if any(p.coefficient(last) not in (0, 1) or last in bent(p) for p in places):
        return 1
    buffers = [*kernel.reads(), *kernel.writes()]
    width = min(JOINED, POINTER_ALIGN // max(ITEMSIZE[b.dtype] for b in buffers))
    if not all(alike(c, last, width) for e in kernel.expressions if e.kind == "guard" for c in e.data):
        return 1
    whole = divide(product(x.extent for x in runs[-1]), width) is not None
    return width if whole and all(map(begins_aligned, buffers)) and _aligned(places, runs, width) else 1


def alike(c: Condition, x: Axis, width: int) -> bool:
    """Does the condition hold for all of `width` neighbours along an axis, from a multiple of that many on, or none?"""
    if x not in c.index.axes:
        return True
    if not isinstance(c, Within) or x in bent(c.index) or c.index.coefficient(x) != 1:
        return False
    rest = [k for a, k in c.index.terms if a is not x] + [c.index.const, c.low, c.high]
    return all(divide(k, width) is not None for k in rest)


def _aligned(places: Sequence[Index], runs: tuple[tuple[Axis, ...], ...], width: int) -> bool:
    """Does every access along the last run start on a multiple of `width` elements?"""
    last = set(runs[-1])
    for p in places:
        if p.coefficient(runs[-1][-1]) == 0:
            continue
        rest = [c for a, c in p.terms if a not in last] + [p.const]
        if any(divide(c, width) is None for c in rest):
            return False
    return True
