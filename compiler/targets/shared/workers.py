"""Compiling many kernels on all cores: this thread and the helper processes that it can borrow.

Numba and LLVM hold one lock each per process, so threads do not help. Helpers are started at the first program that
has several kernels to compile, import Numba while this process already works, and stay for the next program. If a
helper fails for any reason, its kernel is compiled here. Any number of threads may compile at once: each borrows what
helpers are free. What a job is and how it is built is the caller's. Leans on `helpers`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from . import helpers as processes
from .helpers import Builder, Helper, HelperLost, start

FEW = 4
Done = Callable[[str, Any], None]


def build_all(jobs: Mapping[str, Any], helpers: int, done: Done, builder: Builder) -> None:
    """Build `{symbol: job}`, calling `done(symbol, built)` on this thread or a helper's as each is ready.

    Raises what `builder` or `done` raise, once no thread works on `jobs` any more.
    """
    queue = deque(jobs.items())
    wanted = min(helpers, len(queue) // 2) if len(queue) >= FEW else 0
    failures: list[BaseException] = []
    feeders = [
        threading.Thread(target=_feed, args=(helper, queue, done, builder, failures), daemon=True)
        for helper in (processes.lend(wanted, helpers) if wanted else ())
    ]
    for feeder in feeders:
        feeder.start()
    try:
        _work(queue, done, builder)
    except BaseException:
        queue.clear()
        raise
    finally:
        for feeder in feeders:
            feeder.join()
    if failures:
        raise failures[0]
    _work(queue, done, builder)


def _work(queue: deque[tuple[str, Any]], done: Done, builder: Builder) -> None:
    while queue:
        try:
            symbol, job = queue.popleft()
        except IndexError:
            return
        done(symbol, builder(job, symbol))


def _feed(
    helper: Helper,
    queue: deque[tuple[str, Any]],
    done: Done,
    builder: Builder,
    failures: list[BaseException],
) -> None:
    """Hand one kernel after the other to a helper; after any failure of its, the kernel goes back to the queue."""
    try:
        while True:
            try:
                symbol, job = queue.popleft()
            except IndexError:
                return
            try:
                worked, built = helper.ask(builder, symbol, job)
            except HelperLost:
                worked = False
            if not worked:
                queue.append((symbol, job))
                return
            done(symbol, built)
    except BaseException as error:
        failures.append(error)
        queue.clear()
    finally:
        processes.give_back(helper)


__all__ = ["build_all", "start"]
