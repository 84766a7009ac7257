"""The order of elements along a long axis, by a sorting network: rounds of comparisons, each a turn of one loop.

Every turn compares each place with the one whose number differs in the bits of a mask, and the lower place keeps what
goes first. A bitonic sorter (Batcher, Sorting networks and their applications, 1968) whose comparators all point one
way, as here, takes any number of places: those past the end would hold what goes last, and are left out. An axis of n
takes about log2(n)^2 / 2 turns. Leans on `recurrences`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .. import dtypes
from .ops.elementwise import bitwise_xor, not_equal, where
from .ops.source import iota
from .recurrences import looped
from .tensor import Tensor, apply, as_tensor, broadcast_to

Less = Callable[[Tensor, Tensor], Tensor]


def ordered(x: Tensor, axis: int, size: int, less: Less) -> Tensor:
    """The positions, int32, at which the elements along an axis of `size` stand in order; equal ones as they stand.

    less: whether elements of the first go before those of the second.
    """
    place = iota(size, dtypes.INT32).reshape(*(size if i == axis else 1 for i in range(x.rank)))

    def step(states: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        value, position = states
        partner = bitwise_xor(place, masks[0])
        other = where(partner < size, partner, place)
        at = broadcast_to(other, x.shape)
        value_there, position_there = (apply("take_along", (of, at), axis=axis) for of in states)
        earlier = ~less(value, value_there) & (position_there < position)
        there_first = less(value_there, value) | earlier
        wanted = where(place < other, there_first, ~there_first) & not_equal(place, other)
        return [where(wanted, value_there, value), where(wanted, position_there, position)], []

    masks = _masks(size)
    start = [x, broadcast_to(place, x.shape)]
    finals, _ = looped(step, start, [as_tensor(masks)], len(masks), False)
    return finals[1]


def _masks(size: int) -> np.ndarray:
    """The bits in which a place's number differs from that of the place it is compared with, turn by turn: two sorted
    blocks are compared from their ends, and then halves of halves."""
    levels = range(1, (size - 1).bit_length() + 1)
    return np.array([m for n in levels for m in ((1 << n) - 1, *(1 << i for i in range(n - 2, -1, -1)))], np.int32)
