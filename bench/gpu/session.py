"""Runs the parts one after the other, each in a process of its own with a time limit, and keeps what they find.

A part that fails, dies or hangs is recorded as such, with the rows that it had found, and the rest goes on. One JSON
file is written after each part. Leans on `parts`.
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
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO, Any

from ..contenders import BenchError
from . import page
from .parts import Part

WORKER = (sys.executable, "-m", "kernelwright.bench.gpu.worker")
DONE = "done"
SAY = partial(print, flush=True)


def hold(
    planned: Sequence[Part],
    minutes: float,
    command: str,
    folder: Path,
    worker: Sequence[str] = WORKER,
    say: Callable[[str], None] = SAY,
) -> Path:
    """Run these parts, the card's first, within so many minutes. Returns `<date>-gpu.json` in the folder's `results`;
    the page is rendered from it. Raises BenchError where there is no GPU to use."""
    until = time.monotonic() + 60 * minutes
    card = one(Part("card", "", 60), 60, worker)
    if card["outcome"] != DONE:
        raise BenchError(card["outcome"])
    now = datetime.datetime.now(datetime.UTC)
    about = {"date": now.date().isoformat(), "command": command, **card["rows"][0]}
    path = folder / "results" / f"{about['date']}-gpu.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    for part in [part for part in planned if part.kind != "card"]:
        limit = min(part.limit, until - time.monotonic())
        result = one(part, limit, worker) if limit > 0 else _record(part, "not begun, the minutes were over", 0.0, [])
        found.append(result)
        path.write_text(json.dumps({**about, "parts": found}, indent=1) + "\n")
        say(f"{part}: {result['outcome']}, {len(result['rows'])} rows, {result['seconds']:.0f} s")
    page.write(folder)
    return path


def one(part: Part, limit: float, worker: Sequence[str] = WORKER) -> dict[str, Any]:
    """What a part found, and how it ended: "done", or why not."""
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryFile("w+") as log:
        line = [*worker, part.kind, *part.case.split()]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        reader = Thread(target=_read, args=(process.stdout, rows), daemon=True)
        reader.start()
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            outcome = f"cut off after {limit:.0f} s"
        else:
            log.seek(0)
            outcome = DONE if status == 0 else _last_line(log, status)
        finally:
            _end(process)
        reader.join(5)
    return _record(part, outcome, time.monotonic() - started, rows)


def _read(lines: IO[str], rows: list[dict[str, Any]]) -> None:
    """Rows as they come; half a line, of a process that was cut off, is none."""
    for line in lines:
        if line.endswith("\n"):
            rows.append(json.loads(line))


def _last_line(log: IO[str], status: int) -> str:
    """Why the process ended, in one line."""
    lines = [line for line in log.read().splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"ended with status {status}"


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _record(part: Part, outcome: str, seconds: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": part.kind, "case": part.case, "outcome": outcome, "seconds": seconds, "rows": rows}
