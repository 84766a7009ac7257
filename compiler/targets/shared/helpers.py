"""Helper processes that build kernels, lent to one borrower at a time.

A helper answers questions over its pipes, one after the other; two askers would mix up their answers. So each has one
owner from `lend` to `give_back`, an answer names the symbol that it belongs to, and a helper whose answer did not come
whole is ended. A forked child has no helpers: those of its parent are the parent's. Helpers end with this process.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

Builder = Callable[[Any, str], Any]
"""(job, symbol) to what is built; a function of a module, which helpers import."""

WARM = f"{__name__.rpartition('.shared.')[0]}.cpu.llvm.warm"
"""What every helper imports first: Numba with its tables filled."""

_lock = threading.Lock()
_idle: list[Helper] = []
_lent: list[Helper] = []


class HelperLost(Exception):
    """A helper that ended, or answered something else than it was asked."""


class Helper:
    """One process. Raises OSError where it cannot be started."""

    def __init__(self) -> None:
        reader, writer = os.pipe()  # not standard output, which anything that is imported may print to
        command = [sys.executable, "-c", f"from {__name__} import serve; serve({writer})"]
        try:
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(writer,),
                start_new_session=True,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        assert self._process.stdin is not None
        self._questions = self._process.stdin
        self._answers = open(reader, "rb", buffering=0)  # noqa: SIM115 - closed by `forget`
        self._between = True

    @property
    def usable(self) -> bool:
        """Does it live, with no question open?"""
        return self._between and self._process.poll() is None

    def ask(self, builder: Builder, symbol: str, job: Any) -> tuple[bool, Any]:
        """(True, what it built) or (False, its error as text). Raises HelperLost, after which it must not be asked."""
        self._between = False
        try:
            _write(self._questions, (builder, symbol, job))
            answered, worked, built = _read(self._answers)
        except Exception as error:  # unpickling raises anything
            raise HelperLost(repr(error)) from error
        if answered != symbol:
            raise HelperLost(f"asked for {symbol}, it answered {answered}")
        self._between = True
        return worked, built

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Close this process's ends of the pipes."""
        self._questions.close()
        self._answers.close()

    def disown(self) -> None:
        """In a forked child: leave the helper to the parent."""
        self._process.returncode = 0  # nobody's to wait for here
        self.forget()


def lend(count: int, most: int) -> list[Helper]:
    """Up to `count` helpers, the caller's own until it gives them back. No more than `most` live at a time."""
    with _lock:
        _start(count, most)
        taken = _idle[:count]
        del _idle[: len(taken)]
        _lent.extend(taken)
        return taken


def give_back(helper: Helper) -> None:
    """Take back what was lent; one that cannot be asked again is ended."""
    with _lock:
        if helper in _lent:  # else `stop` has ended it
            _lent.remove(helper)
            if helper.usable:
                _idle.append(helper)
                return
    helper.end()


def start(count: int) -> None:
    """Start helpers ahead of need: they import Numba while this process plans what they will build."""
    with _lock:
        _start(count - len(_lent), count)


def _start(count: int, most: int) -> None:
    """Have `count` idle helpers, if `most` allows."""
    for helper in [h for h in _idle if not h.usable]:
        _idle.remove(helper)
        helper.end()
    while len(_idle) < count and len(_idle) + len(_lent) < most:
        try:
            _idle.append(Helper())
        except OSError:
            return


@atexit.register
def stop() -> None:
    """End all helpers, lent ones too."""
    with _lock:
        ended = [*_idle, *_lent]
        _idle.clear()
        _lent.clear()
    for helper in ended:
        helper._process.kill()


def _in_child() -> None:
    for helper in [*_idle, *_lent]:
        helper.disown()
    _idle.clear()
    _lent.clear()
    _lock.release()


# A fork waits for a helper that is being started, whose pipes the child would else keep open unknowingly.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_child)


def serve(answers: int) -> None:
    """The helper's side: build what comes in on standard input until it ends, and answer on the descriptor given."""
    source, sink = sys.stdin.buffer, open(answers, "wb", buffering=0)  # noqa: SIM115 - open as long as the process
    importlib.import_module(WARM)  # importing Numba takes a while: do it before the first kernel
    gc.freeze()  # the search for cycles need not walk over Numba's modules for every kernel

    while True:
        try:
            builder, symbol, job = _read(source)
        except EOFError:
            return
        try:
            answer: tuple[str, bool, Any] = symbol, True, builder(job, symbol)
        except Exception as error:
            answer = symbol, False, repr(error)
        _write(sink, answer)


def _write(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value)
    rest = memoryview(struct.pack("<q", len(data)) + data)
    while rest:
        rest = rest[stream.write(rest) :]


def _read(stream: IO[bytes]) -> Any:
    (length,) = struct.unpack("<q", _exactly(stream, 8))
    return pickle.loads(_exactly(stream, length))


def _exactly(stream: IO[bytes], count: int) -> bytes:
    """That many bytes; an unbuffered stream gives fewer at a time. Raises EOFError where it ends before."""
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
