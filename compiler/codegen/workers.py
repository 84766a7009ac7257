"""Compiling many kernels on all cores: helper processes beside this one.

Numba and LLVM hold one lock each per process, so threads do not help. A helper is started at the first program
that has several kernels to compile, imports Numba while this process already works, and stays for the next
program; it ends with this process. If a helper fails for any reason, its kernel is compiled here. What a job is and
how it is built is the caller's: `build` for the CPU's kernels, by default. Leans on `build`.
"""

from __future__ import annotations

import atexit
import gc
import pickle
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Any

from .build import build

FEW = 4
Builder = Callable[[Any, str], Any]
"""(job, symbol) to what is built; a function of a module, which helpers import."""

_helpers: list[subprocess.Popen[bytes]] = []


def build_all(
    jobs: Mapping[str, Any], helpers: int, done: Callable[[str, Any], None], builder: Builder = build
) -> None:
    """Build `{symbol: job}`, calling `done(symbol, built)` on this thread or a helper's as each is ready."""
    queue = deque(jobs.items())
    threads = []
    if len(queue) >= FEW:
        for helper in _ready(min(helpers, len(queue) // 2)):
            thread = threading.Thread(target=_feed, args=(helper, queue, done, builder), daemon=True)
            thread.start()
            threads.append(thread)
    _work(queue, done, builder)
    for thread in threads:
        thread.join()
    _work(queue, done, builder)


def start(helpers: int) -> None:
    """Start helpers ahead of need: they import Numba while this process plans what they will build."""
    _ready(helpers)


def _work(queue: deque[tuple[str, Any]], done: Callable[[str, Any], None], builder: Builder) -> None:
    while queue:
        try:
            symbol, job = queue.popleft()
        except IndexError:
            return
        done(symbol, builder(job, symbol))


def _feed(
    helper: subprocess.Popen[bytes], queue: deque[tuple[str, Any]], done: Callable[[str, Any], None], builder: Builder
) -> None:
    """Hand one kernel after the other to a helper; on any failure put the kernel back and let the helper go."""
    assert helper.stdin is not None and helper.stdout is not None
    while True:
        try:
            symbol, job = queue.popleft()
        except IndexError:
            return
        try:
            _write(helper.stdin, (builder, symbol, job))
            worked, built = _read(helper.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            worked = False
        if not worked:
            queue.append((symbol, job))
            if helper in _helpers:
                _helpers.remove(helper)
            helper.kill()
            return
        done(symbol, built)


def _ready(count: int) -> list[subprocess.Popen[bytes]]:
    """That many living helpers."""
    _helpers[:] = [h for h in _helpers if h.poll() is None]
    while len(_helpers) < count:
        command = [sys.executable, "-c", f"from {__name__} import serve; serve()"]
        try:
            _helpers.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        except OSError:
            break
    return _helpers[:count]


@atexit.register
def stop() -> None:
    """End all helpers."""
    while _helpers:
        helper = _helpers.pop()
        helper.kill()
        helper.wait()


def serve() -> None:
    """The helper's side: compile what comes in on standard input until it ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    from . import frontend, operations  # noqa: F401  (importing Numba takes a while: do it before the first kernel)

    operations.cpu()
    gc.freeze()  # the search for cycles need not walk over Numba's modules for every kernel

    while True:
        try:
            builder, symbol, job = _read(source)
        except EOFError:
            return
        try:
            answer: tuple[bool, Any] = True, builder(job, symbol)
        except Exception as error:
            answer = False, repr(error)
        _write(sink, answer)


def _write(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value)
    stream.write(struct.pack("<q", len(data)) + data)
    stream.flush()


def _read(stream: IO[bytes]) -> Any:
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    return pickle.loads(stream.read(struct.unpack("<q", head)[0]))
