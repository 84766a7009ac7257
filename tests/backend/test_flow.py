"""How kernels depend on each other: needs, the critical path, dominators, and their text."""

import numpy as np

import kernelwright as kw
from kernelwright.compiler.targets.shared.flow import critical_path, flow, flow_text, unavoidable


def diamond():
    """Two products of one stored product, of which the second is much larger, joined in a last one."""
    x = kw.input("x", (64, 64))
    left, right = np.ones((64, 8), "float32"), np.ones((64, 512), "float32")
    first = x @ (np.eye(64, dtype="float32") * 2)
    return kw.compile([x], [(first @ left).T @ (first @ right)])


def test_the_graph_of_kernels_has_an_edge_for_each_result_that_is_read():
    program = diamond()
    graph = flow(program)
    (first,) = [i for i in graph if graph.in_degree(i) == 0]
    (last,) = [i for i in graph if graph.out_degree(i) == 0]
    assert len(graph) == 4 and set(graph.predecessors(last)) == set(graph.successors(first))
    assert [k.needs for k in program.kernels][last] == tuple(sorted(graph.predecessors(last)))


def test_the_critical_path_takes_the_costly_way_and_no_way_avoids_the_first_kernel():
    program = diamond()
    graph = flow(program)
    path = critical_path(graph)
    wide = max(graph.predecessors(path[-1]), key=lambda i: program.kernels[i].flops())
    assert path == [path[0], wide, path[-1]] and graph.in_degree(path[0]) == 0
    assert unavoidable(graph, path[-1]) == [path[0]]
    text = flow_text(program)
    assert (
        "the critical path has 3 kernels" in text and f"{path[-1]} {program.kernels[path[-1]].name}: {path[0]} " in text
    )


def test_a_stored_program_knows_its_needs():
    assert [k.needs for k in diamond().kernels] == [k.needs for k in diamond().kernels]


def test_a_program_of_one_kernel_and_one_of_none():
    x = kw.input("x", (3,))
    assert flow_text(kw.compile([x], [kw.exp(x)])).startswith("1 kernels")
    assert flow_text(kw.compile([x], [])).startswith("0 kernels")
