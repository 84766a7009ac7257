"""The race: contenders on one network with the same weights and batches, checked against ours, then interleaved.

Leans on `racer` for their processes, on `ours` for the network, on `graph` where a peer needs it.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..compiler.targets.shared.inspect import Roofline
from . import ours
from .contenders import BFLOAT16, FLOAT32, PEERS, BenchError, Contender, Setup, entered
from .networks import case
from .racer import Racer, WorkerError

TOLERANCE = 1e-3
"""Greatest difference from our results, relative to the greatest of them."""
TOLERANCES = {FLOAT32: TOLERANCE, BFLOAT16: 5e-2}
"""The same by precision: bfloat16 has 8 bits, and frameworks round to it in different places."""
TURN = 0.2
"""The least seconds of one turn; a call that takes less is repeated."""
PAUSE = 0.02
"""Seconds between turns, in which the threads of the one before stop spinning."""


class DisagreementError(BenchError):
    """A contender that computes something else."""


@dataclass(frozen=True)
class Race:
    """One race: a network, trained or not, at a batch size and number of threads, over so many rounds."""

    network: str
    training: bool
    batch: int
    threads: int
    rounds: int = 10
    peers: tuple[str, ...] = PEERS
    precision: str = FLOAT32

    @property
    def title(self) -> str:
        kind = "" if self.precision == FLOAT32 else f", {self.precision}"
        return f"{self.network}, {'training step' if self.training else 'inference'}, batch {self.batch}{kind}"


def run(race: Race, limits: Roofline, say: Callable[[str], None] = print) -> dict[str, Any]:
    """The outcome of a race as plain data; `say` is told what happens.

    Raises DisagreementError where a contender's results differ from ours, BenchError where ours cannot run.
    """
    known = case(race.network)
    steps = known.steps_per_call
    field = entered(race.peers, known.convolutional, steps > 1)
    skipped = {c.name: why for c in field if (why := _unfit(c, race)) is not None}
    for name, why in skipped.items():
        say(f"{name}: skipped, {why}")
    with tempfile.TemporaryDirectory(prefix="kernelwright-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        flops = _prepare(race, folder, steps, any(c.reads_graph and c.name not in skipped for c in field))
        racers: dict[str, Racer] = {}
        starts: dict[str, dict[str, Any]] = {}
        for contender in field:
            if contender.name in skipped:
                continue
            say(f"{race.title}: starting {contender.name}")
            try:
                racer, starts[contender.name] = _start(contender, race, folder)
            except WorkerError as error:
                if contender.peer is None:
                    raise
                skipped[contender.name] = str(error)
                say(f"{contender.name}: skipped, {error}")
                continue
            stack.callback(racer.close)
            racers[contender.name] = racer
        checked = {name: racer.results() for name, racer in racers.items()}
        tolerance = TOLERANCES[race.precision]
        difference = agree(race.title, {name: result for name, (result, _) in checked.items()}, tolerance)
        say(f"{race.title}: all results agree; timing {race.rounds} rounds")
        times = _interleave({name: _turn(r, _steps(name, field, steps)) for name, r in racers.items()}, race.rounds)
    contenders = {
        name: {
            **_spread(times[name]),
            "gflops": flops / statistics.median(times[name]) / 1e9,
            "of_peak": flops / statistics.median(times[name]) / limits.flops,
            "start": starts[name],
            "memory": checked[name][1],
            "difference": difference[name],
        }
        for name in racers
    }
    return {
        "network": race.network,
        "mode": "train" if race.training else "infer",
        "batch": race.batch,
        "precision": race.precision,
        "threads": race.threads,
        "rounds": race.rounds,
        "steps_per_call": steps,
        "flops": flops,
        "contenders": contenders,
        **_ratio(times),
        "skipped": skipped,
    }


def _unfit(contender: Contender, race: Race) -> str | None:
    """Why a contender cannot take part."""
    if race.precision != FLOAT32 and not contender.narrow:
        return f"not raced in {race.precision}"
    if case(race.network).convolutional and not contender.convolves:
        return "dense networks only"
    return "inference only" if race.training and not contender.trains else contender.missing()


def agree(title: str, results: dict[str, np.ndarray], tolerance: float = TOLERANCE) -> dict[str, float]:
    """Each contender's greatest difference from ours, the first, relative to the greatest of ours.

    Raises DisagreementError where one is above `tolerance`, has another shape, or is no number.
    """
    name, ours = next(iter(results.items()))
    scale = max(float(np.abs(ours).max()), 1e-30)
    differences: dict[str, float] = {}
    for other, theirs in results.items():
        if theirs.shape != ours.shape:
            raise DisagreementError(f"{title}: {other} gives shape {theirs.shape}, {name} {ours.shape}")
        differences[other] = float(np.abs(theirs - ours).max()) / scale
        if not differences[other] <= tolerance:  # NaN is no agreement either
            raise DisagreementError(
                f"{title}: {other} gives {_few(theirs)}, {name} gives {_few(ours)}; "
                f"they differ by {differences[other]:.1e} of the greatest, more than {tolerance:.0e}"
            )
    return differences


def _few(values: np.ndarray) -> str:
    return np.array2string(values.ravel()[:3], precision=6) + (" ..." if values.size > 3 else "")


def _prepare(race: Race, folder: Path, steps: int, graph: bool) -> int:
    """Batches, our weights and the network's graph in `folder`; the floating point operations of a step."""
    from ..compiler.graph.variable import get_value

    model = ours.network(race.network)
    rng = np.random.default_rng(0)
    stack = max(steps, 2)
    images = rng.standard_normal((stack, race.batch, *model.input_shape), dtype="float32")
    labels = rng.integers(0, model.classes, (stack, race.batch)).astype("int32")
    np.savez(folder / "batches.npz", images=images, labels=labels)
    weights = {f"p{i}": get_value(p) for i, p in enumerate(model.parameters())}
    np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]
    if graph:
        from .graph import write

        write(race.network, race.training, folder)
    return ours.flops(model, race.batch, race.training)


def _start(contender: Contender, race: Race, folder: Path) -> tuple[Racer, dict[str, Any]]:
    """The contender's process, ready, and the seconds of its start without and with compiled code kept before."""
    known = case(race.network)
    steps, rate = known.steps_per_call, known.rate
    setup = Setup(contender.name, race.network, race.training, race.threads, steps, rate, str(folder), race.precision)
    cache = folder / contender.name.replace(" ", "-")
    cold = Racer(setup, cache)
    cold.close()
    warm = Racer(setup, cache)
    return warm, {"cold": cold.start["seconds"], "warm": warm.start["seconds"]}


def _steps(name: str, field: Iterable[Contender], steps: int) -> int:
    return steps if next(c for c in field if c.name == name).many_steps else 1


def _turn(racer: Racer, steps: int) -> Callable[[], float]:
    """A function that gives the seconds of one step over a turn of at least TURN seconds, warmed up."""
    racer.seconds(1)
    calls = 1
    for _ in range(4):  # until the number of calls fills a turn
        taken = racer.seconds(calls)
        if taken >= TURN:
            break
        calls = math.ceil(calls * TURN / taken * 1.1)
    return lambda: racer.seconds(calls) / (calls * steps)


def _interleave(turns: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds per step of every contender in every round; each round starts with another one."""
    times: dict[str, list[float]] = {name: [] for name in turns}
    names = list(turns)
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            time.sleep(PAUSE)
            times[name].append(turns[name]())
    return times


def _spread(values: Sequence[float]) -> dict[str, Any]:
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    seconds = {"min": min(values), "q1": low, "median": statistics.median(values), "q3": high, "max": max(values)}
    return {"seconds": seconds}


def _ratio(times: dict[str, list[float]]) -> dict[str, Any]:
    """Our best mode against the best of the peers': the ratio of medians, and the quartiles of the rounds' ratios."""

    def best(found: Iterable[str]) -> str | None:
        return min(found, key=lambda name: statistics.median(times[name]), default=None)

    mine = best(name for name in times if name.startswith("kernelwright"))
    peer = best(name for name in times if not name.startswith("kernelwright"))
    if mine is None or peer is None:
        return {"best": mine, "best_peer": None, "ratio": None, "ratio_spread": None}
    ratio = statistics.median(times[peer]) / statistics.median(times[mine])
    spread = _spread([p / m for p, m in zip(times[peer], times[mine], strict=True)])["seconds"]
    return {"best": mine, "best_peer": peer, "ratio": ratio, "ratio_spread": [spread["q1"], spread["q3"]]}
