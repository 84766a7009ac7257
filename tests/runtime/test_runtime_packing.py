"""Places in an arena: nothing that is in use at a time overlaps, little is wasted, and smaller batches keep theirs."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelwright.runtime import packing
from kernelwright.runtime.packing import Plans, plan

LIFE = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda pair: (min(pair), max(pair)))
BUFFERS = st.lists(st.tuples(st.integers(1, 20).map(lambda lines: lines * 64), LIFE), max_size=40)
WAYS = [packing._lowest, packing._in_rectangles]


def overlapping(rooms, lifetimes, offsets) -> list[tuple[int, int]]:
    """Every pair in use at one time whose bytes overlap, each looked at."""
    low, (first, last) = np.array(offsets), np.array(lifetimes).T
    high = low + np.array(rooms)
    bad = []
    for i in range(len(rooms)):
        together = (first <= last[i]) & (last >= first[i]) & (low < high[i]) & (high > low[i])
        bad += [(i, int(j)) for j in np.flatnonzero(together) if j != i]
    return bad


def most_at_once(rooms, lifetimes) -> int:
    """No arena is smaller."""
    change = np.zeros(max(last for _, last in lifetimes) + 2, np.int64)
    for room, (first, last) in zip(rooms, lifetimes):
        change[first] += room
        change[last + 1] -= room
    return int(change.cumsum().max())


def training_step(layers: int) -> tuple[list[int], list[tuple[int, int]]]:
    """What a deep network keeps from its forward pass until the gradient comes back, and what is short-lived."""
    draw = random.Random(0)
    rooms, lifetimes = [], []
    for i in range(layers):
        size = 64 * 4 ** (2 - 3 * i // layers)
        rooms += [size, size, 64, 3 * size]
        lifetimes += [(i, 2 * layers - i), (2 * layers - i - 1, 2 * layers - i + 1), (i, i + 1)]
        lifetimes += [(i, i + draw.randint(1, 3))]
    return rooms, lifetimes


@pytest.mark.parametrize("way", WAYS)
@given(BUFFERS)
def test_what_is_in_use_at_a_time_does_not_overlap(way, buffers) -> None:
    rooms, lifetimes = [room for room, _ in buffers], [life for _, life in buffers]
    offsets, total = way(rooms, lifetimes)
    assert all(offset % 64 == 0 and offset + room <= total for offset, room in zip(offsets, rooms))
    assert not buffers or overlapping(rooms, lifetimes, offsets) == []


@pytest.mark.parametrize("layers", [30, 1200])
def test_a_deep_network_wastes_little(layers) -> None:
    rooms, lifetimes = training_step(layers)
    offsets, total = plan([room - packing.PAD for room in rooms], lifetimes)
    assert overlapping(rooms, lifetimes, offsets) == []
    assert total <= 1.1 * most_at_once(rooms, lifetimes)


def test_smaller_batches_lie_where_the_largest_did(monkeypatch) -> None:
    plans = Plans([(0, 1), (1, 2), (2, 3)])
    largest = [1000, 2000, 3000]
    kept = plans.for_sizes(largest)
    plans.keep(largest, *kept)
    monkeypatch.setattr(packing, "plan", lambda sizes, lifetimes: pytest.fail("planned again"))
    assert plans.for_sizes([10, 2000, 0]) == kept


def test_a_larger_batch_is_planned_again() -> None:
    plans = Plans([(0, 1), (1, 2)])
    plans.keep([1000, 1000], *plans.for_sizes([1000, 1000]))
    offsets, total = plans.for_sizes([1000, 5000])
    assert overlapping([1000, 5000], [(0, 1), (1, 2)], offsets) == [] and total >= 6000


def test_a_plan_for_which_there_was_no_memory_is_not_kept() -> None:
    plans = Plans([(0, 1), (1, 2)])
    plans.for_sizes([10**12, 10**12])
    assert plans.for_sizes([10, 10])[1] < 10**4
