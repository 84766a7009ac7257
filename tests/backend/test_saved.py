"""Finished programs on disk: found again by content alone, never confused, and never trusted when damaged."""

import os
import subprocess
import sys

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu import assemble, compiled
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.shared import saved, store
from kernelwright.runtime import CacheWarning, KernelCache

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
TABLE = np.arange(6, dtype="float32").reshape(3, 2)

TWICE = """
import sys, numpy as np, kernelwright as kw
{blank}from kernelwright.compiler.targets.base import Target
if {warm}:
    Target.planned = None  # compiling would call it
kw.init.seeded(1).__enter__()
nn = kw.nn
net = nn.Sequential(nn.Conv(4, 3, pad=1), nn.BatchNorm(), kw.relu, nn.MaxPool(2), nn.Flatten(), nn.Dense(5))
x, t = kw.input("x", (None, 3, 6, 6)), kw.input("t", (None,), "int32")
loss = kw.cross_entropy(net(x, training=True), t)
parameters = net.parameters()
updates = {{**net.updates(), **kw.optim.SGD(0.1, momentum=0.9).updates(parameters, kw.grad(loss, parameters))}}
step = kw.compile([x, t], loss, updates, threads=2)
predict = kw.compile([x], kw.softmax(net(x)), threads=2)
rng = np.random.default_rng(0)
images, labels = rng.normal(size=(7, 3, 6, 6)).astype("float32"), rng.integers(0, 5, 7).astype("int32")
for _ in range(3):
    print(step(images, labels).tobytes().hex())
print(predict(images).tobytes().hex())
print([kw.get_value(p).sum().tobytes().hex() for p in parameters])
print("numba" in sys.modules, len(step.kernels), [k.source for k in step.kernels][0])
print(step.kernels[0].lines)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache in this process."""
    made = KernelCache(tmp_path / "cache")
    for module in (assemble, compiled, saved, store):
        monkeypatch.setattr(module, "kernel_cache", lambda: made)
    return made


def programs(cache):
    return [e.key for e in cache.entries() if e.key.startswith("program-")]


def graph(name="x", shift=1.0, table=TABLE):
    x = kw.input(name, (None, 3))
    return [x], kw.tanh(x + shift) @ kw.as_tensor(table)


def compiles(monkeypatch):
    """A list that grows by one whenever the passes run."""
    runs, build = [], Cpu.build
    monkeypatch.setattr(Cpu, "build", lambda *given: runs.append(1) or build(*given))
    return runs


def run_process(folder, warm, blank=""):
    code = TWICE.format(warm=warm, blank=blank)
    env = {**os.environ, "KERNELWRIGHT_CACHE": str(folder), "KERNELWRIGHT_HELPERS": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_second_process_runs_no_pass_and_gives_the_same_bits(tmp_path):
    cold, warm = run_process(tmp_path, False), run_process(tmp_path, True)
    assert cold[:5] == warm[:5]
    assert cold[5].startswith("True") and warm[5].startswith("False")
    assert cold[5].split()[1:] == warm[5].split()[1:] and cold[6:] == warm[6:]


def test_a_program_asked_for_in_the_line_of_a_node_is_found_from_another_line(cache):
    x = kw.input("x", (None, 3))
    together = kw.compile([x], [kw.tanh(x * 2.0)], threads=1)
    result = kw.tanh(x * 2.0)
    apart = kw.compile([x], [result], threads=1)
    assert len(programs(cache)) == 1
    one, other = (p.kernels[0].lines for p in (together, apart))
    assert len(one) == len(other) and one != other  # each its own lines of this file


def test_lines_are_those_of_the_present_file(tmp_path):
    cold, moved = run_process(tmp_path, False), run_process(tmp_path, True, blank="\n\n\n")
    assert cold[:5] == moved[:5]
    (before,), (after,) = ([int(x.split(":")[1].rstrip("',)")) for x in out[-1:]] for out in (cold, moved))
    assert after == before + 3


def test_the_same_graph_is_found_and_its_kernels_can_be_read(cache, monkeypatch):
    runs = compiles(monkeypatch)
    first = kw.compile(*graph(), threads=1)
    second = kw.compile(*graph(), threads=1)
    assert len(runs) == 1 and len(programs(cache)) == 1
    assert np.array_equal(first(X), second(X)) and np.allclose(first(X), np.tanh(X + 1) @ TABLE, atol=1e-5)
    assert [(k.name, k.source, k.key, k.reasons) for k in first.kernels] == [
        (k.name, k.source, k.key, k.reasons) for k in second.kernels
    ]
    assert "define" in second.kernels[-1].llvm and str(second) == str(first)


@pytest.mark.parametrize(
    "other",
    [
        lambda: graph(name="y"),
        lambda: graph(shift=1.5),
        lambda: graph(shift=1.0, table=TABLE + 1),
        lambda: graph(table=TABLE[:, :1]),
    ],
)
def test_another_graph_is_another_program(cache, monkeypatch, other):
    runs = compiles(monkeypatch)
    kw.compile(*graph(), threads=1)
    inputs, output = other()
    found = kw.compile(inputs, output, threads=1)
    want = kw.compile(inputs, output, device="reference")
    assert len(runs) == 2
    assert np.allclose(found(X), want(X), atol=1e-5)


def test_arrays_in_a_graph_are_not_stored_twice(cache):
    big = np.random.default_rng(0).normal(size=(3, 100_000)).astype("float32")
    x = kw.input("x", (None, 3))
    first = kw.compile([x], x @ kw.as_tensor(big), threads=1)
    assert all(e.size < big.nbytes / 4 for e in cache.entries())
    second = kw.compile([x], x @ kw.as_tensor(big), threads=1)
    assert np.array_equal(first(X), second(X)) and np.allclose(second(X), X @ big, atol=1e-4)


def test_typical_sizes_and_claimed_orders_count(cache, monkeypatch):
    runs = compiles(monkeypatch)
    kw.compile(*graph(), threads=1)
    kw.compile(*graph(), threads=1, typical={"batch": 2})
    assert len(runs) == 2
    w = kw.variable("w", np.eye(3, dtype="float32"))
    x = kw.input("x", (None, 3))
    for _ in range(3):  # free at first, then in the order that this graph itself gave it
        assert np.allclose(kw.compile([x], x @ w, threads=1)(X), X)
    assert len(runs) == 3
    kw.compile([x], x @ w * 2, threads=1), kw.compile([x], x @ (w * 1), threads=1)
    assert len(runs) == 5  # other graphs are planned for the order that it has


def test_settings_count_that_change_what_is_compiled(cache, monkeypatch):
    runs = compiles(monkeypatch)
    for value in ("1", "0", "0"):
        monkeypatch.setenv("KERNELWRIGHT_WINOGRAD", value)
        monkeypatch.setenv("KERNELWRIGHT_HELPERS", str(len(runs)))  # changes nothing
        kw.compile(*graph(), threads=1)
    assert len(runs) == 2


def test_updates_reach_the_variables_of_this_graph(cache, monkeypatch):
    runs = compiles(monkeypatch)
    for start in (1.0, 5.0):
        x = kw.input("x", (3,))
        w, unused = (kw.variable(n, np.full(3, start, "float32")) for n in ("w", "unused"))
        step = kw.compile([x], (w * x).sum(), {w: w + x}, threads=1)
        assert step(np.ones(3, "float32")) == 3 * start
        assert kw.get_value(w)[0] == start + 1 and kw.get_value(unused)[0] == start
    assert len(runs) == 1


def test_a_damaged_program_is_compiled_again(cache, monkeypatch):
    runs = compiles(monkeypatch)
    kw.compile(*graph(), threads=1)
    (path,) = cache.folder.glob("program-*")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.warns(CacheWarning, match="program-"):
        again = kw.compile(*graph(), threads=1)
    assert len(runs) == 2 and np.allclose(again(X), np.tanh(X + 1) @ TABLE, atol=1e-5)
    kw.compile(*graph(), threads=1)
    assert len(runs) == 2


def test_a_program_without_its_kernels_is_compiled_again(cache, monkeypatch):
    runs = compiles(monkeypatch)
    kw.compile(*graph(), threads=1)
    for entry in cache.entries():
        if not entry.key.startswith("program-"):
            (cache.folder / f"{entry.key}.kw").unlink()
    assert np.allclose(kw.compile(*graph(), threads=1)(X), np.tanh(X + 1) @ TABLE, atol=1e-5)
    assert len(runs) == 2


def test_index_and_size_checks_survive(cache):
    for _ in range(2):
        labels = kw.input("labels", (None,), "int32")
        program = kw.compile([labels], kw.gather(kw.as_tensor(TABLE), labels), threads=1)
        with pytest.raises(kw.KernelwrightError, match="labels"):
            program(np.array([0, 3], "int32"))
        x = kw.input("x", ("n", 3))
        head = kw.compile([x], x[:2] * 2, threads=1)
        with pytest.raises(kw.KernelwrightError, match="slice"):
            head(np.ones((1, 3), "float32"))


def test_values_are_compared_whenever_asked_for(cache, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_VERIFY", "2")
    runs = compiles(monkeypatch)
    for _ in range(2):
        kw.compile(*graph(), threads=1)
    assert len(runs) == 2 and not programs(cache)


def test_a_graph_over_the_variables_that_it_placed_is_the_same_program(cache, monkeypatch):
    """Free at first, then in the order that the first program chose: with a new variable beside them as well."""
    runs = compiles(monkeypatch)
    weights = kw.variable("weights", np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype("float32"))
    results = []
    for _ in range(3):
        image = kw.variable("image", np.random.default_rng(1).random((1, 4, 12, 12), "float32"))
        results.append(kw.compile([], kw.grad((kw.conv(image, weights, pad=1) ** 2).sum(), image), threads=1)())
    assert len(runs) == 1
    assert all(np.array_equal(result, results[0]) for result in results)
    other = kw.compile([], (kw.conv(image, weights, pad=1) ** 2).sum(), threads=1)
    assert len(runs) == 2 and np.isfinite(other())
