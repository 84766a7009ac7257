"""Fills the kernel cache for an architecture with all kernels that the parts run, on a machine without a GPU.

A session there that has this cache compiles nothing, whatever versions of packages it has. Leans on the extra `cuda`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ...compiler.targets.cuda import cubin_store
from .parts import KINDS, Part, module
from .session import SAY


def prepare(planned: Sequence[Part], arch: str, say: Callable[[str], None] = SAY) -> int:
    """Compile what is not in the cache yet. Returns how many kernels were compiled; raises CompileError for an
    architecture that is none and without the extra."""
    compiled = 0
    cubin_store.share(everywhere=True)
    chosen = [part for part in planned if KINDS[part.kind].compiles]
    for number, part in enumerate(chosen, 1):
        for work in module(part.kind).programs(part.case):
            started = time.perf_counter()
            fresh = work.prepared(arch)
            compiled += fresh
            took = time.perf_counter() - started
            say(f"{number} of {len(chosen)}, {part.kind}: {work.name}: {fresh} kernels compiled, {took:.1f} s")
    say(f"{compiled} kernels compiled for {arch}")
    return compiled
