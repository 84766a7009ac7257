"""Who builds what: threads that want the same kernel at a time build it once.

Leans on the runtime's locks alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from ....runtime.locks import fork_safe_lock

_lock = fork_safe_lock()
_building: dict[str, threading.Event] = {}


def claim(keys: Iterable[str]) -> tuple[list[str], list[threading.Event]]:
    """(the keys that are now the caller's to build, until it calls `finish`; events of the others' ends)."""
    mine, others = [], []
    with _lock:
        for key in keys:
            if key in _building:
                others.append(_building[key])
            else:
                _building[key] = threading.Event()
                mine.append(key)
    return mine, others


def finish(keys: Iterable[str]) -> None:
    """Wake those who wait for the keys, built or not."""
    with _lock:
        ended = [_building.pop(key) for key in keys if key in _building]
    for event in ended:
        event.set()


os.register_at_fork(after_in_child=_building.clear)  # the threads that build them are not in the child
