"""Making graphs and compiling them without Python's search for cycles, which would walk over all nodes and expressions
again and again.

What is there at the end is searched once, and is old then; left alone, Python would walk over all of it once as young
and again as middle-aged. The switch is the process's: the first thread that enters turns the search off, the last one
on again. Leans on the runtime's locks alone.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator

from ..runtime.locks import fork_safe_lock

_lock = fork_safe_lock()
_inside = 0
_was_on = False


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Inside, no search for cycles starts by itself."""
    global _inside, _was_on
    with _lock:
        if not _inside:
            _was_on = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            on_again = _was_on and not _inside
            if on_again:
                gc.enable()
        if on_again:
            gc.collect(1)


def _in_child() -> None:
    """The threads that were inside are not in the forked child."""
    global _inside
    if _inside and _was_on:
        gc.enable()
    _inside = 0


os.register_at_fork(after_in_child=_in_child)
