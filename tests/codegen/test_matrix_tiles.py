"""The matrix unit's tiles: what their Python says, what they compute where the CPU has one, what code LLVM makes."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu.interpret import interpret
from kernelwright.compiler.targets.cpu.llvm import matrix_tiles
from kernelwright.compiler.targets.cpu.llvm.build import assembly, build
from kernelwright.compiler.targets.cpu.machine import target, targeting

needs_unit = pytest.mark.skipif(not target().matrix_unit, reason="the CPU has no matrix unit")

CALLS = {
    "tile": "matrix_tile_{0}x{1}{2}(acc, a, 64, 104, b, 32, 96)",
    "pairs": "matrix_pairs_{1}(b, 32, 96)",
    "turned": "matrix_turned_{0}(a, 64, 104, b, 32, 96)",
}
SIZES = {"acc": 48 * 48, "a": 64 + 48 * 104 + 8, "b": 32 + 96 * 48 + 8}


def source(call: str) -> str:
    lines = ["def call(table, thread, threads):", "    acc = float32_at(table, 0)", "    a = bfloat16_at(table, 1)"]
    lines += ["    b = bfloat16_at(table, 2)", "    matrix_begin()", f"    {call}", "    matrix_end()", ""]
    return "\n".join(lines)


def drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=size).astype("float32") for name, size in SIZES.items()}
    return {name: x if name == "acc" else kw.to_bfloat16(x) for name, x in values.items()}


def expected(kind: str, rows: int, columns: int, add: bool, memory: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Written with whole arrays, in float64."""
    out = {name: x.copy() for name, x in memory.items()}
    width = 16 * columns
    if kind == "tile":
        a = kw.from_bfloat16(memory["a"])[64 : 64 + rows * 104].reshape(rows, 104)[:, :96].astype("float64")
        pairs = kw.from_bfloat16(memory["b"])[32 : 32 + 96 * width].reshape(48, width, 2)
        b = pairs.transpose(0, 2, 1).reshape(96, width)
        start = memory["acc"][: rows * width].reshape(rows, width) if add else 0
        out["acc"][: rows * width] = (start + a @ b).reshape(-1)
    elif kind == "pairs":
        lines = memory["b"][32 : 32 + 96 * width].reshape(48, 2, width)
        out["b"][32 : 32 + 96 * width] = lines.transpose(0, 2, 1).reshape(-1)
    else:
        pairs = memory["b"][32 : 32 + 96 * rows].reshape(48, rows, 2)
        place = out["a"][64 : 64 + rows * 104].reshape(rows, 104)
        place[:, :96] = pairs.transpose(1, 0, 2).reshape(rows, 96)
    return out


CASES = [
    *(("tile", r, c, add) for r, c in ((16, 1), (16, 3), (32, 2), (48, 1)) for add in (False, True)),
    *(("pairs", 0, columns, False) for columns in (1, 2, 3)),
    *(("turned", rows, 0, False) for rows in (16, 32, 48)),
]


@pytest.mark.parametrize("kind, rows, columns, add", CASES)
def test_what_the_python_says(kind, rows, columns, add):
    memory = drawn()
    want = expected(kind, rows, columns, add, memory)
    interpret(source(CALLS[kind].format(rows, columns, "_add" * add)), list(memory.values()))
    for name, array in memory.items():
        np.testing.assert_allclose(array, want[name], rtol=1e-4, atol=1e-4, err_msg=name)


@needs_unit
@pytest.mark.parametrize("kind, rows, columns, add", CASES)
def test_what_the_unit_computes(kernel, kind, rows, columns, add):
    memory = drawn()
    want = expected(kind, rows, columns, add, memory)
    kernel(source(CALLS[kind].format(rows, columns, "_add" * add)), "call")(*memory.values())
    for name, array in memory.items():
        np.testing.assert_allclose(array, want[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_a_tile_of_32_rows_takes_a_load_for_each_product():
    call = CALLS["tile"].format(32, 2, "_add").replace("96", "size_at(table, 3)")
    with targeting("sapphirerapids"):
        text = assembly(build(source(call), "call").llvm)
    products = text.count("tdpbf16ps")
    assert products in (4, 8, 16)  # a step of the loop, unrolled or not
    assert text.count("tileloadd") == 4 + products  # sums once, operands in each step
    assert text.count("tilestored") == 4
    assert text.count("ldtilecfg") == text.count("tilerelease") == 1


def test_a_square_is_turned_in_registers():
    """16 rows exchanged in 4 rounds: 64 shuffles of two registers, and nothing element by element."""
    call = CALLS["turned"].format(16, 0, "").replace("96", "size_at(table, 3)")
    with targeting("sapphirerapids"):
        text = assembly(build(source(call), "call").llvm)
    names = [line.split()[0] for line in text.splitlines() if line.startswith("\tv")]
    shuffles = ("vperm", "vunpck", "vpunpck", "vshuf", "vblend", "valign", "vinsert")
    assert sum(name.startswith(shuffles) for name in names) <= 80
    assert not any(name.startswith(("vpinsr", "vpextr", "vpgather", "vpscatter")) for name in names)


@pytest.mark.parametrize("name", ["matrix_tile_32x2", "matrix_tile_16x3_add", "matrix_pairs_2", "matrix_turned_48"])
def test_names_say_what_they_are(name):
    assert matrix_tiles.shape(name).name == name


@pytest.mark.parametrize("name", ["matrix_tile_32", "matrix_product", "outer_tile_8x2_1_f32"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="nothing of the matrix unit"):
        matrix_tiles.shape(name)
