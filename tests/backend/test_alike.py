"""What was found for one kernel and carried over to those alike is what is found for each of them by itself."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.loops.form import form
from kernelwright.compiler.shapes import typical
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu.planning import plan_schedule
from kernelwright.compiler.targets.cpu.printer import print_kernel
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.shared.kernel_text import show


def residual():
    """Blocks of two convolutions, wide enough for Winograd's maps, panels and packed operands; an odd size between."""
    x, total = kw.input("x", (None, 32, 11, 11)), 0.0
    y, weights = x, []
    for i in range(6):
        rows = 3 if i % 2 else 1
        w = kw.variable(f"w{i}", np.zeros((32, 32, rows, rows)), "float32")
        y, weights = kw.relu(y + kw.conv(y, w, pad=rows // 2)), [*weights, w]
        total = total + y.mean() + (y.max(axis=1) / y.sum(axis=1)).sum()
    return [x], total, weights


def rows():
    """Attention-like: dot tiles, rows that are reduced, transposed operands."""
    x, total = kw.input("x", (None, 24, 40)), 0.0
    weights = [kw.variable(f"w{i}", np.zeros((40, 40)), "float32") for i in range(5)]
    for w in weights:
        x = kw.softmax((x @ w) @ x.transpose(0, 2, 1)) @ x
        total = total + x.sum()
    return [kw.input("x", (None, 24, 40))], total, weights


@pytest.mark.parametrize("network", [residual, rows])
def test_what_is_carried_over_is_what_each_kernel_gets_by_itself(network):
    inputs, loss, weights = network()
    updates = {w: w - 0.1 * g for w, g in zip(weights, kw.grad(loss, weights))}
    cpu = Cpu(Options(2, {"batch": 9}))
    with typical({"batch": 9}):
        kernels = cpu.planned(inputs, [loss], updates).kernels
        forms = {k.fact(form).text for k in kernels}
        assert len(forms) < 0.7 * len(kernels)  # so that there is something to carry over
        for kernel in kernels:
            schedule, cycles = plan_schedule(kernel)
            assert (show(kernel.schedule, kernel), kernel.cycles) == (show(schedule, kernel), cycles)
            carried, own = cpu.print(kernel), print_kernel(kernel)
            assert carried.text == own.text
            assert list(carried.names.sizes.items()) == list(own.names.sizes.items())
            assert list(carried.names.buffers.items()) == list(own.names.buffers.items())
            assert carried.pretty(kernel.name) == own.pretty(kernel.name)
