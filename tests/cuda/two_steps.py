"""Two training steps in lockstep beside the reference's, from the same states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import kernelwright as kw
from kernelwright.compiler.targets.cuda import program


def agree(graph: Any, values: Sequence[np.ndarray], rtol: float) -> program.CudaPlan:
    """Asserts that the outputs of both steps agree to `rtol`, and all that is updated to 1e-4; what was run."""
    states = {v: v.attrs.state.get() for v in graph.updates}
    reference = kw.compile(graph.inputs, graph.outputs, graph.updates, device="reference")
    wanted = [reference(*values) for _ in range(2)]
    after = {v: v.attrs.state.get() for v in graph.updates}
    for variable, value in states.items():
        variable.attrs.state.set(value)
    built = program.build_kernels(graph.inputs, graph.outputs, graph.updates)
    for want in wanted:
        for got, expected in zip(program.run_program(built, values), want):
            np.testing.assert_allclose(got, expected, rtol=rtol)
    for variable, value in after.items():
        np.testing.assert_allclose(variable.attrs.state.get(), value, rtol=1e-4, atol=1e-6, err_msg=str(variable))
    return built
