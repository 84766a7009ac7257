"""The order of kernels, where threads must meet, and how long each buffer lives.

A variable is updated in place where every other reader can run before, and the kernel itself reads it only at
the point it writes; else the new value goes to a buffer of its own and is copied at the end. What a loop hands from
turn to turn is updated likewise at the end of a turn; the kernels of a loop stay together. Lifetimes are
counted in phases (stretches between barriers), so that memory is reused only across a barrier. Leans on
`kernels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..loops import expressions as loops
from ..loops.kernels import Buffer, Kernel, Loop, Store, points

if TYPE_CHECKING:
    import networkx as nx


@dataclass
class MemoryPlan:
    """Kernels in the order they run, whether threads meet after each, each temp's first and last phase, and each loop's
    first and last kernel."""

    kernels: list[Kernel]
    barriers: list[bool]
    lifetimes: dict[Buffer, tuple[int, int]] = field(default_factory=dict)
    loops: dict[Loop, tuple[int, int]] = field(default_factory=dict)


def order(kernels: Sequence[Kernel]) -> list[Kernel]:
    """The kernels so that values are written before they are read, and variables overwritten after their readers."""
    parts: dict[Any, list[Kernel]] = {}
    for kernel in kernels:
        parts.setdefault(kernel.loop or kernel, []).append(kernel)
    bodies = [_ordered([[k] for k in part], "carry") if part[0].loop else part for part in parts.values()]
    return _ordered(bodies, "state")


def _ordered(parts: Sequence[list[Kernel]], updated: str) -> list[Kernel]:
    """Parts, each a kernel or all of a loop, as `order`. updated: the kind of buffer that is overwritten at the end."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(parts)))
    writer: dict[Buffer, int] = {}
    for i, part in enumerate(parts):
        for b in dict.fromkeys(b.memory for k in part for b in k.writes()):
            if b.kind == "carry" and b in writer:  # first what it is before the loop, then what the loop makes of it
                before, loop = sorted((writer[b], i), key=lambda j: parts[j][0].loop is not None)
                graph.add_edge(before, loop)
                writer[b] = loop
            else:
                writer[b] = i
    readers: dict[Buffer, list[int]] = {}
    for i, part in enumerate(parts):
        for b in dict.fromkeys(b.memory for k in part for b in k.reads()):
            readers.setdefault(b, []).append(i)
            if b.kind != updated and writer.get(b, i) != i:
                graph.add_edge(writer[b], i)
    soonest = _soonest(graph)
    parts = list(parts)
    late: list[Kernel] = []
    for state, i in [(b, i) for b, i in writer.items() if b.kind == updated]:
        others = [r for r in readers.get(state, []) if r != i]
        reachable = nx.descendants(graph, i) if others else set()
        if any(r in reachable for r in others) or not _reads_in_place(parts[i][0], state):
            changed, copy = _detour(parts[i][0], state)
            parts[i] = [changed]
            late.append(copy)
        else:
            graph.add_edges_from((r, i) for r in others)
    chosen = nx.lexicographical_topological_sort(graph, soonest.__getitem__)
    return [k for i in chosen for k in parts[i]] + late


def _soonest(graph: nx.DiGraph) -> list[tuple[int, int]]:
    """Where each kernel wants to stand: in the given order, except that what serves one last kernel alone, as a
    weight's gradient serves its update, comes as soon as the rest of what it reads is there, to let go of that."""
    import networkx as nx

    serves: dict[int, int | None] = {}
    for i in reversed(list(nx.topological_sort(graph))):
        ends = {serves[j] for j in graph.successors(i)}
        serves[i] = i if not ends else ends.pop() if len(ends) == 1 else None
    ready: dict[int, int] = {}
    for i, end in serves.items():
        if end is not None:
            shared = [j for j in graph.predecessors(i) if serves[j] is None]
            ready[end] = max([ready.get(end, -1), *shared])
    return [(i if serves[i] is None else ready[serves[i]], i) for i in range(len(serves))]  # type: ignore[index]


def _reads_in_place(kernel: Kernel, state: Buffer) -> bool:
    """Does the kernel read the state at most at the point it writes?"""
    index = next(s.index for s in kernel.stores if s.buffer is state)
    for e in kernel.expressions:
        if e.kind == "reduce" and any(x.data[0] is state for x in loops.loads(e.args)):
            return False
        if e.kind == "load" and e.data[0] is state and e.data[1] != index:
            return False
    return True


def _detour(kernel: Kernel, state: Buffer) -> tuple[Kernel, Kernel]:
    """The kernel with the state's new value in a temp, and the copy into the state."""
    temp = Buffer(f"{state.name}_new", state.shape, state.dtype, "temp", state.node, state.order)
    stores = tuple(Store(temp if s.buffer is state else s.buffer, s.index, s.value) for s in kernel.stores)
    axes, index = points(state.shape)
    copy = Kernel(
        f"{state.name}_store",
        axes,
        (Store(state, index, loops.load(temp, index, state.dtype)),),
        (),
        ("its old value is still read when the new one is made",),
        loop=kernel.loop,
    )
    return replace(kernel, stores=stores), copy


def plan_memory(kernels: Sequence[Kernel]) -> MemoryPlan:
    """Barriers and lifetimes for kernels in running order."""
    barriers = [False] * len(kernels)
    phase, phases = 0, []
    written: set[Buffer] = set()
    read: set[Buffer] = set()
    for i, k in enumerate(kernels):
        reads, writes = {b.memory for b in k.reads()}, {b.memory for b in k.writes()}
        if i and (reads & written or writes & (written | read) or k.loop is not kernels[i - 1].loop):
            barriers[i - 1] = True
            phase, written, read = phase + 1, set(), set()
        written |= writes
        read |= reads
        phases.append(phase)
    loops = stretches(kernels)
    for _, last in loops.values():
        barriers[last] = True
    return MemoryPlan(list(kernels), barriers, lifetimes(kernels, phases), loops)


def lifetimes(kernels: Sequence[Kernel], phases: Sequence[int]) -> dict[Buffer, tuple[int, int]]:
    """The first and the last phase of each temp. phases: the one that each kernel is in."""
    lives: dict[Buffer, tuple[int, int]] = {}
    for p, k in zip(phases, kernels):
        for b in [*k.reads(), *k.writes()]:
            if b.memory.kind in ("temp", "carry"):
                lives[b.memory] = (lives.get(b.memory, (p, p))[0], p)
    for first, last in stretches(kernels).values():
        _live_through(kernels[first : last + 1], (phases[first], phases[last]), lives)
    return lives


def stretches(kernels: Sequence[Kernel]) -> dict[Loop, tuple[int, int]]:
    """The first and the last kernel of each loop, which are together."""
    loops: dict[Loop, tuple[int, int]] = {}
    for i, k in enumerate(kernels):
        if k.loop is not None:
            loops[k.loop] = (loops.get(k.loop, (i, i))[0], i)
    return loops


def _live_through(body: Sequence[Kernel], span: tuple[int, int], lifetimes: dict[Buffer, tuple[int, int]]) -> None:
    """What is not made anew in each turn of a loop lives as long as the loop, whose phases are `span`."""
    made = {b for k in body for b in k.writes() if b.kind == "temp"}
    for b in {b for k in body for b in [*k.reads(), *k.writes()]}:
        first, last = lifetimes.get(b.memory, span)
        if b.memory in lifetimes and not (b in made and span[0] <= first and last <= span[1]):
            lifetimes[b.memory] = (min(first, span[0]), max(last, span[1]))
