"""What the cost model knows of the core compiled for: sizes from the system up to the table's, or the table's alone."""

from dataclasses import replace
from pathlib import Path

import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu import core as cores
from kernelwright.compiler.targets.cpu.core import GENERIC, Core, core, within
from kernelwright.compiler.targets.cpu.machine import targeting
from kernelwright.compiler.targets.cpu.operand_cost import OperandFeed
from kernelwright.compiler.targets.cpu.system_caches import Cache, system_caches

KIB = 1 << 10
XEON = {
    0: ("1", "Data", "48K", "12"),
    1: ("1", "Instruction", "32K", "8"),
    2: ("2", "Unified", "2048K", "16"),
    3: ("3", "Unified", "300M", "20"),
}
"""What a virtual machine on a Xeon says."""


def folder(at: Path, caches: dict[int, tuple[str, str, str, str]]) -> Path:
    for number, texts in caches.items():
        each = at / f"index{number}"
        each.mkdir()
        names = ("level", "type", "size", "ways_of_associativity")
        for name, text in [*zip(names, texts), ("coherency_line_size", "64")]:
            (each / name).write_text(f"{text}\n")
    return at


def test_caches_of_data_are_read_by_level(tmp_path):
    found = system_caches(folder(tmp_path, XEON))
    assert found == {1: Cache(49152, 12, 64), 2: Cache(2097152, 16, 64), 3: Cache(314572800, 20, 64)}


def test_a_system_that_says_nothing_has_no_caches(tmp_path):
    assert system_caches(tmp_path / "none") == {}
    (folder(tmp_path, XEON) / "index2" / "size").unlink()
    (tmp_path / "index0" / "size").write_text("unknown\n")
    (tmp_path / "index3" / "ways_of_associativity").write_text("0\n")
    assert system_caches(tmp_path) == {}


def test_sizes_are_the_systems_up_to_those_of_the_table():
    known = Core(l1=48 * KIB, l2=2048 * KIB, l3=4096 * KIB, ways=12)
    small = {1: Cache(32 * KIB, 8, 64), 2: Cache(512 * KIB, 8, 64), 3: Cache(300 << 20, 20, 64)}
    here = within(known, small, 16384)
    assert (here.l1, here.ways, here.l2, here.l3, here.page) == (32 * KIB, 8, 512 * KIB, 4096 * KIB, 16384)
    assert within(known, {}, 4096) == known


def test_a_way_of_the_first_cache_is_as_long_where_less_of_it_counts():
    greater = {1: Cache(48 * KIB, 12, 64), 2: Cache(2048 * KIB, 16, 64)}
    here = within(replace(GENERIC, l1=32 * KIB, ways=8), greater, 4096)
    assert (here.l1, here.ways, here.way) == (32 * KIB, 8, 4096)


def test_without_a_third_cache_memory_follows_the_second():
    here = within(GENERIC, {1: Cache(32 * KIB, 8, 64), 2: Cache(512 * KIB, 8, 64)}, 4096)
    assert here.l3 == 512 * KIB
    assert here.rate(384 * KIB) == here.from_l2 and here.rate(384 * KIB + 1) == here.from_memory


@pytest.mark.parametrize("cpu", ["znver4", "x86-64-v3", "neoverse-n1"])
def test_a_cpu_by_name_has_the_sizes_of_the_table_on_every_machine(cpu, monkeypatch):
    monkeypatch.setattr(cores, "system_caches", lambda: pytest.fail("the system was asked"))
    cores._core.cache_clear()
    with targeting(cpu):
        assert core() == GENERIC
    cores._core.cache_clear()


def test_operands_beyond_a_cache_come_at_the_speed_of_the_next():
    on = Core(l1=32 * KIB, l2=1024 * KIB, l3=8192 * KIB, from_l2=20.0, from_l3=10.0, from_memory=4.0)

    def cycles(depth: int) -> float:  # of a step that reads 160 bytes of b, beside which nothing is read again
        return OperandFeed(depth, 4, 4096, 4, on).of_b(40, 1, 2)

    assert cycles(24 * KIB // 160) == 0.0
    assert [cycles(size // 160) for size in (768 * KIB, 6144 * KIB, 8192 * KIB)] == [8.0, 16.0, 40.0]


def test_a_program_from_the_cache_is_one_for_this_cores_caches(monkeypatch):
    from kernelwright.compiler.targets.base import Options
    from kernelwright.compiler.targets.cpu import target

    before = target.Cpu(Options()).environment()
    monkeypatch.setattr(target, "core", lambda: replace(GENERIC, l2=12345))
    assert target.Cpu(Options()).environment() != before
    assert kw.compile([x := kw.input("x", (3,))], [x + 1]) is not None
