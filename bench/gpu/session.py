"""Runs the parts, some at once, each in a process of its own with a time limit, and keeps what they find.

Parts build beside each other and take turns on the GPU (`turn`). One that fails, dies or hangs is recorded as such,
with the rows that it had found and the end of its log, and the rest goes on. One JSON file is written after each part.
Leans on `parts`.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO, Any

from ..contenders import BenchError
from . import page
from .parts import Part
from .turn import FOLDER

WORKER = (sys.executable, "-m", "kernelwright.bench.gpu.worker")
DONE = "done"
SAY = partial(print, flush=True)
MOST_AT_ONCE = 8
LOG = 2000
"""Characters of a log that are kept."""


def hold(
    planned: Sequence[Part],
    minutes: float,
    command: str,
    folder: Path,
    worker: Sequence[str] = WORKER,
    say: Callable[[str], None] = SAY,
    at_once: int | None = None,
) -> Path:
    """Run these parts, the card's first, within so many minutes, `at_once` beside each other (default: one for every
    two cores). Returns `<date>-<time>-gpu.json` in the folder's `results`; the page is rendered from it. Raises
    BenchError where there is no GPU to use."""
    until = time.monotonic() + 60 * minutes
    cores = os.cpu_count() or 1
    rest = [part for part in planned if part.kind != "card"]
    at_once = at_once or max(min(cores // 2, MOST_AT_ONCE, len(rest)), 1)
    with _workers(worker, max(cores // at_once, 1)) as workers:
        card = workers.run(Part("card", "", 60), time.monotonic() + 60)
        if card["outcome"] != DONE:
            raise BenchError(card["outcome"])
        now = datetime.datetime.now(datetime.UTC)
        about = {"date": now.date().isoformat(), "command": command, **card["rows"][0]}
        path = folder / "results" / f"{now:%Y-%m-%d-%H%M%S}-gpu.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        found: dict[int, dict[str, Any]] = {}
        with ThreadPoolExecutor(at_once) as pool:
            waiting = {pool.submit(workers.run, part, until): i for i, part in enumerate(rest)}
            try:
                for done in as_completed(waiting):
                    i, result = waiting[done], done.result()
                    found[i] = result
                    path.write_text(json.dumps({**about, "parts": [found[i] for i in sorted(found)]}, indent=1) + "\n")
                    say(_shown(rest[i], result))
            except BaseException:
                workers.end()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    page.write(folder)
    say(page.short(page.newest(folder)))
    return path


def _shown(part: Part, result: dict[str, Any]) -> str:
    line = f"{part}: {result['outcome']}, {len(result['rows'])} rows, {result['seconds']:.0f} s"
    log = result["log"].splitlines()[-5:]
    if result["outcome"] == DONE:  # of what ends well, only that kernels were compiled anew
        log = [each for each in log if "CacheWarning" in each]
    return line + "".join(f"\n    {each}" for each in log)


@contextmanager
def _workers(command: Sequence[str], helpers: int) -> Iterator[_Workers]:
    with tempfile.TemporaryDirectory() as turns:
        workers = _Workers(command, {**os.environ, FOLDER: turns, "KERNELWRIGHT_HELPERS": str(helpers - 1)})
        workers.environment.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(helpers))
        try:
            yield workers
        finally:
            workers.end()


class _Workers:
    """The processes, by the line that starts them and their environment."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.command, self.environment = command, environment
        self._running: set[subprocess.Popen[str]] = set()

    def run(self, part: Part, until: float) -> dict[str, Any]:
        """What a part found, and how it ended: "done", or why not."""
        started = time.monotonic()
        limit = min(part.limit, until - started)
        rows: list[dict[str, Any]] = []
        if limit <= 0:
            return _record(part, "not begun, the minutes were over", 0.0, rows, "")
        with tempfile.TemporaryFile("w+") as log:
            line = [*self.command, part.kind, *part.case.split()]
            piped = {"stdout": subprocess.PIPE, "stderr": log, "text": True}
            process = subprocess.Popen(line, **piped, start_new_session=True, env=self.environment)  # type: ignore[call-overload]
            self._running.add(process)
            reader = Thread(target=_read, args=(process.stdout, rows), daemon=True)
            reader.start()
            try:
                status = process.wait(limit)
                outcome = DONE
            except subprocess.TimeoutExpired:
                outcome = f"cut off after {limit:.0f} s"
            finally:
                _end(process)
                self._running.discard(process)
            reader.join(5)
            log.seek(0)
            said = log.read()
            if outcome == DONE and status:
                outcome = _last_line(said, status)
        return _record(part, outcome, time.monotonic() - started, rows, said[-LOG:].strip())

    def end(self) -> None:
        """End those that still run."""
        for process in list(self._running):
            _end(process)


def _read(lines: IO[str], rows: list[dict[str, Any]]) -> None:
    """Rows as they come; half a line, of a process that was cut off, is none."""
    for line in lines:
        if line.endswith("\n"):
            rows.append(json.loads(line))


def _last_line(log: str, status: int) -> str:
    """Why the process ended, in one line."""
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"ended with status {status}"


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _record(part: Part, outcome: str, seconds: float, rows: list[dict[str, Any]], log: str) -> dict[str, Any]:
    return {"kind": part.kind, "case": part.case, "outcome": outcome, "seconds": seconds, "rows": rows, "log": log}
