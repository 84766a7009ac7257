"""A network's training step: run in lockstep against the reference, and compiled to PTX and cubin."""

import re

import numpy as np
import pytest
from two_steps import agree

import kernelwright as kw
from kernelwright.compiler.loops import expressions as loops
from kernelwright.compiler.targets.cuda import compiled, program
from kernelwright.compiler.targets.cuda.compiled import CudaListing
from kernelwright.compiler.targets.cuda.tensor_cores import TensorCoreTiled
from kernelwright.models import programs
from kernelwright.models.precision import of_device
from kernelwright.models.updating import Updating


def lenet_step():
    """The trainer's program: it gathers a batch from a data set in memory."""
    model = kw.models.lenet5()
    return programs.training(model, kw.losses.cross_entropy, kw.optim.SGD(0.1, momentum=0.9))


def test_a_training_step_agrees_with_the_reference():
    graph = lenet_step()
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(7, 1, 28, 28)).astype("float32"), rng.integers(0, 10, 7).astype("int32")
    values = [images, labels, np.array([4, 0, 6], "int32")]
    agree(graph, values, rtol=1e-5)


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


def residual_net():
    """Convolutions, strided and not, batch normalisation, sums of branches, pooling and a dense layer."""
    nn = kw.nn
    body = nn.Sequential(
        nn.Conv(8, 3, stride=2, pad=1, bias=False),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.Conv(8, 3, pad=1, bias=False),
        nn.BatchNorm(),
    )
    block = nn.Residual(body, nn.Sequential(nn.Conv(8, 1, stride=2, bias=False), nn.BatchNorm()))
    net = nn.Sequential(
        nn.Conv(8, 3, pad=1, bias=False), nn.BatchNorm(), nn.ReLU(), block, nn.ReLU(), nn.GlobalAvgPool(), nn.Dense(5)
    )
    return kw.models.Model("residual", net, (3, 12, 12), 5)


@pytest.mark.parametrize("make", [kw.models.lenet5, residual_net])
def test_a_training_step_in_bfloat16_agrees_with_the_reference_of_the_same_graph(make):
    """The reference rounds after each op, kernels where they store: half a unit of bfloat16 apart for each."""
    model = make()
    options = Updating(precision="bfloat16")
    graph = programs.training(model, kw.losses.cross_entropy, kw.optim.SGD(0.1, momentum=0.9), options=options)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(9, *model.input_shape)).astype("float32")
    values = [images, rng.integers(0, 5, 9).astype("int32"), np.array([4, 0, 6, 1, 8, 2], "int32")]
    states = {v: v.attrs.state.get() for v in graph.updates}
    want = kw.compile(graph.inputs, graph.outputs, graph.updates, device="reference")(*values)
    after = {v: v.attrs.state.get() for v in graph.updates}
    for variable, value in states.items():
        variable.attrs.state.set(value)
    built = program.build_kernels(graph.inputs, graph.outputs, graph.updates, "bfloat16")
    got = program.run_program(built, values)
    np.testing.assert_allclose(got[0], want[0], rtol=2.0**-8)
    for variable, value in after.items():
        assert variable.dtype != "bfloat16"
        moved = np.linalg.norm(value - states[variable])
        error = np.linalg.norm(variable.attrs.state.get() - value)
        assert error <= 2.0**-5 * moved, str(variable)


def test_contractions_of_a_bfloat16_step_read_words():
    """Activations, and gradients of them: each is rounded once, by the kernel that makes it."""
    model = residual_net()
    options = Updating(precision="bfloat16")
    graph = programs.training(model, kw.losses.cross_entropy, kw.optim.SGD(0.1), options=options)
    built = program.build_kernels(graph.inputs, graph.outputs, graph.updates, "bfloat16")
    products = [k.kernel for k in built.kernels if isinstance(k.schedule, TensorCoreTiled)]
    loads = [e for k in products for r in k.expressions if r.kind == "reduce" for e in loops.loads([r])]
    read = {e.data[0]: e.data[0].dtype for e in loads if e.data[0].kind == "temp" and len(e.data[0].shape) == 4}
    assert len(read) >= 8 and set(read.values()) == {"bfloat16"}


def test_the_trainer_trains_in_bfloat16(library, monkeypatch):
    """On the stand-in for the driver; losses are those of the CPU in the same precision, up to rounding."""
    monkeypatch.setattr(compiled, "require", lambda index: None)
    monkeypatch.setattr(compiled, "driver", lambda index: library.gpu)
    rng = np.random.default_rng(1)
    images, labels = rng.normal(size=(16, 1, 8, 8)).astype("float32"), rng.integers(0, 3, 16).astype("int32")
    losses = []
    for device in ("cuda", "cpu"):
        net = kw.nn.Sequential(kw.nn.Conv(4, 3), kw.nn.ReLU(), kw.nn.Flatten(), kw.nn.Dense(3))
        model = kw.models.Model("small", net, (1, 8, 8), 3)
        trainer = kw.Trainer(
            model, kw.optim.SGD(0.1), kw.losses.cross_entropy, batch=16, device=device, precision="bfloat16"
        )
        losses.append([float(trainer.step(images, labels)) for _ in range(3)])
        assert {p.dtype for p in trainer.model.parameters()} == {"float32"}
    np.testing.assert_allclose(losses[0], losses[1], rtol=2.0**-7)
    assert losses[0][2] < losses[0][0]


def listed(network, precision, arch):
    """The listing of a network's training step at its usual batch."""
    model = kw.models.build(network)
    in_graph, of_contractions = of_device("cuda", precision)
    options = Updating(precision=in_graph)
    graph = programs.training(model, kw.losses.cross_entropy, kw.optim.SGD(0.1, momentum=0.9), options=options)
    return CudaListing(graph.inputs, graph.outputs, graph.updates, arch, {"batch": 128}, of_contractions)


def tensor_kernels(network, precision, arch="sm_90"):
    """The listing of a training step, and its distinct kernels on tensor cores."""
    listing = listed(network, precision, arch)
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
        assert "mma.sync" in kernel.asm or "wgmma.mma_async" in kernel.asm
        assert NO_SPILLS.search(kernel.resources) or "nvJitLink is not installed" in kernel.resources, kernel.source


@pytest.mark.slow
@pytest.mark.parametrize("network", ["lenet5", "resnet50"])
def test_every_kernel_of_a_bfloat16_step_compiles_without_spills(toolkit, network):
    listing = listed(network, "bfloat16", "sm_90")
    kernels = {k.key: k for k in listing.kernels}.values()
    listing.compile(*kernels)
    for kernel in kernels:
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
