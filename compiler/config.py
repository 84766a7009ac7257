"""Every knob read from the environment, in one place.

KERNELWRIGHT_CACHE   folder of the kernel cache (default: the user's cache folder; read by the runtime)
KERNELWRIGHT_DATA    folder that holds data sets, one folder each
KERNELWRIGHT_THREADS worker threads where a program does not say (default: one per core)
KERNELWRIGHT_VERIFY  0: no checks between passes; 1: structure (default); 2: compare values too (slow)
"""

from __future__ import annotations

import os

from .errors import CompileError


def threads() -> int:
    """How many threads a program uses when its user does not say."""
    text = os.environ.get("KERNELWRIGHT_THREADS", "")
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdigit() or int(text) < 1:
        raise CompileError(f"KERNELWRIGHT_THREADS must be a number of at least 1, not {text!r}")
    return int(text)
