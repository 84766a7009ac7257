"""Copies through page-locked memory, on a driver that is as late as may be: it does what the host waits for."""

import gc

import numpy as np
import pytest
from standin import Library, on

import kernelwright as kw
from kernelwright.runtime.cuda import staging


class Late(Library):
    """Does what is in the stream when the host waits, up to the event that it waits for. Only page-locked memory may be
    copied from and to later: the host's other arrays are copied at once, as a driver does with pageable memory."""

    def __init__(self):
        super().__init__()
        self.queue, self.waits, self.pageable = [], 0, 0

    def later(self, function, *args):
        self.queue.append((function, args))
        return 0

    def drain(self, event=None):
        while self.queue:
            function, args = self.queue.pop(0)
            if function == "event":
                if args == event:
                    return 0
            elif function(self, *args):
                return 1
        return 0

    def from_or_to(self, host, function, *args):
        if any(start <= host.value < start + raw.nbytes for start, raw in self.pinned.items()):
            return self.later(function, *args)
        self.pageable += 1
        return self.drain() or function(self, *args)

    def _cuMemcpyHtoDAsync_v2(self, target, source, size, stream):
        return self.from_or_to(source, Library._cuMemcpyHtoDAsync_v2, target, source, size, stream)

    def _cuMemcpyDtoHAsync_v2(self, target, source, size, stream):
        return self.from_or_to(target, Library._cuMemcpyDtoHAsync_v2, target, source, size, stream)

    def _cuMemcpyDtoDAsync_v2(self, *args):
        return self.later(Library._cuMemcpyDtoDAsync_v2, *args)

    def _cuGraphLaunch(self, *args):
        return self.later(Library._cuGraphLaunch, *args)

    def _cuEventRecord(self, event, stream):
        self.later("event", event.value)
        return super()._cuEventRecord(event, stream)

    def _cuEventSynchronize(self, event):
        self.waits += 1
        under_way = ("event", (event.value,)) in self.queue
        return self.drain((event.value,)) if under_way else 0

    def _cuStreamSynchronize(self, stream):
        return self.drain()


@pytest.fixture
def late(library, monkeypatch):
    """Pieces of 64 bytes, three of them."""
    monkeypatch.setattr(staging, "PIECE", 64)
    monkeypatch.setattr(staging, "PIECES", 3)
    return Late()


@pytest.mark.parametrize("size", [1, 4, 17, 300])
def test_arrays_of_any_size_go_through_a_few_pieces(late, size):
    x, y = kw.input("x", (None,)), kw.input("y", (None,))
    program = on(late, [x, y], [x + y[:1], x * 2])
    rng = np.random.default_rng(size)
    for _ in range(2):
        a, b = rng.normal(size=(2, size)).astype("float32")
        total, double = program(a, b)
        np.testing.assert_array_equal(total, a + b[:1])
        np.testing.assert_array_equal(double, a * 2)
    assert len(late.pinned) == min(3, -(-size * 4 * 4 // 64))
    assert bool(late.waits) == (size > 4)


def test_inputs_and_outputs_cross_in_page_locked_memory_only(late):
    x, t = kw.input("x", (None, 3)), kw.input("t", (), "int8")
    program = on(late, [x, t], [x * 2, t])
    value = np.arange(60, dtype="float32").reshape(3, 20).T
    double, same = program(value, np.int8(7))
    np.testing.assert_array_equal(double, value * 2)
    assert (same.shape, int(same), late.pageable) == ((), 7, 0)


def test_rows_of_later_steps_go_up_while_earlier_steps_run(late):
    """Two rows fit in a piece: the host hands over the kernels of two steps before it copies the next two rows."""
    x, w = kw.input("x", (8,)), kw.variable("counter", np.zeros(8, "float32"))
    program = on(late, [x], [w * 10 + x], {w: w + x})
    value = np.random.default_rng(0).integers(0, 9, (6, 8)).astype("float32")
    program.run([value], steps=6, per_step=[0])
    late.log.clear()
    (got,) = program.run([value], steps=6, per_step=[0])
    np.testing.assert_array_equal(got, (value.sum(0) + np.cumsum(value, 0) - value) * 10 + value)
    names = {"cuMemcpyHtoDAsync_v2": "up", "cuGraphLaunch": "step"}
    assert [names[each] for each in late.log if each in names] == ["up", "step", "step"] * 3


def test_a_run_that_failed_leaves_nothing_under_way(late, monkeypatch):
    x = kw.input("x", (40,))
    program = on(late, [x], [x + 1])
    program(np.zeros(40, "float32"))
    with monkeypatch.context() as broken:
        broken.setattr(Late, "_cuStreamSynchronize", lambda *args: 1)
        with pytest.raises(kw.KernelwrightError, match="cuStreamSynchronize failed"):
            program(np.full(40, 5, "float32"))
    np.testing.assert_array_equal(program(np.ones(40, "float32")), np.full(40, 2))


def test_page_locked_memory_goes_back_with_the_program(late):
    x = kw.input("x", (40,))
    program = on(late, [x], [x + 1])
    program(np.zeros(40, "float32"))
    assert len(late.pinned) == 3
    del program
    gc.collect()
    late.gpu.tidy()
    assert late.pinned == {} and not any(late.events.values())
