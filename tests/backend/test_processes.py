"""The kernel cache between processes: reused, shared by two writers at once, unwritable."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys, warnings
import numpy as np
import kernelwright as kw
x, w = kw.input("x", (None, 16)), kw.input("w", (16, 24))
y = kw.tanh(x @ w)
program = kw.compile([x, w], [y, kw.grad(y.sum(), w)], threads=2)
out = program(np.ones((4, 16), "float32"), np.ones((16, 24), "float32"))
assert abs(out[0] - 1).max() < 1e-5
print("numba" in sys.modules)
"""


def run(cache, **options):
    env = {**os.environ, "KERNELWRIGHT_CACHE": str(cache), "KERNELWRIGHT_HELPERS": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip(), err


def test_a_second_process_compiles_nothing(tmp_path):
    assert finish(run(tmp_path))[0] == "True"
    assert finish(run(tmp_path))[0] == "False"


def test_two_processes_write_at_once(tmp_path):
    both = [run(tmp_path), run(tmp_path)]
    compiled = [finish(process)[0] for process in both]
    assert "True" in compiled  # one of them may find what the other was faster to write
    assert finish(run(tmp_path))[0] == "False"
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".") or p.suffix == ".tmp"]


def test_damaged_entries_are_compiled_again_with_a_warning(tmp_path):
    finish(run(tmp_path))
    entries = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert entries
    for path in entries:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data[: len(data) - 3])
    out, err = finish(run(tmp_path))
    assert out == "True" and "Warning" in err
    assert finish(run(tmp_path))[0] == "False"


def test_an_unwritable_cache_is_one_warning(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    out, err = finish(run(blocked / "cache"))
    assert out == "True"
    assert err.count("CacheWarning") == 1


def test_import_is_light():
    code = "import sys, kernelwright; print([m for m in ('numba', 'torch', 'rich', 'networkx') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(name in out for name in ("numba", "torch", "rich", "networkx"))


@pytest.mark.parametrize("name, value", [("KERNELWRIGHT_THREADS", "none"), ("KERNELWRIGHT_THREADS", "0")])
def test_bad_settings_are_named(name, value):
    env = {**os.environ, name: value}
    code = "import kernelwright as kw; x = kw.input('x', (3,)); kw.compile([x], x + 1)"
    err = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stderr
    assert name in err and repr(value) in err
