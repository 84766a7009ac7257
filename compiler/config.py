"""Every knob read from the environment, in one place.

KERNELWRIGHT_CACHE    folder of the kernel cache (default: the user's cache folder; read by the runtime)
KERNELWRIGHT_CACHE_MB how much the kernel cache may hold, in megabytes of 2**20 bytes (default: 2048)
KERNELWRIGHT_DATA     folder that holds data sets, one folder each
KERNELWRIGHT_THREADS  worker threads where a program does not say (default: one per core)
KERNELWRIGHT_HELPERS  processes that compile kernels beside this one (default: one per further core)
KERNELWRIGHT_CPU      CPU to compile for (default: native; LLVM's name such as x86-64-v3; read by the CPU target)
KERNELWRIGHT_WINOGRAD 0: sum 3x3 convolutions directly; 1: in fewer products where that should be faster (default)
KERNELWRIGHT_VERIFY   0: no checks of passes; 1: structure (default); 2: values, and kernels run (slow)
KERNELWRIGHT_PRINT    after:PASS (or after:all): print what a pass gives; `program.trace` names the passes
KERNELWRIGHT_STOP_AFTER PASS: leave out later passes that a program can do without, to find one that is to blame
"""

from __future__ import annotations

import os

from ..runtime.cache import LIMIT
from ..runtime.threads import available_cores
from .errors import CompileError


def _number(name: str, least: int, default: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < least:
        raise CompileError(f"{name} must be a number of at least {least}, not {text!r}")
    return int(text)


def cache_limit() -> int:
    """How many bytes the kernel cache may hold."""
    return _number("KERNELWRIGHT_CACHE_MB", 1, LIMIT >> 20) << 20


def verify_level() -> int:
    """How much is checked between passes."""
    return _number("KERNELWRIGHT_VERIFY", 0, 1)


def winograd() -> bool:
    """May convolutions be computed by Winograd's minimal filtering?"""
    return _number("KERNELWRIGHT_WINOGRAD", 0, 1) > 0


def threads() -> int:
    """How many threads a program uses when its user does not say."""
    return _number("KERNELWRIGHT_THREADS", 1, available_cores())


def helpers() -> int:
    """How many processes help to compile."""
    return _number("KERNELWRIGHT_HELPERS", 0, available_cores() - 1)


def print_after() -> str:
    """The pass whose outcome is printed, "all" for every one, or nothing."""
    text = os.environ.get("KERNELWRIGHT_PRINT", "")
    when, _, name = text.partition(":")
    if text and (when != "after" or not name):
        raise CompileError(f"KERNELWRIGHT_PRINT must be after:PASS or after:all, not {text!r}")
    return name


def stop_after() -> str:
    """The pass after which only those run that a program cannot do without; nothing where all run."""
    return os.environ.get("KERNELWRIGHT_STOP_AFTER", "")
