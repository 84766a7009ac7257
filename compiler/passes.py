"""Passes: named steps from graph to graph and from kernels to kernels, run in order, each of which leaves a trace.

KERNELWRIGHT_PRINT=after:set_orders prints what a pass gives (after:all: every one); KERNELWRIGHT_STOP_AFTER=simplify
leaves out all later passes that a program can do without, which finds the pass that is to blame by halving. Leans on
`verify` for the checks between passes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from . import config
from .errors import CompileError
from .graph.node import toposort
from .graph.tensor import Tensor
from .loops.kernels import Kernel
from .rewriting.rewrite import Report
from .rewriting.verify import verify


@dataclass(frozen=True)
class GraphPass:
    """`run` takes the wanted tensors and gives equal ones, and which rules it applied how often."""

    name: str
    run: Callable[[Sequence[Tensor]], tuple[list[Tensor], Report]]
    needed: bool = False


@dataclass(frozen=True)
class KernelPass:
    """`run` takes kernels and gives kernels. needed: no program can do without. A name that begins with `set_` says
    that the pass also sets something in the buffers, in place."""

    name: str
    run: Callable[[Sequence[Kernel]], Sequence[Kernel]]
    needed: bool = False


@dataclass(frozen=True)
class Step:
    """What one pass did: how many nodes or kernels it took and gave, how often it applied which rule and where those
    stand (file:line), seconds, and its outcome as text where that was asked for."""

    name: str
    before: int
    after: int
    hits: Counter[str]
    seconds: float
    outcome: str = ""
    sources: dict[str, str] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """The step as JSON would have it."""
        rules = [
            {"rule": rule, "count": count, "source": self.sources.get(rule, "")}
            for rule, count in self.hits.most_common()
        ]
        numbers = {"before": self.before, "after": self.after, "seconds": self.seconds}
        return {"pass": self.name, **numbers, "rules": rules, "outcome": self.outcome}

    def __str__(self) -> str:
        rules = "".join(
            f"\n    {count:6}  {rule}" + (f"  ({self.sources[rule]})" if rule in self.sources else "")
            for rule, count in self.hits.most_common()
        )
        return f"{self.name:20} {self.before:6} -> {self.after:6}  {self.seconds * 1e3:8.1f} ms{rules}"


@dataclass
class Trace:
    """The steps of a compilation, in order."""

    steps: list[Step] = field(default_factory=list)
    skipping: bool = False

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))

    def data(self) -> list[dict[str, Any]]:
        """The steps as JSON would have them: for an explorer, or for what bisects."""
        return [step.data() for step in self.steps]

    def note(self, step: Step) -> None:
        """Keep a step; print it where the settings say so."""
        self.steps.append(step)
        if step.outcome:
            print(f"# after {step.name}\n{step.outcome}", file=sys.stderr)
        self.skipping = self.skipping or step.name == config.stop_after()


def each(change: Callable[[Kernel], Kernel | list[Kernel]]) -> Callable[[Sequence[Kernel]], list[Kernel]]:
    """A change of single kernels, into one or several, as one of all."""

    def run(kernels: Sequence[Kernel]) -> list[Kernel]:
        changed = (change(k) for k in kernels)
        return [k for made in changed for k in (made if isinstance(made, list) else [made])]

    return run


def run_graph_passes(passes: Sequence[GraphPass], wanted: Sequence[Tensor], trace: Trace) -> list[Tensor]:
    """The outcome of all passes, each checked against what it was given. Raises VerifyError."""
    current, count = list(wanted), len(toposort(wanted))
    for p in passes:
        if trace.skipping and not p.needed:
            continue
        started, before, size = perf_counter(), current, count
        current, report = p.run(before)
        seconds = perf_counter() - started
        verify(p.name, before, current)
        nodes = toposort(current)
        count = len(nodes)
        trace.note(Step(p.name, size, count, report.hits, seconds, _shown(p.name, map(str, nodes)), report.sources))
    return current


def run_kernel_passes(passes: Sequence[KernelPass], kernels: Sequence[Kernel], trace: Trace) -> list[Kernel]:
    """The outcome of all passes. Raises CompileError where KERNELWRIGHT_STOP_AFTER names a pass that there is not."""
    current = list(kernels)
    for p in passes:
        if trace.skipping and not p.needed:
            continue
        started, before = perf_counter(), len(current)
        current = list(p.run(current))
        seconds = perf_counter() - started
        trace.note(Step(p.name, before, len(current), Counter(), seconds, _shown(p.name, map(str, current))))
    if config.stop_after() and not trace.skipping:
        raise CompileError(
            f"KERNELWRIGHT_STOP_AFTER={config.stop_after()} names no pass; there are "
            f"{', '.join(step.name for step in trace.steps)}"
        )
    return current


def _shown(name: str, lines: Iterable[str]) -> str:
    return "\n".join(lines) if config.print_after() in (name, "all") else ""
