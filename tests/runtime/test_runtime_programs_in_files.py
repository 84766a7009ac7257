"""Programs in files: what is read is what was written, in a process without the compiler; and every way it may fail."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import accumulate, const, counted, vector
from safetensors.numpy import save_file

import kernelwright as kw
from kernelwright.runtime import (
    IndexLimitError,
    Program,
    ProgramFileError,
    RuntimeShapeError,
    State,
    checkpoint,
    load_program,
    read_program,
    save_program,
)
from kernelwright.runtime.parts import decode, encode
from kernelwright.runtime.program_file import MAGIC

ALONE = """
import sys
import numpy as np
from kernelwright.runtime import load_program

path, states, given, out = sys.argv[1:]
program = load_program(path, states if states.endswith(".safetensors") else dict(np.load(states)), threads=2)
arrays = np.load(given)
results = program.run([arrays[spec.name] for spec in program.inputs], steps=3, per_step=[0, 1])
np.savez(out, *results, **{name: state.get() for name, state in program.states.items()})
found = [name for name in sys.modules if name.split(".")[0] == "numba" or name.startswith("kernelwright.compiler")]
assert found == [], found
"""


@pytest.fixture
def training():
    """A step of SGD on softmax regression: (program, the variables, three batches)."""
    rng = np.random.default_rng(0)
    x, labels = kw.input("x", (None, 6)), kw.input("labels", (None,), "int32")
    w = kw.variable("w", rng.normal(size=(6, 4)).astype("float32"))
    b = kw.variable("b", np.zeros(4, "float32"))
    loss = kw.cross_entropy(x @ w + b, labels)
    grads = kw.grad(loss, [w, b])
    program = kw.compile([x, labels], [loss], {w: w - 0.5 * grads[0], b: b - 0.5 * grads[1]}, threads=2)
    given = {
        "x": rng.normal(size=(3, 8, 6)).astype("float32"),
        "labels": rng.integers(0, 4, (3, 8)).astype("int32"),
    }
    return program, (w, b), given


def expected(given: dict[str, np.ndarray]) -> list[float]:
    """The losses of those three steps, in NumPy's float64."""
    w, b, losses = np.random.default_rng(0).normal(size=(6, 4)).astype("float32").astype(float), np.zeros(4), []
    for x, labels in zip(given["x"].astype(float), given["labels"]):
        logits = x @ w + b
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        losses.append(-np.log(p[np.arange(8), labels]).mean())
        p[np.arange(8), labels] -= 1
        w, b = w - 0.5 * x.T @ p / 8, b - 0.5 * p.sum(0) / 8
    return losses


@pytest.mark.parametrize("kind", ["arrays", "checkpoint", "tensors"])
def test_a_fresh_process_runs_it_without_numba_and_the_compiler(training, tmp_path: Path, kind: str) -> None:
    program, (w, b), given = training
    program.save(tmp_path / "step.kwp")
    if kind == "arrays":
        states = tmp_path / "states.npz"
        np.savez(states, **program.states())
    else:
        states = tmp_path / "states.safetensors"
        values = {**program.states(), "other": np.zeros(3)}
        checkpoint.save(states, values, {}) if kind == "checkpoint" else save_file(values, states)
    np.savez(tmp_path / "given.npz", **given)
    paths = [str(tmp_path / "step.kwp"), str(states), str(tmp_path / "given.npz"), str(tmp_path / "out.npz")]
    done = subprocess.run([sys.executable, "-c", ALONE, *paths], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    out = np.load(tmp_path / "out.npz")
    (losses,) = program.run([given["x"], given["labels"]], steps=3, per_step=[0, 1])
    np.testing.assert_array_equal(out["arr_0"], losses)
    np.testing.assert_array_equal(out["w"], kw.get_value(w))
    np.testing.assert_array_equal(out["b"], kw.get_value(b))
    np.testing.assert_allclose(losses, expected(given), rtol=1e-5)


def test_what_is_read_is_what_was_written(training, tmp_path: Path) -> None:
    constant = replace(
        vector("c", "constant", const(6)), shape=(const(2), const(3)), order=(1, 0), data=np.arange(6.0).reshape(2, 3)
    )
    for each in (training[0].program, accumulate(5), replace(counted(7), buffers=(*counted(7).buffers, constant))):
        save_program(tmp_path / "p.kwp", each, *here())
        found = read_program(tmp_path / "p.kwp")
        for name in set(Program.__dataclass_fields__) - {"buffers"}:
            assert getattr(found, name) == getattr(each, name), name
        for b, want in zip(found.buffers, each.buffers, strict=True):
            assert without_data(b) == without_data(want)
            assert (b.data is None) == (want.data is None)
            if want.data is not None:
                np.testing.assert_array_equal(b.data, want.data)


def without_data(buffer):
    return {name: getattr(buffer, name) for name in type(buffer).__dataclass_fields__ if name != "data"}


def here() -> tuple[str, tuple[str, ...]]:
    target = kw.compile([], [kw.zeros((1,))]).target
    return target.triple.partition("-")[0], target.needs


def test_calls_run_from_a_file_and_programs_share_states(tmp_path: Path) -> None:
    save_program(tmp_path / "p.kwp", counted(3), *here())
    first = load_program(tmp_path / "p.kwp", {"s": np.full(3, 5.0)}, threads=1)
    second = load_program(tmp_path / "p.kwp", first.states, threads=2)
    np.testing.assert_array_equal(first(np.ones(3)), [5, 5, 5])
    np.testing.assert_array_equal(second([1.0, 2.0, 3.0]), [6, 6, 6])
    np.testing.assert_array_equal(first.states["s"].get(), [7, 8, 9])
    assert repr(first) == "<program counted: float64(3) -> float64(3), 1 states>"


def test_states_of_one_name_are_numbered(tmp_path: Path) -> None:
    x = kw.input("x", (2,))
    v, w = (kw.variable("w", np.array(value, "float32")) for value in ([1, 2], [10, 20]))
    program = kw.compile([x], [x * v + w])
    assert sorted(program.states()) == ["w", "w#2"]
    program.save(tmp_path / "p.kwp")
    loaded = load_program(tmp_path / "p.kwp", program.states())
    np.testing.assert_array_equal(loaded(np.array([3, 4], "float32")), [13, 28])


def test_what_does_not_fit_is_refused_by_name(training, tmp_path: Path) -> None:
    program, _, given = training
    path, states = tmp_path / "p.kwp", program.states()
    program.save(path)
    with pytest.raises(ProgramFileError, match=r"needs values for .*w float32\(6, 4\).*states="):
        load_program(path)
    with pytest.raises(RuntimeShapeError, match=r"state 'w' takes float32\(6, 4\), got float64"):
        load_program(path, {**states, "w": np.zeros((6, 4))})
    save_file({"0.weight": states["w"], "b": states["b"]}, tmp_path / "model.safetensors")
    with pytest.raises(ProgramFileError, match=r"for w float32\(6, 4\), and .*model.safetensors has 0.weight, b:"):
        load_program(path, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeShapeError, match="'w' does not have the shape"):
        load_program(path, {**states, "w": np.zeros((4, 6), "float32")})
    loaded = load_program(path, states)
    x, labels = given["x"][0], given["labels"][0]
    with pytest.raises(RuntimeShapeError, match=r"input 'x' takes float32\(batch, 6\), got float64"):
        loaded(x.astype("float64"), labels)
    with pytest.raises(RuntimeShapeError, match=r"takes 2 inputs .*got 1"):
        loaded(x)
    with pytest.raises(RuntimeShapeError, match=r"takes 2 inputs .*got 3"):
        loaded(x, labels, x)
    with pytest.raises(IndexLimitError, match="from 0 to 3"):
        loaded(x, labels + 4)


def changed(data: bytes, **entries: object) -> bytes:
    parts = dict(decode(MAGIC, data))
    return encode(MAGIC, {**parts, "about": json.dumps({**json.loads(parts["about"]), **entries})})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "is damaged or incomplete"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "is damaged or incomplete"),
        (lambda data: data[:10], "is damaged or incomplete"),
        (lambda data: b"", "is not a program of kernelwright"),
        (lambda data: b"something else", "is not a program of kernelwright"),
        (lambda data: changed(data, format=0), "has format 0, this version of kernelwright reads 2"),
        (lambda data: changed(data, architecture="riscv64"), "is for riscv64, and this machine is"),
        (lambda data: changed(data, features=["avx9000"]), "a CPU with avx9000, which this one"),
        (lambda data: changed(data, program={}), "is damaged: KeyError"),
        (lambda data: encode(MAGIC, {"about": "{}"}), "is damaged or incomplete"),
    ],
)
def test_one_error_says_what_is_wrong_with_a_file(damage, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.kwp"
    save_program(path, accumulate(3), *here())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ProgramFileError, match=message) as error:
        load_program(path, {"s": np.zeros(3)})
    assert "p.kwp" in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ProgramFileError, match="there is no program"):
        load_program(tmp_path / "none.kwp")
    with pytest.raises(ProgramFileError, match="cannot write the program"):
        save_program(tmp_path / "no folder" / "p.kwp", accumulate(3), *here())
    x = kw.input("x", (2,))
    with pytest.raises(kw.CompileError, match="save: programs of this device"):
        kw.compile([x], [x * 2], device="reference").save(tmp_path / "p.kwp")


def test_a_state_of_the_users_own_is_bound_as_it_is(tmp_path: Path) -> None:
    save_program(tmp_path / "p.kwp", accumulate(2), *here())
    state = State("mine", np.array([2.0, 4.0]))
    load_program(tmp_path / "p.kwp", {"s": state})(np.zeros(2))
    np.testing.assert_array_equal(state.get(), [2, 1])


def test_the_package_names_what_it_has_and_imports_it_when_asked() -> None:
    text = (
        "import sys, kernelwright as kw, kernelwright.runtime; assert 'kernelwright.compiler' not in sys.modules; "
        "assert not hasattr(kw, '__no_such__') and 'kernelwright.compiler' not in sys.modules; "
        "assert {'compile', 'nn', 'models', 'softmax', 'Trainer'} <= set(dir(kw)); "
        "assert not hasattr(kw, 'no_such_name') and kw.__version__; "
        "from kernelwright import *; assert compile is kw.compile and models is kw.models and nn is kw.nn; "
        "assert 'runtime' not in kw.__all__ and not [name for name in kw.__all__ if not hasattr(kw, name)]"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
