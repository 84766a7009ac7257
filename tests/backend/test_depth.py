"""Deep networks: no recursion anywhere, as many distinct kernels at any depth, passes that grow linearly with it."""

import cProfile
import pstats
import sys

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu.target import Cpu


def chain(depth, residual):
    rng = np.random.default_rng(0)
    x, t = kw.input("x", (None, 16)), kw.input("t", (None,), "int32")
    h, parameters = x, []
    for i in range(depth):
        w = kw.variable(f"w{i}", (rng.normal(size=(16, 16)) / (40 if residual else 4)).astype("float32"))
        parameters.append(w)
        h = h + kw.relu(h @ w) if residual else kw.tanh(h @ w)
    loss = kw.cross_entropy(h, t)
    updates = {p: p - 0.01 * g for p, g in zip(parameters, kw.grad(loss, parameters))}
    return [x, t], loss, updates


def compiled(depth, residual):
    limit = sys.getrecursionlimit()
    inputs, loss, updates = chain(depth, residual)
    sys.setrecursionlimit(600)
    try:
        return kw.compile(inputs, loss, updates, threads=2)
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("residual", [False, True])
def test_kernels_are_shared_between_layers(residual):
    few, many = compiled(20, residual), compiled(60, residual)
    assert {k.key for k in many.kernels} == {k.key for k in few.kernels}
    per_layer = (len(many.kernels) - len(few.kernels)) / 40
    assert per_layer <= 5


def calls(depth, residual):
    """How many functions the passes call."""
    inputs, loss, updates = chain(depth, residual)
    profile = cProfile.Profile()
    profile.runcall(Cpu(Options()).build, inputs, [loss], updates)
    return pstats.Stats(profile).total_calls


@pytest.mark.parametrize("residual", [False, True])
def test_passes_grow_linearly_with_depth(residual):
    compiled(20, residual)  # its kernels are those of the others
    few, more, many = (calls(depth, residual) for depth in (20, 40, 80))
    assert many - more < 2.2 * (more - few)


@pytest.mark.slow
def test_a_network_of_1202_layers_takes_a_step_with_the_kernels_of_a_shallow_one():
    def step(name):
        model = kw.models.build(name)
        images, labels = model.images(), kw.input("labels", (None,), "int32")
        loss = kw.cross_entropy(model(images, training=True), labels)
        parameters = model.parameters()
        updates = kw.optim.SGD(0.01, momentum=0.9).updates(parameters, kw.grad(loss, parameters))
        updates = {**model.net.updates(), **updates}
        program = kw.compile([images, labels], loss, updates, typical={"batch": 2})
        return program, program(np.ones((2, 3, 32, 32), "float32"), np.zeros(2, "int32"))

    (few, _), (many, loss) = step("resnet20"), step("resnet1202")
    assert np.isfinite(loss)
    assert len({k.key for k in many.kernels}) <= len({k.key for k in few.kernels}) + 2


@pytest.mark.slow
@pytest.mark.parametrize("depth, residual", [(1000, False), (500, True)])
def test_very_deep_networks_compile_and_run(depth, residual):
    program = compiled(depth, residual)
    loss = program(np.ones((4, 16), "float32"), np.zeros(4, "int32"))
    assert np.isfinite(loss)
    assert len({k.key for k in program.kernels}) < 40
