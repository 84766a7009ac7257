"""Kernels for NVIDIA GPUs: the schedule of a kernel printed as Python source that numba-cuda compiles.

A form per schedule: a thread per point, a group of threads per reduction and a strip of points stand here, products of
matrices in `tile_printer` and `tensor_printer`. The source is one flat function of sizes and pointers, with literal
sizes of tiles and without calls to other kernels. The same source runs in the lockstep executor. Leans on `writer` for
expressions.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace

from ...loops.kernels import Kernel
from ...rewriting.verify import verify_source
from ...shapes import Dim, divide, product
from ..shared.summed_axes import in_one_loop, shared_reductions
from .contraction import Tiled
from .register_tile_printer import print_register_tiles
from .register_tiles import RegisterTiled
from .register_warpgroup_printer import print_register_warpgroups
from .schedule import Launch, PerGroup, PerStrip, PerThread, Schedule, Together, launch
from .tensor_cores import TensorCoreTiled
from .tensor_printer import print_tensor
from .tile_printer import print_tiled
from .warpgroup_printer import print_warpgroups
from .warpgroups import RegisterWarpgroupTiled, WarpgroupTiled
from .writer import CudaNames, CudaWriter, TableNames


@dataclass(frozen=True)
class CudaSource:
    """A printed kernel: `text` with neutral names, the kinds of its arguments, and how it is started. members: the
    kernels that the launch runs by this text, with their own names, where there are several."""

    text: str
    names: CudaNames
    kinds: tuple[str, ...]
    launch: Launch
    members: tuple[CudaSource, ...] = ()

    def pretty(self, name: str) -> str:
        """For reading: the user's names."""
        return self.names.pretty(self.text).replace("def kernel(", f"def {name}(", 1)


def print_kernel(kernel: Kernel, schedule: Schedule) -> CudaSource:
    """The kernel's source under a schedule. Raises VerifyError where a result is left unwritten."""
    if isinstance(schedule, Together):
        members = tuple(map(print_member, schedule.members))
        return replace(members[0], launch=launch(schedule), members=members)
    return _printed(schedule, CudaWriter(kernel, CudaNames()))


def print_member(kernel: Kernel) -> CudaSource:
    """A scheduled kernel's source as one of several in a launch: by a table, and with its sizes there, but for those of
    reductions, whose loops have literal trip counts."""
    kept = {x.extent for e in kernel.expressions if e.kind == "reduce" for x in e.data[1]}
    return _printed(kernel.schedule, CudaWriter(kernel, TableNames(kept), "block"))


def _printed(schedule: Schedule, w: CudaWriter) -> CudaSource:
    if isinstance(schedule, Tiled):
        print_tiled(schedule, w)
    elif isinstance(schedule, WarpgroupTiled):
        print_warpgroups(schedule, w)
    elif isinstance(schedule, RegisterWarpgroupTiled):
        print_register_warpgroups(schedule, w)
    elif isinstance(schedule, RegisterTiled):
        print_register_tiles(schedule, w)
    elif isinstance(schedule, TensorCoreTiled):
        print_tensor(schedule, w)
    elif isinstance(schedule, PerStrip):
        _per_strip(schedule, w)
    elif isinstance(schedule, PerGroup):
        _per_group(schedule, w)
    elif isinstance(schedule, PerThread):
        _per_thread(schedule, w)
    assert isinstance(w.names, CudaNames)
    names, kinds = w.names.arguments()
    text = w.text("kernel", names)
    verify_source(w.kernel, text, w.names.buffers)
    return CudaSource(text, w.names, tuple(kinds), launch(schedule))


# ---------------------------------------------------------------- a thread per point


def _per_thread(s: PerThread, w: CudaWriter) -> None:
    axes = [x for run in s.runs for x in run]
    points: Dim = product(x.extent for x in axes)
    w.line(f"p = {w.block} * {s.threads} + cuda.threadIdx.x")
    if s.vector == 1:
        with w.nest(f"if p < {w.names.size(points)}:", *axes, conditional=True):
            w.decode("p", s.runs, "i")
            w.stores()
        return
    with w.nest(f"if p * {s.vector} < {w.names.size(points)}:", *axes[: -len(s.runs[-1])], conditional=True):
        w.decode("p", s.runs, "i", s.vector)
        with w.neighbours():
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
        w.line(f"point = {w.block}")
    else:
        w.line(f"lane = t % {s.group}")
        w.line(f"point = {w.block} * {per_block} + t // {s.group}")
    whole = per_block == 1 or (isinstance(points, int) and points % per_block == 0)
    if not whole:
        w.line("wanted = point")
        w.line(f"point = min(point, {n} - 1)")
    if s.outer:
        w.decode("point", s.outer, "o")
    for together in in_one_loop(shared_reductions(w.kernel.values)):
        w.share(together, s.group)
    conditions = ([] if whole else [f"wanted < {n}"]) + ([] if s.inner else ["lane == 0"])
    with w.nest(f"if {' and '.join(conditions)}:", conditional=True) if conditions else nullcontext():
        if not s.inner:
            w.stores()
            return
        count = w.names.size(product(x.extent for x in s.inner))
        with w.nest(f"for j in range(lane, {count}, {s.group}):", *s.inner, conditional=True):
            w.decode("j", s.inner, "i")
            w.stores()


# ---------------------------------------------------------------- a block per strip of neighbouring points


def _per_strip(s: PerStrip, w: CudaWriter) -> None:
    """Lanes past the last point work on the last one, since all threads must meet, and store nothing."""
    axes = [x for run in s.runs for x in run]
    points: Dim = product(x.extent for x in axes)
    threads = divide(points, s.vector)
    assert threads is not None
    whole = isinstance(points, int) and points % s.points == 0
    w.bind_outermost(*(axes[: -len(s.runs[-1])] if s.vector > 1 else axes))
    w.line(f"lane = cuda.threadIdx.x % {s.lanes}")
    w.line(f"group = cuda.threadIdx.x // {s.lanes}")
    w.line(f"p = {w.block} * {s.lanes} + lane")
    if not whole:
        w.line("wanted = p")
        w.line(f"p = min(p, {w.names.size(threads)} - 1)")
    w.decode("p", s.runs, "i", s.vector)
    for together in in_one_loop(shared_reductions(w.kernel.values)):
        w.share_in_columns(together, s.lanes, s.rows)
    wanted = "group == 0" if whole else f"group == 0 and wanted < {w.names.size(threads)}"
    with w.nest(f"if {wanted}:", conditional=True), w.neighbours():
        w.stores()
