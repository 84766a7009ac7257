"""A network's training step: run in lockstep against the reference, and compiled to PTX and cubin."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cuda import program
from kernelwright.compiler.targets.cuda.compiled import CudaListing
from kernelwright.compiler.targets.cuda.tensor_cores import TensorCoreTiled
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
    built = program.build_kernels(graph.inputs, graph.outputs, graph.updates)
    for want in wanted:
        for got, expected in zip(program.run_program(built, values), want):
            np.testing.assert_allclose(got, expected, rtol=1e-5)
    for variable, value in after.items():
        np.testing.assert_allclose(variable.attrs.state.get(), value, rtol=1e-4, atol=1e-6, err_msg=str(variable))


NO_SPILLS = re.compile(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads")


@pytest.mark.parametrize("precision, tolerance", [("tf32", 2**-9), ("bfloat16", 2**-6)])
def test_a_training_step_on_tensor_cores_is_near_the_reference(precision, tolerance):
    """Each product of kernels is checked exactly elsewhere; here they are a network whose loss is right."""
    graph = lenet_step()
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(7, 1, 28, 28)).astype("float32"), rng.integers(0, 10, 7).astype("int32")
    values = [images, labels, np.array([4, 0, 6], "int32")]
    states = {v: v.attrs.state.get() for v in graph.updates}
    want = kw.compile(graph.inputs, graph.outputs, graph.updates, device="reference")(*values)
    after = {v: v.attrs.state.get() for v in graph.updates}
    for variable, value in states.items():
        variable.attrs.state.set(value)
    built = program.build_kernels(graph.inputs, graph.outputs, graph.updates, precision)
    assert sum(isinstance(k.schedule, TensorCoreTiled) for k in built.kernels) >= 8
    got = program.run_program(built, values)
    np.testing.assert_allclose(got[0], want[0], rtol=tolerance)
    for variable, value in after.items():
        moved = np.abs(value - states[variable]).max()
        error = np.abs(variable.attrs.state.get() - value).max()
        assert error <= 4 * tolerance * moved, str(variable)


def tensor_kernels(network, precision, arch="sm_90"):
    """The listing of a network's training step at its usual batch, and its distinct kernels on tensor cores."""
    model = kw.models.build(network)
    graph = programs.training(model, kw.losses.cross_entropy, kw.optim.SGD(0.1, momentum=0.9))
    listing = CudaListing(graph.inputs, graph.outputs, graph.updates, arch, {"batch": 128}, precision)
    found = {
        k.key: k for k, built in zip(listing.kernels, listing.built) if isinstance(built.schedule, TensorCoreTiled)
    }
    return listing, list(found.values())


@pytest.mark.parametrize("network", ["lenet5", "resnet50"])
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_some_kernels_on_tensor_cores_compile_without_spills(toolkit, network, arch):
    listing, kernels = tensor_kernels(network, "tf32", arch)
    for kernel in kernels[:: len(kernels) // 2]:
        listing.compile(kernel)
        assert "mma.sync" in kernel.asm and "cp.async" in kernel.asm
        assert NO_SPILLS.search(kernel.resources) or "nvJitLink is not installed" in kernel.resources, kernel.source


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
@pytest.mark.parametrize("network", ["lenet5", "resnet50"])
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_every_kernel_on_tensor_cores_compiles_without_spills(toolkit, network, precision, arch):
    listing, kernels = tensor_kernels(network, precision, arch)
    assert len(kernels) >= 10
    for kernel in kernels:
        listing.compile(kernel)
        assert "mma.sync" in kernel.asm
        assert NO_SPILLS.search(kernel.resources) or "nvJitLink is not installed" in kernel.resources, kernel.source


@pytest.mark.slow
@pytest.mark.parametrize("arch", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def test_every_kernel_of_the_step_compiles_without_spills(toolkit, arch):
    graph = lenet_step()
    kernels = program.build_kernels(graph.inputs, graph.outputs, graph.updates).kernels
    assert len(kernels) > 20
    for text, kernel in {k.source.text: k for k in kernels}.items():
        code = kernel.compile(arch)
        assert f".target sm_{arch[0]}{arch[1]}" in code.ptx, text
        if code.cubin is not None:
            assert NO_SPILLS.search(code.log), text
