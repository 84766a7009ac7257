"""`kw.scan` against loops written out in NumPy: values, lengths, directions, what programs it stands in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kernelwright as kw
from kernelwright import ShapeError
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cuda.target import Cuda
from kernelwright.runtime import load_program


def recurrence(h: np.ndarray, x: np.ndarray, w: np.ndarray, u: np.ndarray, reverse: bool = False) -> list[np.ndarray]:
    """(the last state, the states times two before each turn) of h <- tanh(h w + x u)."""
    ys = np.zeros((len(x), *h.shape), h.dtype)
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        ys[t] = 2 * h
        h = np.tanh(h @ w + x[t] @ u)
    return [h, ys]


def graph(dtype: str, length: Any, reverse: bool = False, width: int = 7) -> tuple[list[Any], list[Any]]:
    x, h = kw.input("x", (length, None, 5), dtype), kw.input("h", (None, width), dtype)
    w, u = kw.input("w", (width, width), dtype), kw.input("u", (5, width), dtype)
    final, ys = kw.scan(lambda h, x: (kw.tanh(h @ w + x @ u), 2 * h), h, x, reverse=reverse)
    return [h, x, w, u], [final, ys]


def arrays(dtype: str, turns: int, batch: int, width: int = 7) -> list[np.ndarray]:
    rng = np.random.default_rng(turns)
    shapes = ((batch, width), (turns, batch, 5), (width, width), (5, width))
    return [(rng.standard_normal(s) / 2).astype(dtype) for s in shapes]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_program_serves_all_lengths(dtype: str, reverse: bool) -> None:
    program = kw.compile(*graph(dtype, "time", reverse))
    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    for turns, batch in ((0, 3), (1, 1), (2, 4), (7, 3), (64, 5)):
        given = arrays(dtype, turns, batch)
        for got, wanted in zip(program(*given), recurrence(*given, reverse=reverse), strict=True):
            np.testing.assert_allclose(got, wanted, tolerance, tolerance)


@pytest.mark.parametrize("length", [0, 1, 5])
def test_lengths_that_are_known(length: int) -> None:
    given = arrays("float32", length, 3)
    for device in ("cpu", "reference"):
        found = kw.compile(*graph("float32", length), device=device)(*given)
        for got, wanted in zip(found, recurrence(*given), strict=True):
            np.testing.assert_allclose(got, wanted, 2e-5, 2e-5)


def test_two_threads_share_each_turn_and_give_the_same_bits() -> None:
    inputs, outputs = graph("float32", "time", width=96)
    one, two = (kw.compile(inputs, outputs, threads=threads) for threads in (1, 2))
    assert two.threads_for(batch=128, time=40) == 2  # type: ignore[attr-defined]
    given = arrays("float32", 40, 128, 96)
    given[2] /= 8
    for a, b, wanted in zip(one(*given), two(*given), recurrence(*given), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, wanted, 2e-4, 2e-4)


def test_the_program_does_not_grow_with_the_length() -> None:
    short, long = (kw.compile(*graph("float32", length)) for length in (3, 3000))
    assert len(short.kernels) == len(long.kernels)
    assert [k.times for k in long.kernels if k.times is not None] == [3000, 3000, 3000]
    assert "x 3000" in str(long)


def test_several_states_and_sequences_in_the_form_that_they_were_given() -> None:
    x, y = kw.input("x", (6, 3)), kw.input("y", (6,))

    def step(states: tuple[Any, Any], places: list[Any]) -> tuple[tuple[Any, Any], list[Any]]:
        a, b = states
        p, q = places
        return (b, a + p * q), [a, p - b, q]

    (a, b), out = kw.scan(step, (kw.as_tensor(np.float32([1, 2, 3])), x[0]), [x, y])
    assert isinstance(out, list) and [o.shape for o in out] == [(6, 3), (6, 3), (6,)]
    rng = np.random.default_rng(0)
    xs, ys = rng.standard_normal((6, 3)).astype("f"), rng.standard_normal(6).astype("f")
    s, r = np.float32([1, 2, 3]), xs[0]
    rows = []
    for p, q in zip(xs, ys):
        rows.append((s, p - r, q))
        s, r = r, s + p * q
    for device in ("cpu", "reference"):
        found = kw.compile([x, y], [a, b, *out], device=device)(xs, ys)
        for got, wanted in zip(found, [s, r, *map(np.stack, zip(*rows))], strict=True):
            np.testing.assert_allclose(got, wanted, 1e-5, 1e-5)


def test_no_sequences_and_no_outputs() -> None:
    n = kw.input("n", (), "int64")
    last, nothing = kw.scan(lambda k, _: (kw.where(k % 2 == 0, k // 2, 3 * k + 1), None), n, length=20)
    assert nothing is None
    k = 27
    for _ in range(20):
        k = k // 2 if k % 2 == 0 else 3 * k + 1
    assert kw.compile([n], [last])(np.int64(27)) == k


def test_variables_as_states_sequences_and_weights_in_steps_of_one_call() -> None:
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal(shape) for name, shape in (("h", (4,)), ("xs", (5, 4)), ("w", (4, 4)))}
    h, xs, w = (kw.variable(name, value) for name, value in values.items())
    gain = kw.input("gain", (), "float64")
    final, ys = kw.scan(lambda s, x: (kw.tanh(w @ s + gain * x), s), h, xs)
    program = kw.compile([gain], [ys, final], updates={h: final})
    gains = np.array([0.5, 1.0, 2.0])
    got_ys, got_final = program.run([gains], steps=3, per_step=[0])
    s = values["h"]
    for i, g in enumerate(gains):
        for t, x in enumerate(values["xs"]):
            np.testing.assert_allclose(got_ys[i, t], s, 1e-12)
            s = np.tanh(values["w"] @ s + g * x)
        np.testing.assert_allclose(got_final[i], s, 1e-12)
    np.testing.assert_allclose(kw.get_value(h), s, 1e-12)


def test_a_scan_over_what_another_gave() -> None:
    x = kw.input("x", ("time", 3), "float64")
    zero = kw.as_tensor(np.zeros(3))
    _, sums = kw.scan(lambda s, p: (s + p, s + p), zero, x)
    last, products = kw.scan(lambda s, p: (s * p, s * p), zero + 1, sums + 1, reverse=True)
    xs = np.random.default_rng(0).random((6, 3))
    wanted = np.cumprod((np.cumsum(xs, 0) + 1)[::-1], 0)[::-1]
    got_last, got = kw.compile([x], [last, products])(xs)
    np.testing.assert_allclose(got, wanted, 1e-12)
    np.testing.assert_allclose(got_last, wanted[0], 1e-12)


def test_what_does_not_change_is_computed_once() -> None:
    x, w = kw.input("x", (9, 4)), kw.input("w", (4, 4))
    final, _ = kw.scan(lambda s, p: (s @ kw.exp(w @ w) + p, None), x[0], x)
    inside = [k for k in kw.compile([x, w], [final]).kernels if k.times is not None]
    assert not any("exp" in k.fused for k in inside)


def test_files_and_finished_programs(tmp_path: Any) -> None:
    inputs, outputs = graph("float32", "time")
    program, again = kw.compile(inputs, outputs), kw.compile(inputs, outputs)
    program.save(tmp_path / "scan.kwp")
    given = arrays("float32", 9, 3)
    wanted = program(*given)
    for got in (again(*given), load_program(tmp_path / "scan.kwp").run(given)):
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    assert again.program.loops == program.program.loops != ()  # type: ignore[attr-defined]


def test_every_pass_keeps_the_values_and_the_kernels_stay_within_their_buffers(monkeypatch: Any) -> None:
    monkeypatch.setenv("KERNELWRIGHT_VERIFY", "2")
    given = arrays("float32", 4, 3)
    for got, wanted in zip(kw.compile(*graph("float32", "time"))(*given), recurrence(*given), strict=True):
        np.testing.assert_allclose(got, wanted, 2e-5, 2e-5)


def test_equal_scans_are_one() -> None:
    _, (final, ys) = graph("float32", "time")
    _, (same_final, same_ys) = graph("float32", "time")
    assert final is same_final and ys is same_ys


# ---------------------------------------------------------------- mistakes


def _refused(error: type[Exception], *words: str, step: Any, states: Any, sequences: Any = None) -> None:
    with pytest.raises(error) as found:
        kw.scan(step, states, sequences)
    for word in (*words, "test_scan.py"):
        assert word in str(found.value)


def test_mistakes_are_named() -> None:
    x, y, s = kw.input("x", (4, 3)), kw.input("y", (5, 3)), kw.as_tensor(np.zeros(3, "f"))
    _refused(ShapeError, "one length", "x (4, 3)", "y (5, 3)", step=lambda s, p: (s, None), states=s, sequences=[x, y])
    _refused(ShapeError, "keeps its shape", "(3,)", "(1, 3)", step=lambda s, p: (s[None], None), states=s, sequences=x)
    _refused(ShapeError, "float64", step=lambda s, p: (s.astype("float64"), None), states=s, sequences=x)
    _refused(ShapeError, "2 new states for 1", step=lambda s, p: ((s, s), None), states=s, sequences=x)
    _refused(ShapeError, "length", step=lambda s, p: (s, None), states=s)
    _refused(ShapeError, "no first axis", step=lambda s, p: (s, None), states=s, sequences=kw.input("z", ()))
    _refused(TypeError, "pair", step=lambda s, p: s, states=s, sequences=x)
    _refused(TypeError, "dict", step=lambda s, p: (s, None), states={"s": s}, sequences=x)
    nested = lambda s, p: (kw.scan(lambda a, b: (a + b, None), s, kw.stack([p, p]))[0], None)  # noqa: E731
    _refused(ShapeError, "inside the step of another", step=nested, states=s, sequences=x)
    table = kw.input("table", (9, 3))
    i = kw.input("i", (4,), "int64")
    _refused(ShapeError, "before the scan", step=lambda s, p: (s + kw.gather(table, p), None), states=s, sequences=i)


def test_a_target_without_loops_refuses_in_one_line() -> None:
    class Straight(Cuda):
        name = "straight"
        has_loops = False

    inputs, outputs = graph("float32", 3)
    with pytest.raises(kw.CompileError, match=r"kw\.scan \(.*test_scan\.py:\d+\) is not for device 'straight'"):
        Straight(Options()).planned(inputs, outputs, {})
