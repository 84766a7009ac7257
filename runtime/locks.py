"""Locks that live through a fork, and values that are made once however many threads ask at a time.

Leans on the standard library alone. A forked child has one thread, the one that forked: a lock that another thread of
the parent held would stay locked in it for ever.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - and logging: see below
import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LLVM = threading.RLock()
"""Held while LLVM and Numba work, which are for one thread at a time. A fork waits until they rest, a kernel at most,
because a copy of them taken in the middle of their work would be of no use to the child."""

_short: weakref.WeakSet[threading.RLock] = weakref.WeakSet()


def fork_safe_lock() -> threading.RLock:
    """A lock, to be held for moments, that a forked child finds open."""
    made = threading.RLock()
    _short.add(made)
    return made


def once(make: Callable[P, T]) -> Callable[P, T]:
    """`functools.cache` whose function runs once for equal arguments, which the other threads wait for.

    It runs with LLVM's lock held, since making something once is mostly LLVM's work.
    """
    made: dict[object, T] = {}

    @functools.wraps(make)
    def get(*args: P.args, **kwargs: P.kwargs) -> T:
        key = (args, tuple(sorted(kwargs.items())))
        if key not in made:
            with LLVM:
                if key not in made:
                    made[key] = make(*args, **kwargs)
        return made[key]

    get.cache_clear = made.clear  # type: ignore[attr-defined]
    return get


def _open_again() -> None:
    for each in list(_short):
        each._at_fork_reinit()  # type: ignore[attr-defined]
    LLVM.release()


# Python runs what was registered when a fork began, and afterwards all that is registered then. So what `logging` and
# `concurrent.futures` do at a fork is known before one waits here for an import of them: they are imported above.
os.register_at_fork(before=LLVM.acquire, after_in_parent=LLVM.release, after_in_child=_open_again)
