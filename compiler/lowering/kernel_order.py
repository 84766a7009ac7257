"""The order of kernels, where threads must meet, and how long each buffer lives.

A variable is updated in place where every other reader can run before, and the kernel itself reads it only at
the point it writes; else the new value goes to a buffer of its own and is copied at the end. Lifetimes are
counted in phases (stretches between barriers), so that memory is reused only across a barrier. Leans on
`kernels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..loops import expressions as loops
from ..loops.kernels import Buffer, Kernel, Store, points

if TYPE_CHECKING:
    import networkx as nx


@dataclass
class MemoryPlan:
    """Kernels in the order they run, whether threads meet after each, and each temp's first and last phase."""

    kernels: list[Kernel]
    barriers: list[bool]
    lifetimes: dict[Buffer, tuple[int, int]] = field(default_factory=dict)


def order(kernels: Sequence[Kernel]) -> list[Kernel]:
    """The kernels so that values are written before they are read, and variables overwritten after their readers."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(kernels)))
    writer = {b: i for i, k in enumerate(kernels) for b in k.writes()}
    readers: dict[Buffer, list[int]] = {}
    for i, k in enumerate(kernels):
        for b in k.reads():
            readers.setdefault(b, []).append(i)
            if b.kind != "state" and writer.get(b, i) != i:
                graph.add_edge(writer[b], i)
    soonest = _soonest(graph)
    kernels = list(kernels)
    late: list[Kernel] = []
    for state, i in [(b, i) for b, i in writer.items() if b.kind == "state"]:
        others = [r for r in readers.get(state, []) if r != i]
        reachable = nx.descendants(graph, i) if others else set()
        if any(r in reachable for r in others) or not _reads_in_place(kernels[i], state):
            kernels[i], copy = _detour(kernels[i], state)
            late.append(copy)
        else:
            graph.add_edges_from((r, i) for r in others)
    return [kernels[i] for i in nx.lexicographical_topological_sort(graph, soonest.__getitem__)] + late


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
    )
    return Kernel(kernel.name, kernel.axes, stores, kernel.nodes, kernel.reasons, kernel.schedule), copy


def plan_memory(kernels: Sequence[Kernel]) -> MemoryPlan:
    """Barriers and lifetimes for kernels in running order."""
    barriers = [False] * len(kernels)
    phase, phases = 0, []
    written: set[Buffer] = set()
    read: set[Buffer] = set()
    for i, k in enumerate(kernels):
        reads, writes = set(k.reads()), set(k.writes())
        if i and (reads & written or writes & (written | read)):
            barriers[i - 1] = True
            phase, written, read = phase + 1, set(), set()
        written |= writes
        read |= reads
        phases.append(phase)
    lifetimes: dict[Buffer, tuple[int, int]] = {}
    for p, k in zip(phases, kernels):
        for b in [*k.reads(), *k.writes()]:
            if b.kind == "temp":
                lifetimes[b] = (lifetimes.get(b, (p, p))[0], p)
    return MemoryPlan(list(kernels), barriers, lifetimes)
