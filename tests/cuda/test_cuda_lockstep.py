"""The lockstep executor: what it computes where threads differ, and the mistakes it finds."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cuda import lockstep, program
from kernelwright.compiler.targets.cuda.lockstep_memory import LockstepError


def run(text, *arguments, threads=64, blocks=1):
    lockstep.run(text, threads, blocks, arguments)


def test_conditions_and_loops_that_differ_between_threads():
    out = np.zeros(128, "int64")
    run(
        """def kernel(n, o):
    p = cuda.blockIdx.x * 64 + cuda.threadIdx.x
    if p < n and 3 <= p < 100:
        total = int64(0)
        for i in range(p % 5, p, 7):
            if i % 2 == 0 or not i < 50:
                total = total + i
        o[p] = total
""",
        120,
        out,
        blocks=2,
    )
    want = [sum(i for i in range(p % 5, p, 7) if i % 2 == 0 or i >= 50) if 3 <= p < 100 else 0 for p in range(128)]
    np.testing.assert_array_equal(out, want)


def test_variables_keep_their_values_in_threads_that_are_not_active():
    out = np.zeros(64, "float32")
    run(
        """def kernel(o):
    t = cuda.threadIdx.x
    x = float32(1.0)
    if t < 10:
        x = float32(2.0)
    o[t] = x
""",
        out,
    )
    np.testing.assert_array_equal(out, np.where(np.arange(64) < 10, 2, 1))


SUM = """def kernel(x, o):
    part = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    part[t] = x[cuda.blockIdx.x * 64 + t]
    cuda.syncthreads()
    if t == 0:
        total = float32(0.0)
        for i in range(64):
            total = total + part[i]
        o[cuda.blockIdx.x] = total
"""


def test_shared_memory_belongs_to_a_block():
    x, out = np.arange(192, dtype="float32"), np.zeros(3, "float32")
    run(SUM, x, out, blocks=3)
    np.testing.assert_array_equal(out, x.reshape(3, 64).sum(1))


@pytest.mark.parametrize(
    "change, says",
    [
        (("    cuda.syncthreads()\n", ""), "race"),
        (("part[i]", "part[i + 1]"), "shared array of 64"),
        (("x[cuda.blockIdx.x * 64 + t]", "x[cuda.blockIdx.x * 64 + t + 1]"), "load of"),
        (("    if t == 0:\n", "    if t < 2:\n"), "race"),
        (("o[cuda.blockIdx.x] =", "o[cuda.blockIdx.x + 1] ="), "store to"),
        (("        total = float32(0.0)\n", "        total = float32(0.0)\n        cuda.syncthreads()\n"), "barrier"),
    ],
)
def test_mistakes_are_found(change, says):
    wrong = SUM.replace(*change)
    assert wrong != SUM
    with pytest.raises(LockstepError, match=says):
        run(wrong, np.ones(192, "float32"), np.zeros(3, "float32"), blocks=3)


def test_a_shuffle_with_absent_lanes_is_found():
    text = """def kernel(o):
    t = cuda.threadIdx.x
    if t < 40:
        o[t] = cuda.shfl_xor_sync(0xffffffff, t, 1)
"""
    with pytest.raises(LockstepError, match="shuffle"):
        run(text, np.zeros(64, "int64"))


def test_shared_memory_starts_as_nan():
    out = np.zeros(64, "float32")
    run("def kernel(o):\n    s = cuda.shared.array(64, float32)\n    t = cuda.threadIdx.x\n    o[t] = s[t]\n", out)
    assert np.isnan(out).all()


def test_every_barrier_of_a_tile_is_needed(monkeypatch):
    a, b = kw.input("a", (40, 40)), kw.input("b", (40, 40))
    (kernel,) = program.build_kernels([a, b], [a @ b], {}).kernels
    text = kernel.source.text
    at = [i for i in range(len(text)) if text.startswith("cuda.syncthreads()", i)]
    assert len(at) == 2
    for i in at:
        arrays = [np.ones(1600, "float32") for _ in range(3)]
        blocks = program.blocks(kernel.source.launch, {})
        with pytest.raises(LockstepError, match="race"):
            run(text[:i] + "x = x" + text[i + 18 :], *arrays, threads=kernel.source.launch.threads, blocks=blocks)


def test_large_grids_run_some_blocks_at_a_time(monkeypatch):
    monkeypatch.setattr(lockstep, "AT_ONCE", 128)
    x, out = np.arange(640, dtype="float32"), np.zeros(10, "float32")
    run(SUM, x, out, blocks=10)
    np.testing.assert_array_equal(out, x.reshape(10, 64).sum(1))


def test_the_extreme_of_three_is_of_all_three():
    lines = [
        "def kernel(o):",
        "i = cuda.threadIdx.x",
        "o[i * 2] = max(0, i, 2 * i - 1)",
        "o[i * 2 + 1] = min(4, i, 3 - i)",
    ]
    text = "\n    ".join(lines) + "\n"
    out = np.zeros(8, "int64")
    lockstep.run(text, 4, 1, [out])
    np.testing.assert_array_equal(out, [0, 0, 1, 1, 3, 1, 5, 0])
