"""Variables on a GPU: one copy of each, which all programs there share, and which may be the newest value.

A run uploads the copies that are older than their variables, and leaves what it writes on the device: the host fetches
it when somebody looks (`State.home`). A copy lives as long as a program uses it or it is the newest value.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import CudaError
from ..state import State
from .driver import Gpu, Memory


class Copy:
    """A variable's value on one GPU, in the variable's physical order. `stamp` tells which of its values this is."""

    def __init__(self, name: str, driver: Gpu, memory: Memory) -> None:
        self.name, self.driver, self.memory = name, driver, memory
        self.stamp = -1

    def fetch(self, physical: np.ndarray) -> None:
        """Write the value to the host. Raises CudaError where the GPU has failed, which loses it."""
        try:
            self.driver.fetch(physical, self.memory.address)
        except CudaError as error:
            raise CudaError(
                f"{error}; the newest value of variable {self.name!r} was there and cannot be read: give it another "
                "(set_value, a checkpoint) and start the process again to use the GPU"
            ) from None

    def refresh(self, state: State) -> list[np.ndarray]:
        """Upload the value if it is not this one; what to keep until it has arrived."""
        if self.stamp == state.stamp:
            return []
        array, stamp = state.physical()
        self.driver.upload(self.memory.address, array)
        self.stamp = stamp
        return [array]


def copy_of(state: State, driver: Gpu, allocate: Callable[[int], Memory]) -> Copy:
    """The state's copy on this GPU, new if there is none. The caller has the GPU's turn."""
    found: Copy | None = state.copies.get(driver)
    if found is None:
        found = Copy(state.name, driver, allocate(state.nbytes))
        state.copies[driver] = found
    return found
