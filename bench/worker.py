"""One contender in a process of its own, told what to do line by line: `python -m kernelwright.bench.worker`.

A process each, so that thread pools do not meet, memory is one contender's, and its start can be timed. Requests and
replies are JSON lines on the standard streams; whatever the framework prints goes to the log instead.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .contenders import Runner, Setup, named

RESULTS = 2
"""Training steps whose losses are compared. Rounding grows with every step, in deep networks tenfold and more."""


def main() -> None:
    """Arguments: the setup as JSON, and the monotonic clock when the process was asked for."""
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    setup = Setup(**json.loads(sys.argv[1]))
    spawned = float(sys.argv[2])
    if setup.threads < len(os.sched_getaffinity(0)):  # JAX takes as many threads as there are cores, and no option
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: setup.threads])
    contender = named(setup.contender)
    for module in contender.needs[:1]:
        __import__(module)
    imported = time.monotonic()
    small = peak_memory()
    runner = contender.runner(setup)
    built = time.monotonic()
    first = runner.call()
    done = time.monotonic()
    seconds = {"import": imported - spawned, "build": built - imported, "first_call": done - built}
    _say(reply, {"seconds": seconds, "memory": {"imported": small}})
    for line in sys.stdin:
        request = json.loads(line)
        if "results" in request:
            np.save(request["results"], _results(runner, first, setup.training))
            _say(reply, {"memory": {"imported": small, "peak": peak_memory()}})
        else:
            started = time.perf_counter()
            runner.repeat(request["calls"])
            _say(reply, {"seconds": time.perf_counter() - started})


def _results(runner: Runner, first: np.ndarray, training: bool) -> np.ndarray:
    """The losses of the first steps, or the logits of the first batch."""
    while training and len(first) < RESULTS:
        first = np.concatenate([first, runner.call()])
    return first[:RESULTS] if training else first


def peak_memory() -> int:
    """The most bytes this process has held; `ru_maxrss` would begin with those of the process that started it."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _say(reply: TextIO, what: dict[str, Any]) -> None:
    reply.write(json.dumps(what) + "\n")
    reply.flush()


if __name__ == "__main__":
    main()
