"""Kernels run as Python against the same kernels compiled: all that their source may name means the same in both."""

from __future__ import annotations

import numpy as np
import pytest

from kernelwright.compiler.loops.functions import FUNCTIONS, Text
from kernelwright.compiler.targets.cpu.interpret import NAMES, AccessError, interpret
from kernelwright.compiler.targets.cpu.llvm import frontend, mathlib

UNLIKE = {"math", "address"}
"""What only kernels written by hand may name."""
NO_FLOATS = ("where", "bits_to_uniform", "round_bfloat16", "left_shift", "right_shift")
FLOATS = sorted(name for name, row in FUNCTIONS.items() if not isinstance(row.cpu, Text) and name not in NO_FLOATS)

CONTROL = """
def control(table, thread, threads):
    n = size_at(table, 0)
    x = float32_at(table, 1)
    k = int32_at(table, 2)
    out = float32_at(table, 3)
    whole = int64_at(table, 4)
    wide = float64_at(table, 5)
    half = bfloat16_at(table, 6)
    yes = bool_at(table, 7)
    acc = float32_scratch(16)
    for z in range(16):
        masked()
        acc[z] = float32(0)
    part = offset(acc, 8)
    prefetch(x, 0, n)
    best = float32(-INFINITY)
    place = int32(0)
    for i in range(n * thread // threads, n * (thread + 1) // threads):
        bits = philox(uint32(i), uint32(0), uint32(0), uint32(k[i] >> 3), uint32(7), uint32(n))[2]
        part[i % 8] = part[i % 8] + maximum(x[k[i]], bits_to_uniform(bits))
        out[i] = tanh(acc[8 + i % 8]) + where((x[i] > float32(0.0)) & (k[i] <= 3), float32(1.0), -x[i])
        if x[i] > best or (x[i] != x[i] and best == best):
            best = x[i]
            place = int32(i)
        g = int32((k[i] * int32(100000000)))
        wide[i] = float64(best) + float64(1e-3) + float64(fma(x[i], x[i], best))
        whole[i] = int64((g - int32((place * 7)))) + -k[i] // 3 + (-k[i]) % 5 + max(0, min(k[i], 4)) + int64(uint8(g))
        half[i] = round_bfloat16(x[i])
        yes[i] = (not (k[i] != 3)) | (x[i] < float32(0.0))
"""


def test_every_name_of_a_kernel_has_a_meaning():
    assert set(frontend.namespace("")) - set(NAMES) == UNLIKE


def both(kernel, source, name, slots, threads=1):
    """The slots as the interpreter leaves them, and as the compiled kernel does."""
    results = []
    for run in (interpret, lambda text, given, **share: kernel(text, name)(*given, **share)):
        given = [each.copy() if isinstance(each, np.ndarray) else each for each in slots]
        for thread in range(threads):
            run(source, given, thread=thread, threads=threads)
        results.append(given)
    return results


def test_control_flow_integers_and_memory(kernel):
    n, rng = 40, np.random.default_rng(0)
    x, k = rng.standard_normal(n).astype(np.float32), rng.integers(1, n, n).astype(np.int32)
    empty = [np.zeros(n, kind) for kind in (np.float32, np.int64, np.float64, np.uint16, np.bool_)]
    for threads in (1, 3):
        read, run = both(kernel, CONTROL, "control", [n, x, k, *empty], threads)
        for one, other in zip(read[1:], run[1:]):
            if one.dtype.kind == "f":
                np.testing.assert_allclose(one, other, rtol=1e-5)
            else:
                np.testing.assert_array_equal(one, other)
        assert all(each.any() for each in read[1:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FLOATS)
def test_functions_of_floats(kernel, name, dtype):
    arity = FUNCTIONS[name].arity
    result = name.removeprefix("saturate_") if name.startswith("saturate_") else dtype
    called = ", ".join(["x[i]", "y[i]"][:arity])
    source = (
        f"def of_floats(table, thread, threads):\n    n = size_at(table, 0)\n    x = {dtype}_at(table, 1)\n"
        f"    y = {dtype}_at(table, 2)\n    out = {result}_at(table, 3)\n"
        f"    for i in range(n):\n        out[i] = {name}({called})\n"
    )
    x = np.array([0.0, 0.3, 1.0, 2.5, -0.7, -3.5, 8.0, 1e9, -1e9, np.inf, -np.inf, np.nan], dtype)
    if name in ("sin", "cos"):
        x[7:9] = 30.0, -30.0
    y = np.array([2.0, 0.5, -1.0, 3.0, 2.0, 3.0, np.nan, 0.0, 1.0, 1.0, -1.0, 1.0], dtype)
    read, run = both(kernel, source, "of_floats", [len(x), x, y, np.zeros(len(x), result)])
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(read[3], run[3], rtol=tolerance, atol=tolerance)


def test_integers_of_functions_stay_integers(kernel):
    source = (
        "def of_integers(table, thread, threads):\n    x = int32_at(table, 0)\n    out = int64_at(table, 1)\n"
        "    for i in range(4):\n        out[i * 4] = maximum(x[i], int32(2))\n"
        "        out[i * 4 + 1] = minimum(x[i], -1)\n"
        "        out[i * 4 + 2] = abs(x[i])\n        out[i * 4 + 3] = where(x[i] > 0, x[i], sign(x[i]))\n"
    )
    x = np.array([-7, 0, 3, 2**31 - 1], np.int32)
    read, run = both(kernel, source, "of_integers", [x, np.zeros(16, np.int64)])
    assert read[1].tolist() == run[1].tolist()
    assert read[1].tolist()[:4] == [2, -7, 7, -1]


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "uint64"])
@pytest.mark.parametrize("name", ["floor_divide", "remainder", "left_shift", "right_shift"])
def test_whole_numbers_are_numpys(kernel, name, dtype):
    source = (
        f"def of_whole(table, thread, threads):\n    n = size_at(table, 0)\n    x = {dtype}_at(table, 1)\n"
        f"    y = {dtype}_at(table, 2)\n    out = {dtype}_at(table, 3)\n"
        f"    for i in range(n):\n        out[i] = {dtype}({name}(x[i], y[i]))\n"
    )
    limits = np.iinfo(dtype)
    near = [limits.min, 0, 1, 3, 7, 8, 63, 64, limits.max, *([-1, -2] if limits.min else [])]
    x, y = (v.ravel() for v in np.meshgrid(np.array(near, dtype), np.array(near, dtype)))
    read, run = both(kernel, source, "of_whole", [len(x), x, y, np.zeros(len(x), dtype)])
    with np.errstate(all="ignore"):
        want = getattr(np, name)(x, y)
    np.testing.assert_array_equal(read[3], want)
    np.testing.assert_array_equal(run[3], want)


def test_accesses_are_checked():
    source = (
        "def f(table, thread, threads):\n    x = float32_at(table, 0)\n    acc = float32_scratch(4)\n"
        "    acc[0] = x[{read}]\n    x[{write}] = acc[{scratch}]\n"
    )
    x = np.arange(3, dtype=np.float32)
    interpret(source.format(read=2, write=0, scratch=0), [x])
    assert x.tolist() == [2.0, 1.0, 2.0]
    for wrong in ({"read": 3}, {"read": -1}, {"write": 3}, {"scratch": 4}, {"scratch": 1}):
        with pytest.raises(AccessError):
            interpret(source.format(**{"read": 2, "write": 0, "scratch": 0, **wrong}), [x])


def test_scalar_functions_of_the_table_are_all_tried():
    assert set(FLOATS) | set(NO_FLOATS) == set(mathlib.NAMES) - {
        "fma",
        "philox",
    }
