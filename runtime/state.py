"""Parameters and what else outlives a run: one array in the physical order its executables want.

Leans on `arena` for aligned memory and on `awaited` for values that are still being made. Several executables share a
state (a training step and a prediction); the first of them fixes its order, and from then on it stays where it is in
memory. The newest value may be away, on another device or not made yet: the first that looks at it here brings it
home, once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any, Protocol
from weakref import WeakSet, WeakValueDictionary

import numpy as np
from numpy.typing import ArrayLike

from .arena import allocate
from .awaited import Awaited
from .errors import LayoutError, RuntimeShapeError
from .locks import fork_safe_lock

_moving = fork_safe_lock()
"""Held while a state's value is read, written or moved by Python: two programs may claim it at a time."""

_away: WeakSet[State] = WeakSet()
"""The states whose newest value is elsewhere."""


class Holder(Protocol):
    """Who has a state's newest value; `stamp` is that value's."""

    stamp: int

    def fetch(self, physical: np.ndarray) -> None:
        """Write the value into an array in the state's physical order."""


class First:
    """The holder of a first value that is not in memory yet: still being made, or one number everywhere. Writing it
    only once its axes have their last order saves most of the time that large states take."""

    stamp = 0

    def __init__(self, value: np.ndarray | Awaited, order: tuple[int, ...]) -> None:
        self.value, self.order = value, order

    def fetch(self, physical: np.ndarray) -> None:
        physical[...] = np.asarray(self.value).transpose(self.order)


class Writer:
    """Native code that writes states: `runs` counts how often it may have done so."""

    def __init__(self) -> None:
        self.runs = 0


def bring_home(states: Iterable[State]) -> None:
    """Make the memory of these states hold their newest values, before native code uses it."""
    if _away:
        for state in states:
            state.home()


def leave(states: Iterable[tuple[State, Holder]]) -> None:
    """Note that each holder has a new value of its state, which is fetched when somebody looks."""
    with _moving:
        for state, holder in states:
            state._writes += 1
            if state._holder is not holder:
                state._holder = holder
                _away.add(state)
            holder.stamp = state.stamp


class State:
    """Storage for a copy of `value`, a logical array, under a name. `address` is where it lies; `chosen_by` is for
    whoever plans programs to note which of them chose the order."""

    def __init__(self, name: str, value: ArrayLike | Awaited) -> None:
        logical = value if isinstance(value, Awaited) else np.asarray(value)
        self.name = name
        self.shape = logical.shape
        self.dtype = logical.dtype
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize
        self.claimed = False
        self.chosen_by: str | None = None
        self.copies: WeakValueDictionary[object, Any] = WeakValueDictionary()  # by whoever keeps them
        self._holder: Holder | None = None
        self._writes = 0
        self._writers: list[Writer] = []
        order, later = tuple(range(len(self.shape))), _later(logical)
        if later is None:
            self._physical, self.address = place(np.asarray(logical), order)
        else:
            self._physical, self.address = allocate(self.shape, self.dtype, self.nbytes)
            self._holder = First(later, order)
            _away.add(self)
        self.order = order

    def __repr__(self) -> str:
        return f"State({self.name!r}, shape={self.shape}, dtype={self.dtype}, order={self.order})"

    def __reduce__(self) -> tuple[Any, ...]:
        """For `pickle` and `copy.deepcopy`: a state of its own with this value, in an order that is free again."""
        return State, (self.name, self.get())

    @property
    def stamp(self) -> int:
        """Equal at two times only if the value did not change in between: copies elsewhere need no refresh."""
        return self._writes + sum(writer.runs for writer in self._writers)

    def get(self) -> np.ndarray:
        """A copy of the value in logical order."""
        with _moving:
            self.home()
            return np.array(self._logical(), order="C")

    def physical(self) -> tuple[np.ndarray, int]:
        """A copy of the value in physical order, and its stamp."""
        with _moving:
            self.home()
            return np.array(self._physical, order="C"), self.stamp

    def set(self, value: ArrayLike) -> None:
        """Write a new value in place."""
        logical = np.asarray(value)
        if logical.shape != self.shape:
            raise RuntimeShapeError(f"state {self.name!r}: expected shape {self.shape}, got {logical.shape}")
        with _moving:
            np.copyto(self._logical(), logical, casting="same_kind")
            self._writes += 1
            self._holder = None
            _away.discard(self)

    def home(self) -> None:
        """Fetch the value if it is elsewhere; it does not change by that."""
        with _moving:
            if self._holder is not None:
                self._holder.fetch(self._physical)
                self._holder = None
                _away.discard(self)

    def reorder(self, order: tuple[int, ...]) -> None:
        """Move the axes to `order`, from outermost to innermost; the logical value stays."""
        order = tuple(order)
        with _moving:
            if order == self.order:
                return
            if self.claimed:
                raise LayoutError(
                    f"state {self.name!r} is used in the order {self.order} by an executable and cannot become "
                    f"{order}; compile the second program with the order that the state has"
                )
            if sorted(order) != list(range(len(self.shape))):
                raise LayoutError(f"state {self.name!r}: {order} is not an order of its {len(self.shape)} axes")
            if isinstance(self._holder, First):
                shape = tuple(self.shape[axis] for axis in order)
                self._physical, self.address = allocate(shape, self.dtype, self.nbytes)
                self._holder.order = order
            else:
                self._physical, self.address = place(self._logical(), order)
            self.order = order

    def claim(self, order: tuple[int, ...], writer: Writer | None = None) -> int:
        """Fix the order for good, and say where the value lies. writer: who will write there."""
        with _moving:
            self.reorder(order)
            self.claimed = True
            if writer is not None:
                self._writers.append(writer)
            return self.address

    def _logical(self) -> np.ndarray:
        return self._physical.transpose(np.argsort(self.order)) if self.shape else self._physical


def _later(value: np.ndarray | Awaited) -> np.ndarray | Awaited | None:
    """A first value that need not be in memory yet: one that is still being made, or one number everywhere."""
    if isinstance(value, Awaited):
        return value
    everywhere = bool(value.size and value.ndim) and not any(value.strides)
    return np.broadcast_to(value[(0,) * value.ndim], value.shape) if everywhere else None


def place(logical: np.ndarray, order: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """A copy of `logical` in aligned memory with its axes in `order`, and its address."""
    view = logical.transpose(order)
    physical, address = allocate(view.shape, logical.dtype, logical.nbytes)
    physical[...] = view
    return physical, address


def _before_fork() -> None:
    bring_home(list(_away))


def _in_child() -> None:
    """A forked process cannot use its parent's device: what it found at home is its value."""
    for state in list(_away):
        state._holder = None
    _away.clear()


os.register_at_fork(before=_before_fork, after_in_child=_in_child)
