"""Compiling from several threads at once: right numbers, one node per expression, and a cache that stays whole."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.node import toposort
from kernelwright.compiler.targets.cpu.machine import described, targeting

SOAK = """
import sys, warnings
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import kernelwright as kw

warnings.simplefilter("error", kw.runtime.CacheWarning)
threads, programs = int(sys.argv[1]), int(sys.argv[2])
a = np.linspace(-1, 1, 15, dtype="float32").reshape(3, 5)
b = np.linspace(0, 2, 20, dtype="float32").reshape(5, 4)

def right(i):
    c = np.float32(i + 2)
    hidden = np.tanh(a @ b * (c / 8))
    soft = np.exp(hidden - hidden.max(1, keepdims=True))
    most = ((a - c) ** 2).max(1)
    return [soft / soft.sum(1, keepdims=True), (a * c + 1).sum(0), most, np.maximum(a, 1 / c).T @ a]

def compiled(i):
    c = float(i + 2)
    x, w = kw.input("x", (None, 5)), kw.input("w", (5, 4))
    outputs = [kw.softmax(kw.tanh((x @ w) * (c / 8)), 1), (x * c + 1).sum(0), ((x - c) ** 2).max(1),
               kw.maximum(x, 1 / c).transpose(1, 0) @ x]
    return kw.compile([x, w], outputs, threads=1)(a, b)

def work(thread):
    for k in range(programs):
        i = (k + thread * 7) % programs
        for got, wanted in zip(compiled(i), right(i), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    return programs

with ThreadPoolExecutor(threads) as pool:
    print(sum(pool.map(work, range(threads))), "numba" in sys.modules)
"""


def soak(cache, threads, programs, helpers="1"):
    """(programs whose values were right, whether any kernel was compiled in the process)."""
    env = {**os.environ, "KERNELWRIGHT_CACHE": str(cache), "KERNELWRIGHT_HELPERS": helpers}
    done = subprocess.run(
        [sys.executable, "-c", SOAK, str(threads), str(programs)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_a_few_threads_compile_at_once(tmp_path):
    assert soak(tmp_path, 4, 5, helpers="2") == ["20", "True"]
    assert soak(tmp_path, 4, 5) == ["20", "False"]  # from the cache, which holds what it should


@pytest.mark.slow
def test_soak(tmp_path):
    assert soak(tmp_path, 8, 50) == ["400", "True"]
    assert soak(tmp_path, 8, 50) == ["400", "False"]


def at_once(function, threads=8):
    """What `function(thread)` gives on that many threads, which start together."""
    start = Barrier(threads)

    def go(thread):
        start.wait()
        return function(thread)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(go, range(threads)))


def test_equal_expressions_of_threads_are_one_object():
    x = kw.input("shared by threads", (None, 3))

    def build(_):
        y = x
        for i in range(200):
            y = kw.tanh(y * (i + 2.0)) + x
        return y

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert len({id(y) for y in at_once(build)}) == 1
    finally:
        sys.setswitchinterval(before)


def test_programs_over_one_variable_may_be_compiled_at_once():
    """Each may want an order of axes of its own; the one that loads first has it."""
    w = kw.variable("w", np.arange(48, dtype="float32").reshape(6, 8))
    x = kw.input("x", (None, 6))
    z = kw.input("z", (None, 8))
    a, b = np.arange(12, dtype="float32").reshape(2, 6), np.arange(16, dtype="float32").reshape(2, 8)
    value = np.arange(48, dtype="float32").reshape(6, 8)

    def run(thread):
        if thread % 2:
            return kw.compile([x], [x @ w + thread])(a) - thread
        return kw.compile([z], [z @ w.transpose(1, 0) + thread])(b) - thread

    for thread, got in enumerate(at_once(run)):
        np.testing.assert_array_equal(got, a @ value if thread % 2 else b @ value.T)


def test_a_layer_called_by_several_threads_has_one_set_of_variables():
    class Slow(kw.nn.Dense):
        def build(self, x):
            time.sleep(0.02)
            super().build(x)

    net, x = kw.nn.Sequential(Slow(3), kw.tanh, Slow(2)), kw.input("x", (None, 4))
    outputs = at_once(lambda _: net(x))
    assert len({id(y) for y in outputs}) == 1
    found = [node for node in toposort(outputs) if node.op.name == "variable"]
    assert {id(v) for v in found} == {id(p) for p in net.parameters()} and len(found) == 4


@pytest.mark.parametrize("cpu", ["native", "x86-64-v3"])
def test_threads_compile_for_targets_of_their_own(cpu):
    def go(thread):
        mine = cpu if thread % 2 else "x86-64-v2"
        with targeting(mine):
            x = kw.input("x", (None, 8))
            compiled = kw.compile([x], [kw.tanh(x * (thread + 0.125))])
        return mine, compiled.target, compiled(np.ones((1, 8), "float32"))[0, 0]

    for thread, (mine, target, got) in enumerate(at_once(go)):
        assert target == described(mine)
        np.testing.assert_allclose(got, np.tanh(np.float32(thread + 0.125)), rtol=1e-6)


def test_the_search_for_cycles_goes_on_after_threads_have_compiled():
    import gc

    def compile_one(thread):
        x = kw.input("x", (None, 3))
        return kw.compile([x], [x * float(thread + 11)])(np.ones((1, 3), "float32"))[0, 0]

    assert gc.isenabled()
    assert at_once(compile_one) == [11, 12, 13, 14, 15, 16, 17, 18]
    assert gc.isenabled()


def test_what_compiling_leaves_is_old_and_its_cycles_are_gone():
    import gc
    import weakref

    from kernelwright.compiler.uncollected import uncollected

    class Of:
        pass

    with uncollected():
        kept, cyclic = Of(), Of()
        cyclic.itself = cyclic
        gone = weakref.ref(cyclic)
        del cyclic
    assert gone() is None
    assert any(each is kept for each in gc.get_objects(generation=2))


FORK = """
import os, sys, threading
import numpy as np
import kernelwright as kw
from kernelwright.compiler.targets.shared import helpers

def program(c):
    x = kw.input("x", (None, 5))
    outputs = [(x * (c + i)).sum(axis) for i in range(3) for axis in (0, 1)]
    return kw.compile([x], outputs, threads=1)(np.ones((3, 5), "float32"))

def right(c):
    return all(np.all(y == (c + i // 2) * (5 if i % 2 else 3)) for i, y in enumerate(program(c)))

busy = threading.Thread(target=lambda: [program(100.0 + 3 * i) for i in range(4)])
busy.start()
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        known = len(helpers._idle) + len(helpers._lent)
        good = known == 0 and right(10.0 * (child + 1))
        helpers.stop()
        os._exit(0 if good else 1)
    children.append(pid)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
busy.join()
print(right(7.0))
"""


def test_forked_children_compile_for_themselves(tmp_path):
    env = {**os.environ, "KERNELWRIGHT_CACHE": str(tmp_path), "KERNELWRIGHT_HELPERS": "1"}
    done = subprocess.run([sys.executable, "-c", FORK], env=env, capture_output=True, text=True, timeout=300)
    assert done.stdout.split("\n")[:2] == ["[0, 0, 0]", "True"], done.stderr[-2000:]
