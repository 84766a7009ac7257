"""Who is told how many kernels are compiled, while they are: a display, say. Leans on the standard library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Report = Callable[[int, int], None]
"""Called with how many kernels are compiled, and of how many."""

_WATCHER: ContextVar[Report | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(report: Report) -> Iterator[None]:
    """Programs compiled inside tell `report` of their kernels. Those that the cache holds are not compiled."""
    token = _WATCHER.set(report)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def compiled(done: int, kernels: int) -> None:
    """Tell whoever watches."""
    report = _WATCHER.get()
    if report is not None:
        report(done, kernels)
