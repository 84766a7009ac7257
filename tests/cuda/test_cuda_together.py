"""Small kernels in one launch: how many launches remain, their values, their tables, and what must stay apart."""

import numpy as np
import pytest
from standin import on

import kernelwright as kw
from kernelwright.compiler.targets.cuda import lockstep, program
from kernelwright.compiler.targets.cuda.lockstep_memory import LockstepError
from kernelwright.compiler.targets.cuda.schedule import Together
from kernelwright.runtime import BufferArg, CudaBatchSpec, SizeArg

SHAPES = [(n,) for n in (2, 7, 64, 300)] + [(3, n) for n in (4, 5, 11, 128)] + [(20, 3, 2, n) for n in (1, 2, 3, 9)]
SHAPES += [(2, 2, 2, 2, n) for n in (3, 4, 5, 6)] + [(33, 17), (40, 40), (64, 8), (8, 64)]
RATE = np.float32(0.1)


def parameters(seed=0):
    """Twenty variables of different shapes, an input for the gradient of each, and values of these."""
    rng = np.random.default_rng(seed)
    numbers = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
    variables = [kw.variable(f"w{i}", value) for i, value in enumerate(numbers)]
    inputs = [kw.input(f"g{i}", shape) for i, shape in enumerate(SHAPES)]
    return variables, inputs, [rng.normal(size=shape).astype("float32") for shape in SHAPES]


def in_numpy(gradients, values, steps):
    """Values after steps of SGD with momentum 0.9, in float32."""
    speeds = [np.zeros_like(g) for g in gradients]
    for _ in range(steps):
        speeds = [v * np.float32(0.9) + g for v, g in zip(speeds, gradients)]
        values = [w - RATE * v for w, v in zip(values, speeds)]
    return values


@pytest.mark.parametrize(
    "optimizer, most", [(lambda: kw.optim.SGD(0.1, momentum=0.9), 1), (lambda: kw.optim.Adam(0.1), 3)]
)
def test_updates_of_twenty_parameters_are_few_kernels_with_the_bits_of_single_ones(monkeypatch, optimizer, most):
    after = []
    for stop in ("", "schedule"):
        monkeypatch.setenv("KERNELWRIGHT_STOP_AFTER", stop)
        variables, inputs, gradients = parameters()
        updates = optimizer().updates(variables, inputs)
        built = program.build_kernels(inputs, [kw.tanh(inputs[0])], updates)
        for _ in range(2):
            program.run_program(built, gradients)
        after.append([v.attrs.state.get() for v in updates])
        if not stop:
            assert len(built.kernels) <= 2 + most  # besides the output and the count of steps
    assert len(built.kernels) > 20
    for one, other in zip(*after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_runtime_gives_each_kernel_its_row_of_the_table(library):
    variables, inputs, gradients = parameters()
    want = in_numpy(gradients, [v.attrs.state.get() for v in variables], 3)
    updates = kw.optim.SGD(0.1, momentum=0.9).updates(variables, inputs)
    step = on(library, inputs, [inputs[0].sum()], updates)
    (batch,) = (k for k in step.program.kernels if isinstance(k, CudaBatchSpec))
    assert len(batch.grids) == 20
    for _ in range(3):
        step(*gradients)
    assert library.log.count("cuLaunchKernel") == len(step.program.kernels) == 3
    for variable, value in zip(variables, want):
        np.testing.assert_array_equal(variable.attrs.state.get(), value)
    assert len(step.profile(*gradients)) == 3


def test_a_table_has_a_place_for_each_block_and_a_row_for_each_kernel():
    n = ((("n",), 1),)
    args = (BufferArg(0), SizeArg(n), BufferArg(1), SizeArg(n))
    spec = CudaBatchSpec("two", "", "", args, 256, (((n, 4),), ((n, 256),)))
    blocks, table = spec.table({0: 1000, 1: 2000}, {"n": 9})
    assert blocks == 4
    assert table[:4] == [4, 4, 4, 7]
    assert table[4:] == [0, 1000, 9, 3, 2000, 9]


def test_kernels_that_depend_on_each_other_stay_apart():
    """A chain of sums alike: each needs the one before."""
    x = kw.input("x", (40, 40))
    rows = [x]
    for _ in range(4):
        rows.append(kw.exp(x - rows[-1].max(0, keepdims=True)).sum(0, keepdims=True) + x)
    value = np.random.default_rng(0).normal(size=(40, 40)).astype("float32")
    built = program.build_kernels([x], rows[-1:], {})
    for k in built.kernels:
        members = k.schedule.members if isinstance(k.schedule, Together) else []
        written = {b for m in members for b in m.writes()}
        assert not written & {b for m in members for b in m.reads()}
    want = value
    for _ in range(4):
        want = np.exp(value - want.max(0, keepdims=True)).sum(0, keepdims=True) + value
    np.testing.assert_allclose(program.run_program(built, [value])[0], want, rtol=1e-5)


def test_variables_are_read_before_they_are_overwritten_together():
    """Each variable takes over what the next one was."""
    ring = [kw.variable(f"v{i}", np.full(3 + 0 * i, i, "float32")) for i in range(6)]
    x = kw.input("x", (3,))
    updates = {v: w + x for v, w in zip(ring, ring[1:] + ring[:1])}
    built = program.build_kernels([x], [sum(ring[1:], ring[0])], updates)
    (total,) = program.run_program(built, [np.ones(3, "float32")])
    np.testing.assert_array_equal(total, [15, 15, 15])
    assert [v.attrs.state.get()[0] for v in ring] == [2, 3, 4, 5, 6, 1]


def test_accesses_past_the_end_of_memory_from_a_table_are_found():
    text = "def kernel(table):\n    x = float32_at(table, cuda.blockIdx.x)\n    x[cuda.threadIdx.x] = float32(1)\n"
    memory = {1: np.zeros(16, "float32"), 2: np.zeros(32, "float32")}
    with pytest.raises(LockstepError, match=r"\[16\] of 16 elements by thread 16 of block 1"):
        lockstep.run(text, 32, 2, [np.array([2, 1])], at=lambda address, _: memory[address])


def test_a_launch_of_many_kernels_compiles_for_both_architectures(toolkit):
    variables, inputs, _ = parameters()
    built = program.build_kernels(inputs, [inputs[0].sum()], kw.optim.Adam(0.1).updates(variables, inputs))
    for kernel in built.kernels:
        for arch in ((8, 0), (9, 0)):
            code = kernel.compile(arch)
            if isinstance(kernel.schedule, Together):
                assert "ld.global.f32" in code.ptx and "st.global.f32" in code.ptx
            assert code.cubin is None or "0 bytes spill stores" in code.log
