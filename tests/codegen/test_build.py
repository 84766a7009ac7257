"""Building kernels: memory, threads, free-standing objects, vector code."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from kernelwright.compiler.targets.cpu.llvm.build import BuildError, build, undefined_symbols
from kernelwright.compiler.targets.cpu.machine import target

SCALE = """
def scale(table, thread, threads):
    n = size_at(table, 0)
    x = float32_at(table, 1)
    y = float32_at(table, 2)
    out = float32_at(table, 3)
    first = n * thread // threads
    last = n * (thread + 1) // threads
    for i in range(first, last):
        out[i] = x[i] * y[i] + float32(2.5)
"""

LOADER = """
import ctypes, sys
import llvmlite.binding as llvm
import numpy as np
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
machine = llvm.Target.from_default_triple().create_target_machine()
engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
engine.add_object_file(llvm.ObjectFileRef.from_data(open(sys.argv[1], "rb").read()))
engine.finalize_object()
run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(engine.get_function_address("scale"))
x = np.arange(100, dtype=np.float32)
out = np.zeros_like(x)
table = np.array([100, x.ctypes.data, x.ctypes.data, out.ctypes.data])
run(table.ctypes.data, 0, 1)
assert (out == x * x + np.float32(2.5)).all()
assert "numba" not in sys.modules
print("good")
"""


def registers() -> str:
    return {64: "zmm", 32: "ymm"}.get(target().vector_bytes, "")


def test_threads_share_the_work(kernel):
    x = np.random.default_rng(0).random(1001, dtype=np.float32)
    out = np.zeros_like(x)
    for thread in range(3):
        assert not out[1001 * thread // 3 :].any()
        kernel(SCALE, "scale")(x.size, x, x, out, thread=thread, threads=3)
    np.testing.assert_allclose(out, x * x + np.float32(2.5), rtol=1e-6)


def test_elementwise_code_is_full_width_and_without_alias_checks(kernel):
    built = kernel(SCALE, "scale").built
    assert registers() in built.asm
    assert f"<{target().lanes('float32')} x float>" in built.llvm
    assert "memcheck" not in built.llvm


def test_the_same_source_gives_the_same_bytes(kernel):
    assert build(SCALE, "scale") == kernel(SCALE, "scale").built


def test_objects_load_where_numba_was_never_imported(kernel, tmp_path):
    file = tmp_path / "scale.o"
    file.write_bytes(kernel(SCALE, "scale").built.object)
    done = subprocess.run([sys.executable, "-c", LOADER, file], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "good", done.stderr


def test_importing_does_not_import_numba():
    code = "from kernelwright.compiler.targets.cpu import machine; import kernelwright.compiler.targets.cpu.llvm.build"
    code += "; import sys; machine.target(); sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_c_library_is_undefined(kernel):
    assert list(undefined_symbols(kernel(SCALE, "scale").built.object)) == []
    wide = SCALE.replace("float32_at", "float64_at").replace("x[i] * y[i] + float32(2.5)", "erf(x[i])")
    assert list(undefined_symbols(kernel(wide, "scale").built.object)) == ["erf"]


def test_foreign_symbols_are_refused():
    with pytest.raises(BuildError, match="only exists inside Numba"):
        build(SCALE.replace("x[i] * y[i] + float32(2.5)", "math.gamma(x[i])"), "scale")


def test_names_must_be_c_symbols():
    with pytest.raises(BuildError, match="C symbol"):
        build(SCALE, "not a name")


def test_names_must_not_hide_what_kernels_use():
    with pytest.raises(ValueError, match="may not be called"):
        build(SCALE.replace("def scale", "def tanh"), "tanh")


DTYPES = """
def dtypes(table, thread, threads):
    n = size_at(table, 0)
    flags = bool_at(table, 1)
    bytes = uint8_at(table, 2)
    ints = int32_at(table, 3)
    longs = int64_at(table, 4)
    words = uint32_at(table, 5)
    doubles = float64_at(table, 6)
    for i in range(n):
        doubles[i] = longs[ints[i]] + bytes[i]
        longs[i] = words[i]
        words[i] = i
        flags[i] = flags[i] or bytes[i] > 2
        bytes[i] = flags[i]
"""


def test_every_dtype_is_read_and_written(kernel):
    flags = np.array([True, False, False, False])
    bytes_ = np.array([1, 2, 3, 200], np.uint8)
    ints = np.array([3, 3, 3, 3], np.int32)
    longs = np.array([5, 6, 7, -8])
    words = np.array([1, 2, 3, 2**32 - 1], np.uint32)
    doubles = np.zeros(4)
    kernel(DTYPES, "dtypes")(4, flags, bytes_, ints, longs, words, doubles)
    assert doubles.tolist() == [-7.0, -6.0, -5.0, 192.0]
    assert longs.tolist() == [1, 2, 3, 2**32 - 1]
    assert words.tolist() == [0, 1, 2, 3]
    assert flags.tolist() == [True, False, True, True]
    assert bytes_.tolist() == [1, 0, 1, 1]


SCRATCH = """
def scratch(table, thread, threads):
    rows = size_at(table, 0)
    x = float32_at(table, 1)
    out = float32_overlapping(table, 2, 1)
    acc = float32_scratch(64)
    for i in range(rows):
        for j in range(64):
            acc[j] = 0.0
        for j in range(64):
            acc[63 - j] = x[i * 64 + j]
        row = offset(out, i * 64)
        for j in range(64):
            row[j] = acc[j]
"""


def test_scratch_and_overlapping_slots(kernel):
    x = np.random.default_rng(0).random((5, 64), dtype=np.float32)
    expected = x[:, ::-1].copy()
    kernel(SCRATCH, "scratch")(5, x, x)
    np.testing.assert_array_equal(x, expected)


SUMS = """
def sums(table, thread, threads):
    n = size_at(table, 0)
    x = float32_at(table, 1)
    out = float32_at(table, 2)
    total = float32(0)
    for i in range(n):
        total = total + x[i]
    out[0] = total
    product = float32(1)
    for i in range(n):
        product = product * x[i]
    out[1] = product
    out[2] = (x[0] + float32(1e8)) + float32(-1e8)
    out[3] = float32(1e30) / (x[1] / x[2])
    out[4] = (x[1] * float32(1e-20)) * (x[2] * float32(1e-20))
"""


def test_only_running_sums_are_regrouped(kernel):
    sums = kernel(SUMS, "sums")
    for width in range(1, 65):
        x = np.full(width + 3, 1e25, np.float32)
        x[0] = 1e-30
        x[3:] = np.resize(np.array([1e-25, 1e25], np.float32), width)  # in another order, the product overflows
        out = np.zeros(5, np.float32)
        sums(width + 3, x, out)
        with np.errstate(over="ignore"):
            want = [x.sum(dtype=np.float64), np.multiply.reduce(x[:, None])[0], 0, 1e30, 1e10]
        np.testing.assert_allclose(out, np.array(want), rtol=1e-5)
    vectors = re.findall(r"= f(\w+) ((?:\w+ )*)<\d+ x float>", sums.built.llvm)
    assert ("add", "reassoc nsz contract ") in vectors, "the sum is no vector"
    assert all(flags == "reassoc nsz contract " for name, flags in vectors if name == "add")
    assert "arcp" not in sums.built.llvm and " reassoc " not in re.sub(r"fadd [^\n]*|call[^\n]*", "", sums.built.llvm)
