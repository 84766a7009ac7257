"""The quick check for regressions: kernels as shares of the machine's peak, beside the shares stored on this machine.

The kernels take turns for some rounds, and the peak is measured between any two turns. A share is of the peak right
before and after its turn, so that a processor that slows down takes the peak with it; a turn in which the peak itself
moved says nothing and is left out. A kernel counts as slower only where most of its turns say so, and after it was
measured a second time. Leans on `quick_cases` for the kernels and on `peak`.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..compiler.targets.shared.inspect import grid
from ..runtime.threads import available_cores
from . import machine, peak
from .contenders import BenchError
from .quick_cases import cases

LOSS = 0.15
"""A kernel that lost more than this part of its stored share is marked."""
DRIFT = 0.10
"""A turn between two peaks that differ by more than this part is noise."""
ENOUGH = 3
"""Turns without noise that a verdict needs."""
TURN = 0.03
"""The least seconds of one turn; a kernel that takes less is repeated."""
PROBES = 2
"""Runs of the peak between two turns, of which the faster counts."""
LOST, GAINED, NOISE, NEW, SAME = "LOST", "gained", "noise", "new", ""
Turn = Callable[[], float]


@dataclass
class Samples:
    """A kernel's shares of the peak: in turns that count, and in those that were noise."""

    flops: int
    good: list[float] = field(default_factory=list)
    noisy: list[float] = field(default_factory=list)

    @property
    def enough(self) -> bool:
        return len(self.good) >= ENOUGH

    def spread(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile of the turns that count, or of all where those are too few."""
        values = self.good if self.enough else self.good + self.noisy
        low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
        return low, statistics.median(values), high


def check(
    networks: Sequence[str] = (),
    threads: int | None = None,
    rounds: int = 15,
    folder: Path = Path("benchmarks"),
    store: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure, compare with what `folder`/quick has of this machine, and print the table; with `store` write it there.

    Returns what was measured: {"machine", "threads", "peaks" (FLOP/s), "kernels": rows of `verdicts`, "lost": names}.
    Raises BenchError for a network that is not checked, for too many threads, and where noise leaves nothing to store.
    """
    cores = available_cores()
    if threads is not None and threads > cores:
        raise BenchError(f"{threads} threads on {cores} cores would wait for each other; ask for {cores} at most")
    threads = threads or cores
    about = machine.describe()
    path = folder / "quick" / f"{key(about, threads)}.json"
    stored = json.loads(path.read_text())["shares"] if path.exists() else {}
    chosen = cases(networks)
    say(f"compiling {len(chosen)} kernels")
    turns = {case.name: turn(case.make(threads)) for case in chosen}
    samples = {case.name: Samples(case.flops) for case in chosen}
    peaks = measure(samples, turns, lambda: peak.multiply_adds(threads, PROBES), rounds)
    if again := [row["name"] for row in verdicts(samples, stored) if row["mark"] in (LOST, NOISE)]:
        say(f"measuring {len(again)} of them again, slower than stored")
        twice = {name: turns[name] for name in again}
        peaks += measure(samples, twice, lambda: peak.multiply_adds(threads, PROBES), rounds)
    rows = verdicts(samples, stored)
    say(table(rows, peaks, threads))
    if store:
        _store(path, about, threads, samples, peaks)
        say(f"stored in {path}")
    elif not stored:
        say(f"nothing is stored of this machine yet ({path}); --store does")
    lost = [row["name"] for row in rows if row["mark"] == LOST]
    return {"machine": about, "threads": threads, "peaks": peaks, "kernels": rows, "lost": lost}


def key(about: Mapping[str, Any], threads: int) -> str:
    """The name of a machine's file: the processor, what LLVM calls it (clouds give several one name), the threads."""
    words = f"{about['processor']} {about['cpu']} {threads} thread{'s' * (threads > 1)}"
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", words.lower())).strip("-")


def turn(run: Callable[[], Any]) -> Turn:
    """A function that gives the seconds of one run, a mean over TURN seconds at least; warmed up."""

    def seconds(calls: int) -> float:
        started = time.perf_counter()
        for _ in range(calls):
            run()
        return time.perf_counter() - started

    seconds(1)
    calls = max(math.ceil(TURN / max(seconds(2) / 2, 1e-9)), 1)
    return lambda: seconds(calls) / calls


def measure(
    samples: Mapping[str, Samples], turns: Mapping[str, Turn], limit: Callable[[], float], rounds: int
) -> list[float]:
    """Add `rounds` shares to the samples of each of `turns`. Returns the peaks, one before and one after each turn."""
    peaks = [limit()]
    for _ in range(rounds):
        for name, run in turns.items():
            taken = run()
            peaks.append(limit())
            before, after = peaks[-2:]
            quiet = abs(after - before) <= DRIFT * max(before, after)
            share = samples[name].flops / taken / ((before + after) / 2)
            (samples[name].good if quiet else samples[name].noisy).append(share)
    return peaks


def verdicts(samples: Mapping[str, Samples], stored: Mapping[str, float]) -> list[dict[str, Any]]:
    """A row for each kernel: its name, its median share and quartiles, the stored share, the change, and a mark.

    LOST: the median is more than LOSS below what is stored, and the upper quartile is too. NOISE: only the median is,
    or there were too few turns in which the peak stood still. GAINED: the lower quartile is above by as much.
    """
    rows = []
    for name, sample in samples.items():
        low, share, high = sample.spread()
        known = stored.get(name)
        mark = NEW if known is None else _mark(low, share, high, known, sample.enough)
        change = None if known is None else share / known - 1
        rows.append({
            "name": name, "share": share, "low": low, "high": high, "stored": known, "change": change, "mark": mark,
            "turns": len(sample.good), "noisy": len(sample.noisy),
        })  # fmt: skip
    return rows


def _mark(low: float, share: float, high: float, stored: float, enough: bool) -> str:
    least = (1 - LOSS) * stored
    if share < least:
        return LOST if high < least and enough else NOISE
    return GAINED if low > stored / (1 - LOSS) and enough else SAME


def table(rows: Sequence[Mapping[str, Any]], peaks: Sequence[float], threads: int) -> str:
    """The rows as text, with what the machine did meanwhile below."""
    cells = [("kernel", "of the peak", "quartiles", "stored", "change", "")]
    for r in rows:
        known = ("", "") if r["stored"] is None else (f"{r['stored']:.1%}", f"{r['change']:+.0%}")
        cells.append((r["name"], f"{r['share']:.1%}", f"{r['low']:.1%} to {r['high']:.1%}", *known, r["mark"]))
    marks = [r["mark"] for r in rows]
    lines = [
        grid(cells, right=(1, 2, 3, 4)),
        f"{len(rows)} kernels, {threads} thread{'s' * (threads > 1)}; float32 peak {peaks[0] / 1e9:.0f} GFLOP/s "
        f"before, {peaks[-1] / 1e9:.0f} after, {min(peaks) / 1e9:.0f} to {max(peaks) / 1e9:.0f} meanwhile",
        f"{sum(r['noisy'] for r in rows)} of {sum(r['noisy'] + r['turns'] for r in rows)} turns left out as noise, "
        f"the peak having moved by more than {DRIFT:.0%}",
        f"{marks.count(LOST)} lost more than {LOSS:.0%}, {marks.count(GAINED)} gained as much",
    ]
    if unsure := marks.count(NOISE):
        lines.append(f"{unsure} seem slower, but their turns differ as much: noise, measure again")
    if few := sum(r["turns"] < ENOUGH for r in rows):
        lines.append(f"{few} had fewer than {ENOUGH} turns in which the peak stood still: the machine is busy")
    return "\n".join(lines)


def _store(path: Path, about: Any, threads: int, samples: Mapping[str, Samples], peaks: Sequence[float]) -> None:
    """Write the medians; kernels that were not measured this time keep theirs."""
    if few := [name for name, sample in samples.items() if not sample.enough]:
        raise BenchError(
            f"nothing was stored: the peak moved in all but {len(samples[few[0]].good)} of the turns of {few[0]!r}, "
            f"and {ENOUGH} are needed; wait until the machine is idle, or ask for more --rounds"
        )
    before = json.loads(path.read_text())["shares"] if path.exists() else {}
    outcome = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": about,
        "threads": threads,
        "peak_gflops": round(statistics.median(peaks) / 1e9, 1),
        "shares": before | {name: round(sample.spread()[1], 4) for name, sample in samples.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(outcome, indent=1) + "\n")
