"""Ctrl-C and SIGTERM between native calls instead of inside them, so that parameters and counters always agree.

Leans on the standard library only.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A fit that was asked to stop, with everything saved that was to be. number: of the signal."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number


class Interrupt:
    """A context in which the first Ctrl-C or SIGTERM sets `asked`, and the second interrupts at once.

    Within `at_once` the first interrupts, too.
    """

    def __init__(self) -> None:
        self.asked = self._at_once = False
        self.number = int(signal.SIGINT)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """For long work that changes no state, such as compiling. A signal that came before interrupts on entry."""
        self._at_once = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        if self.asked or self._at_once:
            raise KeyboardInterrupt
        self.asked = True
