"""How a program's kernels depend on each other, as a networkx graph: critical path, dominators, and the whole as text.

The graph has a node for each kernel, by its number, and an edge to each kernel that reads what it stores. Leans on
`kernel_info`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...loops.kernels import Buffer, Kernel
from .inspect import count, rows

if TYPE_CHECKING:
    import networkx as nx


def needs(kernels: Sequence[Kernel]) -> list[tuple[int, ...]]:
    """For each kernel in running order, the numbers of those before it whose results it reads."""
    writer: dict[Buffer, int] = {}
    found: list[tuple[int, ...]] = []
    for number, kernel in enumerate(kernels):
        found.append(tuple(sorted({writer[b.memory] for b in kernel.reads() if b.memory in writer})))
        writer.update((b.memory, number) for b in kernel.writes())
    return found


def flow(program: Any, **sizes: int) -> nx.DiGraph:
    """The graph; its nodes have `name` and `cycles` of one core, as predicted at these sizes."""
    import networkx as nx

    graph = nx.DiGraph()
    for row, kernel in zip(rows(program, **sizes), program.kernels):
        graph.add_node(row["number"], name=row["name"], cycles=row["cycles"])
        graph.add_edges_from((i, row["number"]) for i in kernel.needs)
    return graph


def critical_path(graph: nx.DiGraph) -> list[int]:
    """The chain of kernels, each reading the one before it, that takes the most cycles."""
    import networkx as nx

    start = nx.DiGraph()
    start.add_nodes_from(graph)
    start.add_edges_from((i, j, {"cycles": graph.nodes[i]["cycles"]}) for i, j in graph.edges)
    path: list[int] = nx.dag_longest_path(start, weight="cycles")
    return path


def unavoidable(graph: nx.DiGraph, kernel: int) -> list[int]:
    """The kernels that every path from what the program is given to `kernel` goes through, first first: its dominators
    in the graph."""
    import networkx as nx

    rooted = graph.copy()
    rooted.add_edges_from((-1, i) for i, before in graph.in_degree() if before == 0)
    above = nx.immediate_dominators(rooted, -1)
    found: list[int] = []
    while above.get(kernel, -1) not in (-1, kernel):
        kernel = above[kernel]
        found.append(kernel)
    return found[::-1]


def flow_text(program: Any, **sizes: int) -> str:
    """The critical path, and for each kernel what it reads and which kernels it cannot do without."""
    import networkx as nx

    graph = flow(program, **sizes)
    title = {i: f"{i} {graph.nodes[i]['name']}" for i in graph}
    total = sum(graph.nodes[i]["cycles"] for i in graph) or 1.0
    path = critical_path(graph)
    share = sum(graph.nodes[i]["cycles"] for i in path) / total
    ends = [i for i in graph if graph.out_degree(i) == 0]
    lines = [
        f"{len(graph)} kernels, {count(total)} predicted cycles of one core; "
        f"{len(list(nx.weakly_connected_components(graph)))} parts that share no result",
        f"the critical path has {len(path)} kernels and {share:.0%} of the cycles:",
        *(f"  {title[i]}  {graph.nodes[i]['cycles'] / total:.1%}" for i in path),
        "what no other kernel reads, and the kernels that every way to it goes through:",
        *(f"  {title[i]}: {', '.join(title[j] for j in unavoidable(graph, i)) or 'none'}" for i in ends),
        "each kernel and its readers:",
        *(f"  {line}" for line in nx.generate_network_text(nx.relabel_nodes(graph, title))),
    ]
    return "\n".join(lines)
