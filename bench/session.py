"""A benchmark session: peaks first, then a race for every network and mode, then the JSON file and the report.

Leans on `race`, `peak`, `machine` and `report`.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ..runtime.threads import available_cores
from . import machine, peak, report
from .contenders import FLOAT32, PEERS, BenchError, entered
from .networks import CASES, case
from .race import TOLERANCES, Race, run

SAY = partial(print, flush=True)
MODES = {"train": (True,), "infer": (False,), "both": (True, False)}


def races(
    networks: Sequence[str],
    against: str = ",".join(PEERS),
    batch: int | None = None,
    threads: int | None = None,
    mode: str = "both",
    rounds: int = 10,
    precision: str = FLOAT32,
) -> list[Race]:
    """What the command's options ask for; without networks, all of them.

    Raises BenchError for a network, a peer, a mode, a precision or a number of threads that there is not.
    """
    if precision not in TOLERANCES:
        raise BenchError(f"there is no race in {precision!r}; there are {', '.join(TOLERANCES)}")
    if mode not in MODES:
        raise BenchError(f"there is no mode {mode!r}; there are {', '.join(MODES)}")
    cores = available_cores()
    if threads is not None and threads > cores:
        raise BenchError(f"{threads} threads on {cores} cores would wait for each other; ask for {cores} at most")
    peers = tuple(p.strip() for p in against.split(",") if p.strip())
    entered(peers, True, True)
    return [
        Race(name, training, batch or case(name).batch, threads or cores, rounds, peers, precision)
        for name in networks or CASES
        for training in MODES[mode]
    ]


def hold(planned: Sequence[Race], command: str, folder: Path, say: Callable[[str], None] = SAY) -> dict[str, Any]:
    """Run the races and write `results/<time>-bench.json` and the report in `folder` after each.

    Returns what the file holds. A race that is stopped or fails leaves those before it in the file.
    """
    now = datetime.datetime.now(datetime.UTC)
    limits = {t: peak.measure(t) for t in sorted({1, *(race.threads for race in planned)})}
    for found in limits.values():
        say(f"{found.threads} threads: {found.flops / 1e9:.0f} GFLOP/s, {found.bytes / 1e9:.0f} GB/s at most")
    outcome: dict[str, Any] = {
        "date": now.date().isoformat(),
        "command": command,
        "machine": machine.describe(),
        "limits": {str(t): asdict(found) for t, found in limits.items()},
        "seconds": 0.0,
        "results": [],
    }
    path = folder / "results" / f"{now:%Y-%m-%d-%H%M%S}-bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    for race in planned:
        result = run(race, limits[race.threads], say)
        outcome["results"].append(result)
        outcome["seconds"] = time.perf_counter() - started
        path.write_text(json.dumps(outcome, indent=1) + "\n")
        say(_line(result))
    say(f"{path}, {report.write(folder)}")
    return outcome


def _line(result: dict[str, Any]) -> str:
    ours = report.milliseconds(result["contenders"][result["best"]])
    head = f"{result['network']}, {report.MODES[result['mode']]}: {ours} ms"
    if result["best_peer"] is None:
        return f"{head}; no peer ran"
    peer = result["contenders"][result["best_peer"]]
    return f"{head}; {result['best_peer']} {report.milliseconds(peer)} ms; ratio {report.ratio(result)}"
