"""Times a call with pytest-benchmark and adds its rates, GFLOP/s and GB/s.

They are those of the shortest round, since other programs may share the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def report(benchmark: Any, call: Callable[[], Any], flops: int = 0, nbytes: int = 0) -> None:
    """Time `call`, after one call that is not timed, which does `flops` operations on `nbytes` bytes."""
    call()
    benchmark(call)
    if benchmark.stats is None:  # --benchmark-disable
        return
    seconds = benchmark.stats.stats.min
    if flops:
        benchmark.extra_info["GFLOP/s"] = round(flops / seconds / 1e9, 2)
    if nbytes:
        benchmark.extra_info["GB/s"] = round(nbytes / seconds / 1e9, 2)
