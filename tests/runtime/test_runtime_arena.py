"""The arena's one promise, and that outputs and states lie where vectors want them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernelwright.runtime import plan
from kernelwright.runtime.arena import ALIGN, INPUT_PAD, PAD, PAGE, address_of, allocate, readable_past

LIFE = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda pair: (min(pair), max(pair)))
BUFFERS = st.lists(st.tuples(st.integers(0, 5000), LIFE), max_size=40)


@given(BUFFERS)
def test_buffers_alive_together_do_not_overlap(buffers: list[tuple[int, tuple[int, int]]]) -> None:
    sizes, lives = [size for size, _ in buffers], [life for _, life in buffers]
    offsets, total = plan(sizes, lives)
    for i, offset in enumerate(offsets):
        assert offset % ALIGN == 0 and offset + sizes[i] + PAD <= total
        for j in range(i):
            if lives[i][0] <= lives[j][1] and lives[j][0] <= lives[i][1]:
                assert offset + sizes[i] + PAD <= offsets[j] or offsets[j] + sizes[j] + PAD <= offset


def test_memory_is_reused() -> None:
    offsets, total = plan([1000] * 10, [(index, index + 1) for index in range(10)])
    room = -(-(1000 + PAD) // ALIGN) * ALIGN
    assert total == 2 * room and set(offsets) == {0, room}
    assert plan([], []) == ([], 0)


def test_allocation_is_aligned_and_padded() -> None:
    for shape in [(), (0,), (3, 5), (1000,)]:
        array, address = allocate(shape, np.dtype(np.float32), int(np.prod(shape)) * 4)
        assert array.shape == shape and address % ALIGN == 0 and array.ctypes.data == address
        if array.size:
            assert address_of(array) == address
            array.setflags(write=False)
            assert address_of(array) == address


def test_reading_past_the_end_of_a_page() -> None:
    assert readable_past(PAGE - INPUT_PAD) and readable_past(PAGE + 1)
    assert not readable_past(PAGE) and not readable_past(PAGE - INPUT_PAD + 1)
