"""Compiling many kernels on all cores: helper processes beside this one.

Numba and LLVM hold one lock each per process, so threads do not help. A helper is started at the first program
that has several kernels to compile, imports Numba while this process already works, and stays for the next
program; it ends with this process. If a helper fails for any reason, its kernel is compiled here. Leans on
`build`.
"""

from __future__ import annotations

import atexit
import pickle
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Any

from .build import Built, build

FEW = 4
_helpers: list[subprocess.Popen[bytes]] = []


def build_all(sources: Mapping[str, str], helpers: int, done: Callable[[str, Built], None]) -> None:
    """Compile `{symbol: source}`, calling `done(symbol, built)` on this thread or a helper's as each is ready."""
    queue = deque(sources.items())
    threads = []
    if len(queue) >= FEW:
        for helper in _ready(min(helpers, len(queue) // 2)):
            thread = threading.Thread(target=_feed, args=(helper, queue, done), daemon=True)
            thread.start()
            threads.append(thread)
    _work(queue, done)
    for thread in threads:
        thread.join()
    _work(queue, done)


def _work(queue: deque[tuple[str, str]], done: Callable[[str, Built], None]) -> None:
    while queue:
        try:
            symbol, source = queue.popleft()
        except IndexError:
            return
        done(symbol, build(source, symbol))


def _feed(helper: subprocess.Popen[bytes], queue: deque[tuple[str, str]], done: Callable[[str, Built], None]) -> None:
    """Hand one kernel after the other to a helper; on any failure put the kernel back and let the helper go."""
    assert helper.stdin is not None and helper.stdout is not None
    while True:
        try:
            symbol, source = queue.popleft()
        except IndexError:
            return
        try:
            _write(helper.stdin, (symbol, source))
            built = _read(helper.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            built = None
        if not isinstance(built, Built):
            queue.append((symbol, source))
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
    from . import frontend  # noqa: F401  (importing Numba takes most of a second: do it before the first kernel)

    while True:
        try:
            symbol, text = _read(source)
        except EOFError:
            return
        try:
            answer: Any = build(text, symbol)
        except Exception as error:
            answer = repr(error)
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
