"""Op samples as printed kernels that Python runs: the reference's numbers, and nothing that the checks refuse."""

from __future__ import annotations

import numpy as np
import pytest
from test_op_table import SAMPLED, TOLERANCE, build, rng_for

import kernelwright as kw
from kernelwright.compiler import dtypes
from kernelwright.compiler.graph.ops import OPS
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.lowering.kernel_order import plan_memory
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu.interpret import interpret
from kernelwright.compiler.targets.cpu.printer import print_kernel
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.cpu.verify_kernels import verify_kernels
from kernelwright.runtime.arena import PAD


def in_memory(buffer, value=None):
    """A buffer as an array of one axis with the bytes that follow it."""
    words = np.dtype(dtypes.stored(buffer.dtype))
    array = np.zeros(int(np.prod(buffer.shape)) + buffer.slack + PAD // words.itemsize, words)
    if value is not None:
        placed = np.asarray(value).transpose(buffer.order).reshape(-1)
        array[: placed.size] = placed
    return array


def out_of_memory(buffer, array):
    ordered = [buffer.shape[axis] for axis in buffer.order]
    return array[: int(np.prod(ordered))].reshape(ordered).transpose(np.argsort(buffer.order))


def run(planned, kernels, sources, values):
    """The outputs of a program whose kernels are run as Python, by two threads, one after the other."""
    arrays = dict(zip(planned.inputs, map(in_memory, planned.inputs, values)))
    for kernel, source in zip(kernels, sources):
        for buffer in [*kernel.reads(), *kernel.writes()]:
            if buffer not in arrays:
                arrays[buffer] = in_memory(buffer, constant(buffer))
        slots = [*source.names.sizes, *(arrays[b] for b in source.names.buffers)]
        for thread in range(2):
            interpret(source.text, slots, thread, 2)
    return [out_of_memory(b, arrays[b]) for b in planned.returned]


def constant(buffer):
    return buffer.node.attrs.value.array if buffer.kind == "constant" else None


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", SAMPLED)
def test_kernels_mean_the_reference_as_python(name, dtype):
    rng = rng_for(name)
    for sample in OPS[name].samples:
        inputs, values, y = build(OPS[name], sample, dtype, rng)
        planned = Cpu(Options(threads=1)).planned(inputs, [y], {})
        order = plan_memory(planned.kernels)
        sources = [print_kernel(kernel) for kernel in order.kernels]
        assert verify_kernels(order.kernels, sources, order.barriers) == []
        got = run(planned, order.kernels, sources, values)[0]
        got = kw.from_bfloat16(got) if y.dtype == "bfloat16" else got
        (want,) = evaluate([y], dict(zip(inputs, values)))
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=str(y))
