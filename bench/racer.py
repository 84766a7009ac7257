"""The side of a worker that the race holds: start it, ask it, end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .contenders import BenchError, Setup


class WorkerError(BenchError):
    """A contender that failed; the message is the last line of its log."""


class Racer:
    """A contender's process, started when it is made and ready when `start` has been read.

    `cache` is the folder where every framework keeps what it compiled.
    """

    def __init__(self, setup: Setup, cache: Path):
        cache.mkdir(exist_ok=True)
        self.setup, self.log = setup, cache / "log.txt"
        command = [sys.executable, "-m", f"{__package__}.worker", json.dumps(asdict(setup)), str(time.monotonic())]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, env=_environment(cache, setup.threads), stdin=-1, stdout=-1, stderr=log, text=True
            )
        self.start: dict[str, Any] = self._read()

    def results(self) -> tuple[np.ndarray, dict[str, int]]:
        """(the losses of the first steps or the logits of the first batch, memory in bytes)."""
        path = self.log.with_name("results.npy")
        memory = self._ask(results=str(path))["memory"]
        return np.load(path), memory

    def seconds(self, calls: int) -> float:
        """The time of that many calls."""
        return float(self._ask(calls=calls)["seconds"])

    def close(self) -> None:
        """End the process, at once where it does not leave by itself."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died: reading says of what
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            reply: dict[str, Any] = json.loads(line)
            return reply
        self.close()
        said = [text for text in self.log.read_text().splitlines() if text.strip()]
        why = said[-1].strip()[:300] if said else "nothing on its log"
        raise WorkerError(f"{self.setup.contender} failed (exit code {self.process.returncode}): {why}")


def _environment(cache: Path, threads: int) -> dict[str, str]:
    """This process's environment, with caches in `cache` and so many threads."""
    return {
        **os.environ,
        "KERNELWRIGHT_CACHE": str(cache),
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
        "PYTENSOR_FLAGS": f"base_compiledir={cache},floatX=float32",
        "CACHEDB": str(cache / "tinygrad.db"),
        "DEV": "CPU",
        "NUM_CPU_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
