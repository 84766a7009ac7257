"""Register tiles chosen by measuring: the cost model's best few, timed on the machine, the fastest remembered.

Only contractions are tuned, each distinct one once: its candidates are compiled and run in turns on buffers of the real
sizes by the real threads. What was found is kept in the kernel cache under the kernel's structure, the orders of its
buffers, its sizes, the threads, the CPU and the candidates, so that later programs measure nothing. Leans on `tiling`
for candidates, on `schedule_text` to keep them, on `assemble` and the runtime to run them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from .... import runtime
from ... import dtypes
from ...errors import CompileError
from ...graph.bfloat16 import returned
from ...loops.form import form
from ...loops.kernels import Buffer, Kernel
from ...shapes import nominal, poly
from ..base import Progress
from ..shared.kernel_text import show
from ..shared.store import kernel_cache, symbol
from .assemble import compile_sources, environment, kernel_key
from .machine import target
from .printer import CpuSource, print_kernel
from .schedule import Tile
from .schedule_text import parse
from .tile_shapes import only, tile_shapes
from .tiling import fitting

MOST, OF_THE_BEST, OF_OTHERS = 8, 4, 2
"""Candidates of a kernel at most; of these, how many have the axes of the model's choice, or others."""
WORSE = 3.0
"""Candidates that should cost more than this many times the least are not tried."""
ROUNDS, SECONDS, REPEATS = 30, 0.004, 100
"""Measurements of a kernel, of which the fastest counts; how long one should take; runs in one at most. Many short
ones find a stretch without other work on the machine."""
GAIN = 0.97
"""A candidate takes the place of the model's choice when its fastest run needs less than this part of the choice's
fastest, and it was faster in most measurements, too."""


@dataclass(frozen=True)
class Trial:
    """One candidate: its text, the cycles that the model predicts for one core, the seconds of its fastest run, and
    the median of its time over that of the model's choice in the same measurement."""

    schedule: str
    cycles: float
    seconds: float
    ratio: float


@dataclass(frozen=True)
class Tuned:
    """What tuning found for the kernels of these names, which are alike. The first trial is the model's choice."""

    kernels: tuple[str, ...]
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The trial that was chosen."""
        first = self.trials[0]
        better = [t for t in self.trials if t.seconds < GAIN * first.seconds and t.ratio < 1]
        return min(better, key=lambda t: t.seconds, default=first)

    @property
    def gain(self) -> float:
        """How many times as fast the choice is as the model's."""
        return self.trials[0].seconds / self.best.seconds if self.best.seconds else 1.0


def tune(kernels: Sequence[Kernel], threads: int, report: Progress | None = None) -> tuple[list[Kernel], list[Tuned]]:
    """The scheduled kernels, every contraction among them with its fastest tile, and what was measured.

    Raises CompileError where the kernels are for a CPU that this machine is not.
    """
    if not target().runs_here:
        raise CompileError(f"tune: kernels for {target().cpu} cannot be timed on this machine")
    tried = [(k, candidates(k)) for k in kernels if isinstance(k.schedule, Tile)]
    alike: dict[str, list[Kernel]] = {}
    tiles: dict[str, list[Tile]] = {}
    for kernel, found in tried:
        if len(found) > 1:
            key = _key(kernel, found, threads)
            alike.setdefault(key, []).append(kernel)
            tiles.setdefault(key, found)
    known = {key: _remembered(key) for key in alike}
    variants = {k: [replace(alike[k][0], schedule=t) for t in tiles[k]] for k in alike if known[k] is None}
    sources = {key: [print_kernel(v) for v in made] for key, made in variants.items()}
    objects = compile_sources(source.text for made in sources.values() for source in made)
    out: list[Tuned] = []
    changed: dict[Kernel, Kernel] = {}
    for done, (key, same) in enumerate(alike.items()):
        if report is not None:
            report(same[0].name, done, len(alike))
        trials = known[key] or _measured(variants[key], sources[key], objects, threads)
        if known[key] is None:
            kernel_cache().put(key, {"trials": json.dumps([astuple(t) for t in trials])})
        tuned = Tuned(tuple(k.name for k in same), trials)
        for kernel in same:
            tile = parse(tuned.best.schedule, kernel)
            assert isinstance(tile, Tile) and isinstance(kernel.schedule, Tile)
            changed[kernel] = replace(kernel, schedule=tile, cycles=kernel.cycles - kernel.schedule.cost + tile.cost)
        out.append(tuned)
    if report is not None:
        report("", len(alike), len(alike))
    return [changed.get(k, k) for k in kernels], out


def candidates(kernel: Kernel) -> list[Tile]:
    """The tiles to try, the schedule that the kernel has first, the others by what they should cost."""
    found: dict[str, Tile] = {}
    for kind in ("outer", "dot"):
        for rows, columns in tile_shapes(kind):
            with only(kind, rows, columns):
                found.update((show(t, kernel), t) for t in fitting(kernel))
    present = kernel.schedule
    chosen = {show(present, kernel): present}
    taken = {_family(present): 1}
    for text, tile in sorted(found.items(), key=lambda item: item[1].cost):
        family = _family(tile)
        room = OF_THE_BEST if family == _family(present) else OF_OTHERS
        near = tile.cost <= WORSE * present.cost
        if len(chosen) < MOST and near and text not in chosen and taken.get(family, 0) < room:
            taken[family] = taken.get(family, 0) + 1
            chosen[text] = tile
    return list(chosen.values())


def _family(t: Tile) -> tuple[object, ...]:
    return t.kind, t.row, t.column, t.lane, t.panel is not None, t.block is not None, t.packing is not None


def _key(kernel: Kernel, found: Iterable[Tile], threads: int) -> str:
    f = kernel.fact(form)
    held = [(b.kind, b.order, [nominal(d) for d in b.shape]) for b in f.buffers]
    spaces = [nominal(a.extent) for e in kernel.expressions if e.kind == "reduce" for a in e.data[1]]
    parts = [environment(), f.text, held, [nominal(a.extent) for a in kernel.axes], spaces, threads]
    parts += [show(t, kernel) for t in found]
    return "tuned-" + hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:40]


def _remembered(key: str) -> tuple[Trial, ...] | None:
    stored = kernel_cache().get(key)
    return None if stored is None else tuple(Trial(*fields) for fields in json.loads(stored["trials"]))


def _measured(
    variants: Sequence[Kernel], sources: Sequence[CpuSource], objects: dict[str, bytes], threads: int
) -> tuple[Trial, ...]:
    """The candidates' fastest runs, taken in turns within one program."""
    executable = runtime.Executable(_program(variants, sources, objects), (), threads)
    once = min(sum(executable.profile((), 1)) for _ in range(3))
    repeats = min(max(int(SECONDS / max(once, 1e-7)), 1), REPEATS)
    rounds = np.array([executable.profile((), repeats)[1:] for _ in range(ROUNDS)])
    fastest = rounds.min(axis=0)
    ratios = np.median(rounds / np.maximum(rounds[:, :1], 1e-9), axis=0)
    return tuple(
        Trial(show(v.schedule, v), v.schedule.cost, float(s), float(r)) for v, s, r in zip(variants, fastest, ratios)
    )


def _program(variants: Sequence[Kernel], sources: Sequence[CpuSource], objects: dict[str, bytes]) -> runtime.Program:
    """The variants of a kernel one after the other, on the same buffers: what is only read is a constant. The first
    stands at the head once more, which wakes the threads and is not counted."""
    written = set(variants[0].writes())
    buffers = list(dict.fromkeys(b for source in sources for b in source.names.buffers))
    number = {b: i for i, b in enumerate(buffers)}
    specs, kernels = [], []
    for b in buffers:
        count = math.prod(nominal(d) for d in b.shape)
        data = None if b in written else _values(b, count)
        kind = "temp" if b in written else "constant"
        words = dtypes.stored(b.dtype)
        specs.append(runtime.BufferSpec(b.name, words, (poly(count),), (0,), kind, 0, len(variants), data))  # type: ignore[arg-type]
    for variant, source in zip((variants[0], *variants), (sources[0], *sources)):
        key = kernel_key(source.text)
        sizes = [runtime.SizeArg(poly(nominal(d))) for d in source.names.sizes]
        places = [runtime.BufferArg(number[b]) for b in source.names.buffers]
        kernels.append(runtime.KernelSpec(variant.name, key, symbol(key), (*sizes, *places)))
    used = {k.key: objects[k.key] for k in kernels}
    return runtime.Program(f"tuning {variants[0].name}", tuple(specs), tuple(kernels), (), (), objects=used)


def _values(b: Buffer, count: int) -> np.ndarray:
    """Floats between a half and one; zeros for integers, which may be positions."""
    if not dtypes.is_float(b.dtype):
        return np.zeros(count, b.dtype)
    some = np.random.default_rng(0).random(4099).astype(dtypes.computed(b.dtype)) / 2 + 0.5
    return np.resize(returned(some, b.dtype), count)
