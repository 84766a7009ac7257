"""Arrays that a thread makes, one after the other, while the others go on: first values of large networks.

Leans on NumPy, which draws and computes without Python's lock. What is asked for is made in that order and exactly
once, also where nobody looks at it, so that generators go on from where they should.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import numpy as np

Make = Callable[[], np.ndarray]

_asking = threading.Lock()
_asked: SimpleQueue[tuple[Make, Future[np.ndarray]]] = SimpleQueue()
_newest: Future[np.ndarray] | None = None
_working = False


class Awaited:
    """An array of a known shape and dtype; NumPy's functions, which take it as one, wait until it is made."""

    def __init__(self, make: Make, shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._made = _ask(make)

    def result(self) -> np.ndarray:
        """The array. Raises what making it raised."""
        return self._made.result()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.result(), dtype, copy=copy)


def settle() -> None:
    """Wait until all that was asked for is made."""
    newest = _newest
    if newest is not None:
        newest.exception()


def _ask(make: Make) -> Future[np.ndarray]:
    global _newest, _working
    made: Future[np.ndarray] = Future()
    with _asking:
        _asked.put((make, made))
        _newest = made
        if not _working:
            threading.Thread(target=_work, name="kernelwright first values", daemon=True).start()
            _working = True
    return made


def _work() -> None:
    while True:
        make, made = _asked.get()
        try:
            made.set_result(make())
        except BaseException as error:  # the one who asked is told
            made.set_exception(error)
        del make, made  # or an array would stay until the next is asked for


def _before_fork() -> None:
    _asking.acquire()
    settle()


def _in_child() -> None:
    """The thread that makes arrays is the parent's; nothing is left to be made."""
    global _asked, _newest, _working
    _asked, _newest, _working = SimpleQueue(), None, False
    _asking.release()


os.register_at_fork(before=_before_fork, after_in_parent=_asking.release, after_in_child=_in_child)


__all__ = ["Awaited", "settle"]
