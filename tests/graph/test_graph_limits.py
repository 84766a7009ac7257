"""Indices that are computed are checked in the run, and the error says what, where and which step."""

import re

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.limits import limits
from kernelwright.compiler.graph.node import toposort
from kernelwright.compiler.targets.cuda import program as cuda

LOGITS = np.zeros((4, 3), "float32")
x = kw.input("logits", (None, 3))
t = kw.input("t", (None,), "int64")
f = kw.input("f", (None,))


def lockstep(inputs, outputs):
    built = cuda.build_kernels(inputs, outputs, {})
    return lambda *arrays: cuda.run_program(built, arrays)[0]


RUNS = {
    "cpu": lambda inputs, outputs: kw.compile(inputs, outputs),
    "reference": lambda inputs, outputs: kw.compile(inputs, outputs, device="reference"),
    "cuda": lockstep,
}


CASES = {
    "label below": (kw.cross_entropy(x, t - 1), [3, 1, 2, 1], [3, 2, 0, 0], "label -1 at position [2]"),
    "label above": (kw.cross_entropy(x, t + 1), [0, 1, 0, 1], [0, 1, 1, 2], "label 3 at position [3]"),
    "where": (kw.cross_entropy(x, kw.where(t > 8, -1, t)), [0, 1, 2, 0], [9, 1, 2, 9], "label -1 at position [0]"),
    "cast": (kw.one_hot(f.astype("int32"), 3), [0, 1, 2, 2.5], [0, 1, 2, 3.5], "label 3 at position [3]"),
    "gather": (kw.gather(x, t * 2, 1), [0, 1], [1, 2, 0], "position 4 at position [1]"),
    "two axes": (
        kw.one_hot((t - 1)[:, None] + kw.iota(2, "int64"), 3),
        [1, 2],
        [1, 2, 3],
        "label 3 at position [2, 1]",
    ),
    "scatter": (kw.scatter_add(f, f.astype("int32"), 3), [0, 2], [0, 2, -1], "position -1 at position [2]"),
    "beyond 32 bits": (kw.one_hot(t * 10**12, 3), [0, 0], [0, 1], "label 2147483647 (or more) at position [1]"),
    "second part": (kw.one_hot(kw.concat([t, t * 2], 0), 3), [1, 0], [1, 2, 0], "label 4 at position [4]"),
    "one number": (kw.one_hot(t.sum(), 3), [1, 1], [1, 1, 1], "label 3 at position []"),
}


@pytest.mark.parametrize("device", RUNS)
@pytest.mark.parametrize("case", CASES)
def test_a_computed_index_out_of_range_is_refused(device, case):
    output, good, bad, words = CASES[case]
    inputs = [i for i in (x, t, f) if i in set(toposort([output]))]
    run = RUNS[device](inputs, [output])
    for values in (good, bad, good):
        given = [LOGITS[: len(values)] if i is x else np.array(values, i.dtype) for i in inputs]
        if values is good:
            run(*given)
            continue
        with pytest.raises(kw.IndexLimitError) as error:
            run(*given)
        found = str(error.value)
        assert (words in found or (device == "reference" and case == "beyond 32 bits")) and __file__ in found


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_what_is_not_read_is_not_checked(device):
    run = kw.compile([t], [kw.one_hot(t[1:], 3)], device=device)
    assert run(np.array([9, 2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(kw.IndexLimitError, match=r"label 9 at position \[1\]"):
        run(np.array([0, 0, 9]))


def test_the_step_is_named():
    run = kw.compile([x, t], [kw.cross_entropy(x, t - 1)])
    labels = np.array([[1, 1, 1, 1], [1, 1, 2, 3], [1, 1, 1, 0], [0, 1, 1, 0]])
    with pytest.raises(kw.IndexLimitError, match=r"label -1 at position \[3\] in step 2"):
        run.run([LOGITS, labels], steps=4, per_step=[1])
    (losses,) = run.run([LOGITS, labels[:2]], steps=2, per_step=[1])
    np.testing.assert_allclose(losses, np.log([3, 3]), rtol=1e-6)


def test_a_stored_program_checks_too():
    for _ in range(2):
        run = kw.compile([x, t], [kw.cross_entropy(x * 3.25, t - 1)])
        assert len(run(LOGITS, np.ones(4, "int64")).shape) == 0
        with pytest.raises(kw.IndexLimitError, match="label -1"):
            run(LOGITS, np.zeros(4, "int64"))


def test_constants_are_checked_while_compiling():
    labels = kw.as_tensor(np.array([0, 1, 3])).reshape(3, 1)
    with pytest.raises(kw.IndexLimitError, match=r"label 3 at position \[2\]"):
        kw.compile([f], [f.sum() + kw.one_hot(labels, 3).sum()])


@pytest.mark.parametrize(
    "output",
    [
        kw.cross_entropy(x, t),
        kw.cross_entropy(x, kw.input("narrow", (None,), "int32").astype("int64").reshape(-1, 1).reshape(-1)),
        kw.one_hot(kw.argmax(x, 1), 3),
        kw.one_hot(kw.iota(3), 3),
        kw.one_hot(f.astype("uint8"), 256),
        kw.one_hot(kw.gather(kw.input("four", (4,), "int64"), kw.iota(2)), 3),
        kw.gather(x, kw.argmax(x, 0)),
    ],
)
def test_what_is_checked_before_or_cannot_fail_costs_nothing(output):
    inputs = [node for node in toposort([output]) if node.op.name == "input"]
    assert not limits([output], inputs).flags


p = kw.input("p", ("places",), "int64")
ROWS = {  # positions along an axis of symbolic size, 4 in these runs
    "an input": (kw.gather(x, p), [0, 4], "holds 4 at position [1]: position takes values from 0 to 3"),
    "computed": (kw.gather(x, p - 1), [1, 0], "position -1 at position [1] does not lie in [0, 4)"),
    "constant": (kw.gather(x, np.array([3, 4])) + p.sum(), [0], "position 4 at position [1] does not lie in [0, 4)"),
    "scattered": (
        kw.scatter_add(x.sum() + p.astype("float32"), p - 1, x.shape[0]),
        [4, 5],
        "position 4 at position [1] does not lie in [0, 4)",
    ),
}


@pytest.mark.parametrize("device", RUNS)
@pytest.mark.parametrize("name", ROWS)
def test_positions_along_an_axis_of_any_size_are_checked(name, device):
    output, positions, said = ROWS[name]
    run = RUNS[device]([x, p], [output])
    if name == "an input" and device != "cpu":
        if device == "cuda":  # the lockstep runs kernels alone
            return
        said = "position 4 at position [1] does not lie in [0, 4)"
    with pytest.raises(kw.IndexLimitError, match=re.escape(said)):
        run(LOGITS, np.array(positions))


def test_positions_within_an_axis_of_any_size_are_not_refused():
    run = kw.compile([x, p], [kw.gather(x, p), kw.gather(x, p - 1)])
    rows = np.arange(12, dtype="float32").reshape(4, 3)
    for size in (4, 3, 2):
        positions = np.arange(1, size)
        first, second = run(rows[:size], positions)
        np.testing.assert_array_equal(first, rows[positions])
        np.testing.assert_array_equal(second, rows[positions - 1])
