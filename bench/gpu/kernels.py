"""The part `kernels`: each kernel of a training step by itself, beside what the card does at most. Leans on `work`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...compiler.targets.cuda import compiled
from . import cards, turn
from .parts import read_case
from .work import Work, network

REPEATS = 10
SHOWN = 25


def programs(case: str) -> Iterator[Work]:
    """What `run` compiles."""
    name, batch, precision = read_case(case)
    yield network(name, batch, precision, True)


def run(case: str, say: Callable[[dict[str, Any]], None]) -> None:
    """One row: all kernels, in order."""
    name, batch, precision = read_case(case)
    (work,) = programs(case)
    program, arrays = work.compiled(), work.arrays()
    with turn.alone():
        seconds = program.profile(*arrays, repeats=REPEATS)
    found = cards.measured(cards.of_name(compiled.driver(0).name), program.kernels, seconds, batch)
    say({"network": name, "batch": batch, "precision": precision, "kernels": found})


def slowest(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Kernels of one schedule and one amount of work taken together, those that take longest first."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for k in found:
        groups.setdefault((k["schedule"], k["flops"], k["bytes"]), []).append(k)
    out = [{**of[0], "alike": len(of), "ms": sum(k["ms"] for k in of)} for of in groups.values()]
    return sorted(out, key=lambda k: -float(k["ms"]))[:SHOWN]
