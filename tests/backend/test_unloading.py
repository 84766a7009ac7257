"""Code of dropped programs leaves the process; code that anyone holds stays."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu.llvm.build import build
from kernelwright.compiler.targets.shared.store import kernel_cache
from kernelwright.runtime import loader

ONES = np.ones((3, 5), "float32")


def program(c):
    x = kw.input("x", (None, 5))
    return kw.compile([x], [kw.tanh(x * c).sum(1), x.sum(0) * c], threads=1)


def check(compiled, c):
    tanh, total = compiled(ONES)
    np.testing.assert_allclose(tanh, np.full(3, 5 * np.tanh(np.float32(c))), rtol=1e-6)
    np.testing.assert_array_equal(total, np.full(5, 3 * c, "float32"))


def maps():
    return len(Path("/proc/self/maps").read_text().splitlines())


def grown(programs):
    """How many more memory maps there are after so many different programs."""
    first = program(0.25)
    check(first, 0.25)
    source = kernel_cache().get(first.kernels[0].key)["source"]
    build(
        source.replace("def kernel(", "def once_more(", 1), "once_more"
    )  # Numba's libraries, if that was in the cache
    before = maps()
    for i in range(programs):
        check(program(1.0 + i / 1024), 1.0 + i / 1024)
    return maps() - before


def test_different_programs_leave_no_maps():
    assert grown(30) < 10


@pytest.mark.slow
def test_a_thousand_programs_leave_no_maps():
    assert grown(1000) < 20


def test_a_dropped_program_is_gone_without_a_search_for_cycles():
    gc.disable()
    try:
        compiled = program(3.25)
        check(compiled, 3.25)
        executable, library = weakref.ref(compiled.executable), weakref.ref(compiled.executable._libraries[0])
        del compiled
        assert executable() is None and library() is None
    finally:
        gc.enable()
    following = program(3.5)
    assert not loader._unheld  # unmapped as the next was loaded
    check(following, 3.5)


def test_shared_code_stays_for_the_program_that_is_left():
    first, second = program(4.25), program(4.25)
    assert first.executable._libraries == second.executable._libraries
    del first
    for c in (4.5, 4.75):
        check(program(c), c)
    check(second, 4.25)
