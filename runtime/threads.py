"""Worker threads that run a job together, each its share, with the caller as thread 0.

Leans on `driver`. Workers wait in native code, spinning and then yielding, for about a millisecond after their last
job; then they return to Python and block on an event, so that an idle program burns nothing. A forked child starts its
own workers at its first run; at exit they are told to leave.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref

import numpy as np

from .arena import allocate
from .driver import CROWDED_SPINS, LINE, SPINS, Control, driver

IDLE_YIELDS = 1000
"""Vain yields before a worker goes to sleep: about a millisecond."""

_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_shared: dict[int, Pool] = {}
_shared_lock = threading.Lock()


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Pool:
    """`threads` threads, the caller's included. Calls from several Python threads take turns, by `lock`."""

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"a pool needs at least one thread, not {threads}")
        self.threads = threads
        slots = Control.ASLEEP + threads * LINE
        self._control, self._address = allocate((slots,), np.dtype(np.int64), 8 * slots)
        self._driver = driver()
        self.spins = SPINS if threads <= available_cores() else CROWDED_SPINS
        self._reset()
        _pools.add(self)

    @property
    def barrier(self) -> int:
        """The address of the counter that a job's barriers use."""
        return self._address + 8 * Control.BARRIER

    def run(self, job: int, threads: int) -> None:
        """Run the job at address `job` on all threads, or, where `threads` is 1, on the caller's alone; returns when
        every share is done."""
        with self.lock:
            if threads == 1:
                self._driver.run(job, 0)
                return
            if not self._workers:
                self._start()
            if self._driver.submit(self._address, job, self.threads):
                try:
                    self._wake()
                finally:
                    self._driver.finish(self._address, job, self.threads)

    def close(self, timeout: float = -1) -> None:
        """Let the workers end, unless a run lasts longer than `timeout` seconds; a later run starts new ones."""
        if not self.lock.acquire(timeout=timeout):
            return
        try:
            if self._workers:
                self._driver.post(self._address, 0, self.threads)
                self._wake()
                for worker in self._workers:
                    worker.join()
                self._reset_workers()
        finally:
            self.lock.release()

    def _reset(self) -> None:
        """Forget workers and locks that belong to another life, such as that of the process before a fork."""
        self.lock = threading.RLock()
        self._reset_workers()

    def _reset_workers(self) -> None:
        self._control[:] = 0
        self._control[Control.SPINS] = self.spins
        self._workers: list[threading.Thread] = []
        self._events = [threading.Event() for _ in range(self.threads)]

    def _start(self) -> None:
        for thread in range(1, self.threads):
            name = f"kernelwright-{self.threads}-{thread}"
            worker = threading.Thread(target=self._work, args=(thread, self._events[thread]), name=name, daemon=True)
            self._workers.append(worker)
            worker.start()

    def _work(self, thread: int, event: threading.Event) -> None:
        seen = 0
        while True:
            seen = self._driver.serve(self._address, thread, seen, IDLE_YIELDS)
            if seen < 0:
                return
            event.wait()
            event.clear()

    def _wake(self) -> None:
        for thread in range(1, self.threads):
            if self._control[Control.ASLEEP + thread * LINE]:
                self._events[thread].set()


def shared_pool(threads: int) -> Pool:
    """The process's own pool of that many threads."""
    with _shared_lock:
        pool = _shared.get(threads)
        if pool is None:
            pool = _shared[threads] = Pool(threads)
        return pool


def _after_fork() -> None:
    global _shared_lock
    _shared_lock = threading.Lock()
    for pool in list(_pools):
        pool._reset()


def _at_exit() -> None:
    for pool in list(_pools):
        pool.close(timeout=1)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
