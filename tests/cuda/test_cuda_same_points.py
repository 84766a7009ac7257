"""Small kernels over the same channels in one launch: which join, and that they say the same, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from two_steps import agree

import kernelwright as kw
from kernelwright.compiler.lowering import same_points
from kernelwright.compiler.targets.cuda import program
from kernelwright.models import programs

RNG = np.random.default_rng(8)
CHANNELS = 24


def run(outputs, inputs, arrays):
    """(the kernels, the outputs in lockstep)."""
    built = program.build_kernels(inputs, outputs, {})
    return built.kernels, program.run_program(built, arrays)


@pytest.mark.parametrize("batch", [2, 5])
def test_a_step_with_batch_normalisation_has_fewer_launches(batch, monkeypatch):
    """Two steps in lockstep against the reference: losses, and all that is updated. A tanh has no kink, at which a
    rounding would change a gradient by a whole pixel's."""
    model = kw.nn.Sequential(
        *(layer for _ in range(2) for layer in (kw.nn.Conv(16, 3, pad=1), kw.nn.BatchNorm(), kw.nn.Tanh())),
        kw.nn.GlobalAvgPool(),
        kw.nn.Dense(4),
    )
    network = kw.models.Model("small", model, (8, 9, 9), 4, seed=0)
    graph = programs.training(network, kw.losses.cross_entropy, kw.optim.SGD(0.1, momentum=0.9))
    images, labels = RNG.normal(size=(7, 8, 9, 9)).astype("float32"), RNG.integers(0, 4, 7).astype("int32")
    values = [images, labels, RNG.permutation(7)[:batch].astype("int32")]
    built = agree(graph, values, rtol=1e-4)
    monkeypatch.setattr(same_points, "MOST_STORES", 0)
    apart = program.build_kernels(graph.inputs, graph.outputs, graph.updates)
    assert len(built.kernels) < len(apart.kernels)


def test_other_points_of_what_a_kernel_makes_are_read_after_it():
    """A sum over channels, and channels in reverse, need the whole of what the first kernel stores."""
    x = kw.input("x", (6, CHANNELS))
    value = RNG.integers(-4, 5, x.shape).astype("float32")
    total = x.sum(0)
    outputs = [kw.flip(total, 0) * total, total * total.sum()]
    _, (turned, scaled) = run(outputs, [x], [value])
    right = value.sum(0)
    np.testing.assert_array_equal(turned, right[::-1] * right)
    np.testing.assert_array_equal(scaled, right * right.sum())
