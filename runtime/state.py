"""Parameters and what else outlives a run: one array in the physical order its executables want.

Leans on `arena` for aligned memory. Several executables share a state (a training step and a prediction); the first of
them fixes its order, and from then on it stays where it is in memory.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .arena import allocate
from .errors import LayoutError, RuntimeShapeError
from .locks import fork_safe_lock

_native_runs = itertools.count(1)
_last_native_run = 0
_moving = fork_safe_lock()
"""Held while a state's value is read, written or moved by Python: two programs may claim it at a time."""


def native_run() -> None:
    """Note that native code ran, which may have written any state."""
    global _last_native_run
    _last_native_run = next(_native_runs)


class State:
    """Storage for `value`, a logical array, under a name. `address` is where it lies; `chosen_by` is for whoever plans
    programs to note which of them chose the order."""

    def __init__(self, name: str, value: ArrayLike) -> None:
        logical = np.asarray(value)
        self.name = name
        self.shape = logical.shape
        self.dtype = logical.dtype
        self.claimed = False
        self.chosen_by: str | None = None
        self._writes = 0
        self._place(logical, tuple(range(logical.ndim)))

    def __repr__(self) -> str:
        return f"State({self.name!r}, shape={self.shape}, dtype={self.dtype}, order={self.order})"

    def __reduce__(self) -> tuple[Any, ...]:
        """For `pickle` and `copy.deepcopy`: a state of its own with this value, in an order that is free again."""
        return State, (self.name, self.get())

    @property
    def stamp(self) -> tuple[int, int]:
        """Equal at two times only if the value did not change in between: copies elsewhere need no refresh."""
        return self._writes, _last_native_run

    def get(self) -> np.ndarray:
        """A copy of the value in logical order."""
        with _moving:
            return np.array(self._logical(), order="C")

    def set(self, value: ArrayLike) -> None:
        """Write a new value in place."""
        logical = np.asarray(value)
        if logical.shape != self.shape:
            raise RuntimeShapeError(f"state {self.name!r}: expected shape {self.shape}, got {logical.shape}")
        with _moving:
            np.copyto(self._logical(), logical, casting="same_kind")
            self._writes += 1

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
            self._place(self._logical(), order)

    def claim(self, order: tuple[int, ...]) -> int:
        """Fix the order for good, and say where the value lies."""
        with _moving:
            self.reorder(order)
            self.claimed = True
            return self.address

    def _place(self, logical: np.ndarray, order: tuple[int, ...]) -> None:
        physical, self.address = place(logical, order)
        self.order = order
        self._physical = physical

    def _logical(self) -> np.ndarray:
        return self._physical.transpose(np.argsort(self.order)) if self.shape else self._physical


def place(logical: np.ndarray, order: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """A copy of `logical` in aligned memory with its axes in `order`, and its address."""
    view = logical.transpose(order)
    physical, address = allocate(view.shape, logical.dtype, logical.nbytes)
    physical[...] = view
    return physical, address
