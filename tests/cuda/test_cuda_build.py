"""The seam to the CUDA compiler: source in, PTX and cubin out, without a driver."""

import pytest

import kernelwright as kw
from kernelwright.compiler.loops.functions import FUNCTIONS
from kernelwright.compiler.targets.cuda import build, intrinsics, mma

ADD = """def kernel(n, x, y, o):
    i = (cuda.blockIdx.x * 128 + cuda.threadIdx.x) * 4
    if i < n:
        for j in range(4):
            o[i + j] = x[i + j] + y[i + j]
"""
ARGUMENTS = ("int64", "float32*", "float32*", "float32*")


@pytest.mark.parametrize("arch", [(8, 0), (9, 0)])
def test_a_kernel_becomes_ptx_for_its_architecture(toolkit, arch):
    code = build.compile_kernel(ADD, ARGUMENTS, (128, 2), arch, "add")
    assert f".target sm_{arch[0]}{arch[1]}" in code.ptx
    assert ".entry add(" in code.ptx and ".maxntid 128" in code.ptx
    assert code.cubin is None or code.cubin[:4] == b"\x7fELF"


def test_pointers_without_aliases_on_16_bytes_give_16_byte_accesses(toolkit):
    ptx = build.compile_kernel(ADD, ARGUMENTS, (128, 2), (8, 0)).ptx
    assert "ld.global.nc.v4.f32" in ptx and "st.global.v4.f32" in ptx


def test_every_function_of_the_executor_is_one_of_the_compiler(toolkit):
    assert set(intrinsics.TWINS) <= set(intrinsics.namespace())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_scalar_function_compiles(toolkit, dtype):
    skipped = {"quotient", "rest", "random_bits", "bits_to_uniform", "left_shift", "right_shift", *mma.TWINS}
    lines = []
    for i, name in enumerate(sorted(set(intrinsics.TWINS) & set(FUNCTIONS) - skipped)):
        args = ["x[0] < x[1]", "x[0]", "x[1]"] if name == "where" else ["x[0]", "x[1]"][: FUNCTIONS[name].arity]
        lines.append(f"    o[{i}] = {name}({', '.join(args)})")
    lines.append("    s[0] = right_shift(left_shift(s[0], s[1]), s[1])")
    lines.append("    u[0] = random_bits(quotient(u[1], 3), 1, s[0], s[1])")
    lines.append(f"    o[rest(u[0], 7)] = {dtype}(bits_to_uniform(u[0]))")
    text = "\n".join(["def kernel(x, o, u, s):", *lines, ""])
    assert build.compile_kernel(text, (f"{dtype}*", f"{dtype}*", "uint32*", "int64*"), (32, 2), (8, 0)).ptx


def test_source_that_numba_cannot_type_is_one_error(toolkit):
    with pytest.raises(kw.CompileError, match="not understood"):
        build.compile_kernel("def kernel(x):\n    x[0] = unknown(x[0])\n", ("float32*",), (32, 1))


def test_the_key_depends_on_all_that_goes_in():
    keys = {
        build.key(ADD, ARGUMENTS, (128, 2), (9, 0)),
        build.key(ADD, ARGUMENTS, (128, 2), (8, 0)),
        build.key(ADD, ARGUMENTS, (256, 2), (9, 0)),
        build.key(ADD, ARGUMENTS, (128, 1), (9, 0)),
        build.key(ADD, ("int64", "float64*", "float64*", "float64*"), (128, 2), (9, 0)),
        build.key(ADD + "\n", ARGUMENTS, (128, 2), (9, 0)),
    }
    assert len(keys) == 6


def test_a_missing_extra_is_one_line_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr(build, "PARTS", {"no_such_module": "no-such-package"})
    with pytest.raises(kw.CompileError) as error:
        build.compile_kernel(ADD, ARGUMENTS, (128, 2))
    text = str(error.value)
    assert "no-such-package" in text and "pip install" in text and "\n" not in text


def test_only_kernels_with_panels_may_call_functions_of_panels(toolkit):
    """What decides the other kernels' keys leaves these functions out."""
    assert build.generator(True) != build.generator(False)
    with pytest.raises(kw.CompileError, match="not understood"):
        build.compile_kernel("def kernel(x):\n    commit_copies()\n", ("float32*",), (32, 1))
