"""A network's training step: run in lockstep against the reference, and compiled to PTX and cubin."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.codegen.cuda import program
from kernelwright.models import programs


def lenet_step():
    """The trainer's program: it gathers a batch from a data set in memory."""
    model = kw.models.lenet5()
    return programs.training(model, kw.losses.cross_entropy, kw.optim.SGD(0.1, momentum=0.9))


def test_a_training_step_agrees_with_the_reference():
    graph = lenet_step()
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(7, 1, 28, 28)).astype("float32"), rng.integers(0, 10, 7).astype("int32")
    values = [images, labels, np.array([4, 0, 6], "int32")]
    states = {v: v.attrs.state.get() for v in graph.updates}
    reference = kw.compile(graph.inputs, graph.outputs, graph.updates, device="reference")
    wanted = [reference(*values) for _ in range(2)]
    after = {v: v.attrs.state.get() for v in graph.updates}
    for variable, value in states.items():
        variable.attrs.state.set(value)
    built = program.build(graph.inputs, graph.outputs, graph.updates)
    for want in wanted:
        for got, expected in zip(program.run_program(built, values), want):
            np.testing.assert_allclose(got, expected, rtol=1e-5)
    for variable, value in after.items():
        np.testing.assert_allclose(variable.attrs.state.get(), value, rtol=1e-4, atol=1e-6, err_msg=str(variable))


@pytest.mark.slow
@pytest.mark.parametrize("arch", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def test_every_kernel_of_the_step_compiles_without_spills(toolkit, arch):
    graph = lenet_step()
    kernels = program.build(graph.inputs, graph.outputs, graph.updates).kernels
    assert len(kernels) > 20
    for text, kernel in {k.source.text: k for k in kernels}.items():
        code = kernel.compile(arch)
        assert f".target sm_{arch[0]}{arch[1]}" in code.ptx, text
        if code.cubin is not None:
            assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", code.log), text
