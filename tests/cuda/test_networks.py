"""A network's training step: run in lockstep against the reference, and compiled to PTX and cubin."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.codegen.cuda import program


def lenet_step():
    model = kw.models.lenet5()
    x, t = kw.input("x", (None, 1, 28, 28)), kw.input("t", (None,), "int32")
    loss = kw.losses.cross_entropy(model(x), t)
    grads = kw.grad(loss, model.parameters())
    updates = kw.optim.SGD(0.1, momentum=0.9).updates(model.parameters(), grads)
    return [x, t], [loss], updates


def test_a_training_step_agrees_with_the_reference():
    inputs, outputs, updates = lenet_step()
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 1, 28, 28)).astype("float32"), np.array([1, 9, 4], "int32")]
    states = {v: v.attrs.state.get() for v in updates}
    reference = kw.compile(inputs, outputs, updates, device="reference")
    wanted = [reference(*values) for _ in range(2)]
    after = {v: v.attrs.state.get() for v in updates}
    for variable, value in states.items():
        variable.attrs.state.set(value)
    built = program.build(inputs, outputs, updates)
    for want in wanted:
        np.testing.assert_allclose(program.run_program(built, values)[0], want, rtol=1e-5)
    for variable, value in after.items():
        np.testing.assert_allclose(variable.attrs.state.get(), value, rtol=1e-4, atol=1e-6, err_msg=str(variable))


@pytest.mark.slow
@pytest.mark.parametrize("arch", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def test_every_kernel_of_the_step_compiles_without_spills(toolkit, arch):
    kernels = program.build(*lenet_step()).kernels
    assert len(kernels) > 20
    for text, kernel in {k.source.text: k for k in kernels}.items():
        code = kernel.compile(arch)
        assert f".target sm_{arch[0]}{arch[1]}" in code.ptx, text
        if code.cubin is not None:
            assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", code.log), text
