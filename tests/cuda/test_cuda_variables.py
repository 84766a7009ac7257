"""Variables that live on the GPU: they cross when somebody looks and not before, and every order of events is right."""

import copy
import gc
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from standin import Library, on

import kernelwright as kw

UP, DOWN = "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2"
ONES = np.ones(3, "float32")


def counter(library, name="count"):
    """A variable that begins at ones, and the program that adds its input to it."""
    x, w = kw.input("x", (3,)), kw.variable(name, ONES)
    return w, on(library, [x], [x * 2], {w: w + x})


def scaled(library, w):
    x = kw.input("x", (3,))
    return on(library, [x], [x * w])


class Crossings:
    """Copies from and to the host within a `with`: those of one input and one output a run left out."""

    def __init__(self, library, runs):
        self.library, self.runs = library, runs

    def counts(self):
        return [self.library.log.count(name) for name in (UP, DOWN)]

    def __enter__(self):
        self.before = self.counts()
        return self

    def __exit__(self, *error):
        self.up, self.down = (n - b - self.runs for n, b in zip(self.counts(), self.before))


def test_a_variable_is_fetched_once_when_somebody_looks(library):
    w, step = counter(library)
    with Crossings(library, 3) as runs:
        for _ in range(3):
            step(ONES)
    assert (runs.up, runs.down) == (1, 0)
    with Crossings(library, 0) as looks:
        np.testing.assert_array_equal(kw.get_value(w), [4, 4, 4])
        np.testing.assert_array_equal(kw.get_value(w), [4, 4, 4])
    assert (looks.up, looks.down) == (0, 1)
    with Crossings(library, 1) as after:
        step(ONES)
    assert (after.up, after.down) == (0, 0)
    np.testing.assert_array_equal(kw.get_value(w), [5, 5, 5])


def test_a_value_set_on_the_host_goes_before_the_devices(library):
    w, step = counter(library)
    step(ONES)
    kw.set_value(w, ONES * 10)
    np.testing.assert_array_equal(kw.get_value(w), [10, 10, 10])
    step(ONES)
    np.testing.assert_array_equal(kw.get_value(w), [11, 11, 11])


def test_programs_on_one_gpu_share_the_copy(library):
    w, step = counter(library)
    predict = scaled(library, w)
    with Crossings(library, 4) as runs:
        step(ONES)
        np.testing.assert_array_equal(predict(ONES), [2, 2, 2])
        step(ONES)
        np.testing.assert_array_equal(predict(ONES), [3, 3, 3])
    assert (runs.up, runs.down) == (1, 0)


def test_programs_of_the_cpu_and_a_gpu_alternate(library):
    w, step = counter(library)
    x = kw.input("x", (3,))
    double = kw.compile([x], [x * w], {w: w * 2}, threads=1)
    want = 1.0
    for _ in range(3):
        step(ONES)
        want += 1
        np.testing.assert_array_equal(double(ONES), [want] * 3)
        want *= 2
    np.testing.assert_array_equal(kw.get_value(w), [want] * 3)
    np.testing.assert_array_equal(scaled(library, w)(ONES), [want] * 3)


def test_a_program_of_the_cpu_without_the_variable_moves_nothing(library):
    w, step = counter(library)
    x, other = kw.input("x", (3,)), kw.variable("other", ONES)
    elsewhere = kw.compile([x], [x * 2], {other: other + x}, threads=1)
    step(ONES)
    with Crossings(library, 1) as runs:
        elsewhere(ONES)
        step(ONES)
    assert (runs.up, runs.down) == (0, 0)
    np.testing.assert_array_equal(kw.get_value(w), [3, 3, 3])


def test_two_gpus_hand_a_variable_to_each_other(library):
    second = Library()
    w, step = counter(library)
    x = kw.input("x", (3,))
    double = on(second, [x], [x], {w: w * 2})
    step(ONES)
    double(ONES)
    step(ONES)
    double(ONES)
    np.testing.assert_array_equal(kw.get_value(w), [10, 10, 10])


def test_a_dropped_program_leaves_its_values_and_gives_its_memory_back(library):
    w, step = counter(library)
    step(ONES)
    del step
    gc.collect()
    np.testing.assert_array_equal(kw.get_value(w), [2, 2, 2])
    gc.collect()
    library.gpu.tidy()
    assert library.blocks == {} and library.graphs == {}


def test_a_run_that_fails_on_its_way_leaves_the_steps_that_were_done(library, monkeypatch):
    w, step = counter(library)
    step(ONES)
    launch, launched = Library._cuGraphLaunch, []

    def failing(self, graph, stream):
        launched.append(graph)
        return launch(self, graph, stream) if len(launched) < 3 else 1

    with monkeypatch.context() as broken:
        broken.setattr(Library, "_cuGraphLaunch", failing)
        with pytest.raises(kw.KernelwrightError, match="cuGraphLaunch failed"):
            step.run([ONES], steps=5)
    np.testing.assert_array_equal(kw.get_value(w), [4, 4, 4])
    on(library, *_doubling(w))(ONES)
    np.testing.assert_array_equal(kw.get_value(w), [8, 8, 8])


def _doubling(w):
    x = kw.input("x", (3,))
    return [x], [x], {w: w * 2}


def test_a_gpu_that_failed_is_named_with_a_way_out(library, monkeypatch):
    w, step = counter(library, "weights")
    step(ONES)
    monkeypatch.setattr(Library, "_cuMemcpyDtoHAsync_v2", lambda *args: 200)
    with pytest.raises(kw.KernelwrightError, match=r"newest value of variable 'weights' .*set_value") as error:
        kw.get_value(w)
    assert "\n" not in str(error.value)
    kw.set_value(w, ONES * 7)
    np.testing.assert_array_equal(kw.get_value(w), [7, 7, 7])


def test_copies_and_pickles_have_the_newest_value(library):
    w, step = counter(library)
    step(ONES)
    for made in (copy.deepcopy(w.attrs.state), pickle.loads(pickle.dumps(w.attrs.state))):
        np.testing.assert_array_equal(made.get(), [2, 2, 2])
    step(ONES)
    np.testing.assert_array_equal(kw.get_value(w), [3, 3, 3])


def test_a_forked_process_finds_the_newest_value(library):
    w, step = counter(library)
    step(ONES)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        library.gpu._cuda = None  # what the child has of the driver is of no use
        os.write(write, kw.get_value(w).tobytes())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(np.frombuffer(os.read(read, 100), "float32"), [2, 2, 2])
    with Crossings(library, 1) as after:
        step(ONES)
    assert (after.up, after.down) == (0, 0)


def test_threads_that_run_and_look(library):
    w, step = counter(library)
    twin = on(library, *_adding(w))

    def look(_):
        return kw.get_value(w)[0]

    with ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(program, ONES) for _ in range(20) for program in (step, twin)]
        seen = list(threads.map(look, range(40)))
        for run in runs:
            run.result()
    assert all(1 <= value <= 41 for value in seen)
    np.testing.assert_array_equal(kw.get_value(w), [41, 41, 41])


def _adding(w):
    x = kw.input("x", (3,))
    return [x], [x], {w: w + x}


def test_values_cross_in_the_variables_own_order(library):
    value = np.arange(6, dtype="float32").reshape(2, 3)
    x, w = kw.input("x", (4, 2)), kw.variable("weights", value)
    w.attrs.state.claim((1, 0))
    step = on(library, [x], [x @ w], {w: w * 2})
    ones = np.ones((4, 2), "float32")
    np.testing.assert_array_equal(step(ones), [[3, 5, 7]] * 4)
    np.testing.assert_array_equal(kw.get_value(w), [[0, 2, 4], [6, 8, 10]])
    np.testing.assert_array_equal(step(ones), [[6, 10, 14]] * 4)
    np.testing.assert_array_equal(kw.compile([x], [x @ w], threads=1)(ones), [[12, 20, 28]] * 4)
