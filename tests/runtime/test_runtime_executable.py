"""Programs through `Executable`: values, batches, steps, threads, layouts, and the errors for wrong inputs."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from handmade import N, accumulate, chain, chain_expected, combine, const, counted, double, kernel, key, vector

from kernelwright.runtime import (
    BufferSpec,
    Call,
    CudaKernelSpec,
    Executable,
    IndexCheck,
    IndexLimitError,
    KernelwrightError,
    LayoutError,
    LoadError,
    Program,
    ProgramError,
    RuntimeShapeError,
    State,
    describe,
    evaluate,
    threads_for,
)

THREADS = [1, 2, 4, 8]


@pytest.mark.parametrize("threads", THREADS)
def test_share_of_each_thread(threads: int) -> None:
    executable = Executable(double(), threads=threads)
    for n in (0, 1, 7, 1000, 7):
        x = np.arange(n, dtype=np.float64)
        (y,) = executable.run([x])
        np.testing.assert_array_equal(y, 2 * x)


@pytest.mark.chosen_threads
def test_work_is_shared_where_it_is_more_than_the_barriers_cost() -> None:
    program = chain(9)
    assert threads_for(program, {"n": 1}, 4) == 4  # nobody knows what its kernels cost
    known = replace(program, kernels=tuple(replace(each, cycles=(1.5, N)) for each in program.kernels))
    assert [threads_for(known, {"n": n}, 4) for n in (0, 1, 200, 2000)] == [1, 1, 1, 4]
    x = np.arange(20.0)
    np.testing.assert_allclose(Executable(known, threads=4).run([x])[0], chain_expected(x, 9))


@pytest.mark.parametrize("threads", THREADS)
def test_barriers_between_kernels(threads: int) -> None:
    executable = Executable(chain(9), threads=threads)
    rng = np.random.default_rng(0)
    for n in (64, 5, 200, 64):
        x = rng.standard_normal(n)
        np.testing.assert_allclose(executable.run([x])[0], chain_expected(x, 9))


@pytest.mark.parametrize("threads", THREADS)
def test_many_steps_update_a_state_and_advance_inputs(threads: int) -> None:
    steps, size = 300, 33
    state = State("s", np.ones(size))
    executable = Executable(accumulate(size), [state], threads)
    xs = np.random.default_rng(1).standard_normal((steps, size))
    expected, value = [], np.ones(size)
    for x in xs:
        value = value[::-1] / 2 + x
        expected.append(value)
    for _ in range(2):
        state.set(np.ones(size))
        (ys,) = executable.run([xs], steps, frozenset({0}))
        np.testing.assert_allclose(ys, expected)
        np.testing.assert_allclose(state.get(), expected[-1])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_generated_kernels_and_calls_of_a_routine_run_in_one_loop(threads: int, size: int) -> None:
    state = State("s", np.full(size, 5.0))
    executable = Executable(counted(size), [state], threads)
    xs = np.random.default_rng(size).integers(-9, 9, (20, size)).astype(float)
    (ys,) = executable.run([xs], 20, frozenset({0}))
    sums = 5 + np.cumsum(xs, 0)
    np.testing.assert_array_equal(ys, np.concatenate([np.full((1, size), 5.0), sums[:-1]]))
    np.testing.assert_array_equal(state.get(), sums[-1])
    np.testing.assert_array_equal(executable.run([xs[0]])[0], sums[-1])
    assert len(executable.profile([xs[0]], repeats=3)) == 3


def test_a_program_as_text_names_the_kind_of_each_kernel() -> None:
    assert str(counted(4)).splitlines() == [
        "counted: 4 buffers, 3 kernels",
        "0 call copy(32, s, y)",
        "1 generated combine(4, s, x, t)",
        "2 call copy(32, t, s)",
    ]
    assert len(counted(4).keys) == 1


def test_calls_that_no_routine_answers_and_kernels_for_a_gpu_are_refused() -> None:
    states = [State("s", np.zeros(4))]
    program = counted(4)
    unknown = replace(program, kernels=(Call("no_such", ()), *program.kernels[1:]))
    with pytest.raises(ProgramError, match="no routine no_such; there are copy"):
        Executable(unknown, states)
    short = replace(program, kernels=(Call("copy", ()), *program.kernels[1:]))
    with pytest.raises(ProgramError, match="copy takes bytes, source, target, not 0 arguments"):
        Executable(short, states)
    launch = CudaKernelSpec("add", program.keys[0], "kernel", (), 32, ())
    with pytest.raises(ProgramError, match="kernels for a GPU"):
        Executable(replace(program, kernels=(launch,)), states)
    with pytest.raises(ProgramError, match="changes something that is no state"):
        Executable(replace(program, written=frozenset({0})), states)


def test_steps_without_per_step_inputs_repeat_the_same_input() -> None:
    state = State("s", np.zeros(4))
    executable = Executable(accumulate(4), [state])
    (ys,) = executable.run([np.ones(4)], steps=3)
    np.testing.assert_allclose(ys[:, 0], [1, 1.5, 1.75])


def test_one_step_with_a_leading_axis() -> None:
    (y,) = Executable(double()).run([np.ones((1, 5))], 1, frozenset({0}))
    assert y.shape == (1, 5)


def test_a_slice_and_a_read_only_array_are_inputs_too() -> None:
    executable = Executable(double())
    wide = np.arange(20.0)
    np.testing.assert_array_equal(executable.run([wide[::2]])[0], 2 * wide[::2])
    wide.setflags(write=False)
    np.testing.assert_array_equal(executable.run([wide])[0], 2 * wide)
    np.testing.assert_array_equal(wide, np.arange(20.0))


def test_outputs_are_fresh_and_inputs_may_change_in_place() -> None:
    executable = Executable(double())
    x = np.ones(8)
    (first,) = executable.run([x])
    x[:] = 3
    (second,) = executable.run([x])
    assert first[0] == 2 and second[0] == 6


def test_an_output_listed_twice() -> None:
    program = replace(double(), outputs=(1, 1))
    first, second = Executable(program).run([np.ones(3)])
    np.testing.assert_array_equal(first, second)
    assert first[0] == 2


def test_constants_and_states_lie_in_their_order() -> None:
    code = combine(1.0, 1.0)
    logical = np.arange(6.0).reshape(2, 3)
    buffers = (
        vector("y", "output", const(6)),
        BufferSpec("c", "float64", (const(2), const(3)), (1, 0), "constant", data=logical),
        BufferSpec("s", "float64", (const(2), const(3)), (1, 0), "state"),
    )
    program = Program("add", buffers, (kernel(code, const(6), (1, 2, 0)),), (), (0,), (2,), objects={key(code): code})
    state = State("s", 10 * logical)
    (y,) = Executable(program, [state]).run([])
    np.testing.assert_array_equal(y, (11 * logical).T.ravel())
    np.testing.assert_array_equal(state.get(), 10 * logical)
    assert state.claimed and state.order == (1, 0)
    with pytest.raises(LayoutError, match="'s'"):
        state.reorder((0, 1))


def test_two_executables_share_a_state() -> None:
    state = State("s", np.zeros(4))
    train, again = (Executable(accumulate(4), [state], threads) for threads in (1, 2))
    train.run([np.ones(4)])
    (y,) = again.run([np.ones(4)])
    np.testing.assert_allclose(y, 1.5)


def test_a_program_survives_pickling_and_calls_libm() -> None:
    code = combine(1.0, 0.0, call="exp")
    program = replace(double(), kernels=(kernel(code, N, (0, 0, 1)),), objects={key(code): code})
    (y,) = Executable(pickle.loads(pickle.dumps(program))).run([np.array([0.0, 1.0])])
    np.testing.assert_allclose(y, [1, np.e])


def test_profile_times_each_kernel_and_leaves_states_alone() -> None:
    state = State("s", np.zeros(500))
    executable = Executable(accumulate(500), [state], 2)
    seconds = executable.profile([np.ones(500)], repeats=20)
    assert len(seconds) == 3 and all(0 < second < 1 for second in seconds)
    np.testing.assert_array_equal(state.get(), 0)


def test_shape_errors_name_the_input_and_both_shapes() -> None:
    program = replace(
        double(), buffers=(*double().buffers, BufferSpec("w", "float64", (N, const(3)), (0, 1), "input")), inputs=(0, 2)
    )
    executable = Executable(program)
    with pytest.raises(RuntimeShapeError, match=r"'w': expected shape \(n, 3\) with n = 4, got \(5, 3\)"):
        executable.run([np.ones(4), np.ones((5, 3))])
    with pytest.raises(RuntimeShapeError, match=r"'x': expected shape \(n,\), got \(4, 1\)"):
        executable.run([np.ones((4, 1)), np.ones((4, 3))])
    with pytest.raises(RuntimeShapeError, match=r"takes 2 inputs \(x, w\), got 1"):
        executable.run([np.ones(4)])
    with pytest.raises(RuntimeShapeError, match="leading axis of 2 steps"):
        executable.run([np.ones((3, 4)), np.ones((4, 3))], 2, frozenset({0}))
    assert issubclass(RuntimeShapeError, ValueError) and issubclass(RuntimeShapeError, KernelwrightError)


@pytest.mark.parametrize("bad", [-1, 10])
def test_index_checks_say_where(bad: int) -> None:
    labels = BufferSpec("labels", "int32", (N, const(2)), (0, 1), "input")
    program = replace(
        double(),
        buffers=(*double().buffers, labels),
        inputs=(0, 2),
        checks=(IndexCheck(1, (((), 10),), "cross-entropy"),),
    )
    executable = Executable(program)
    values = np.array([[0, 9], [3, 4]], np.int32)
    executable.run([np.ones(2), values])
    values[1, 0] = bad
    with pytest.raises(IndexLimitError, match=rf"'labels' holds {bad} at position \[1, 0\].*from 0 to 9"):
        executable.run([np.ones(2), values])


def test_states_of_the_wrong_shape_and_contradictory_programs_are_refused() -> None:
    with pytest.raises(RuntimeShapeError):
        Executable(accumulate(4), [State("s", np.zeros(5))])
    with pytest.raises(ProgramError):
        Executable(accumulate(4), [])
    with pytest.raises(ProgramError, match="no object code"):
        Executable(replace(double(), objects={}))
    with pytest.raises(ProgramError, match="symbol that no input binds"):
        Executable(replace(double(), buffers=(vector("x", "input", const(3)), vector("y", "output"))))


def test_damaged_code_and_missing_functions_are_load_errors() -> None:
    with pytest.raises(LoadError):
        Executable(replace(double(), kernels=(kernel(b"junk", N, (0, 0, 1)),), objects={key(b"junk"): b"junk"}))
    code = combine(1.0, 0.0, call="no_such_function")
    with pytest.raises(LoadError, match="does not have"):
        Executable(replace(double(), kernels=(kernel(code, N, (0, 0, 1)),), objects={key(code): code}))


def test_many_batch_sizes_in_turn() -> None:
    executable = Executable(chain(4), threads=2)
    for n in [*range(1, 40), *range(40, 0, -3)]:
        x = np.full(n, float(n))
        np.testing.assert_allclose(executable.run([x])[0], 5.0 * n)


def test_polynomials() -> None:
    poly = ((("m", "n"), 2), (("n",), -1), ((), 3))
    assert evaluate(poly, {"m": 4, "n": 5}) == 38
    assert evaluate((), {}) == 0
    assert describe(poly) == "2*m*n - 1*n + 3" and describe(()) == "0"
