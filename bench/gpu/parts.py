"""The parts of a session as data, in order of importance: what each measures, on what, and how long it may take.

A part runs in a process of its own, so that one that hangs or dies takes nothing with it. Leans on nothing that
compiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..contenders import BenchError

NETWORKS = {
    "resnet50": (64,),
    "lenet5": (1024,),
    "mlp": (4096, 128),
    "vgg16": (64,),
    "googlenet": (64,),
}
"""Batch sizes by network."""
PRECISIONS = ("tf32", "bfloat16", "float32")
MODES = ("train", "infer")
CHECKS = (
    *("contractions", "reductions", "ops 0", "ops 1", "ops 2", "ops 3"),
    *("training lenet5", "training mlp", "training resnet50"),
)
"""What is checked."""
LIMITS = {"networks": 120.0, "torch": 90.0, "kernels": 120.0, "compiled": 300.0}
"""Seconds for one network at one batch size in one precision, waiting for others included."""


@dataclass(frozen=True)
class Part:
    """kind: one of KINDS. case: on what, as its module reads it. limit: seconds."""

    kind: str
    case: str
    limit: float

    def __str__(self) -> str:
        return f"{self.kind} {self.case}".strip()


@dataclass(frozen=True)
class Kind:
    """module: of this package, whose `function(case, say)` calls `say` with each row that it finds. compiles: does it
    have `programs(case)` too, which says what that compiles?"""

    module: str
    what: str
    compiles: bool = False
    function: str = "run"


KINDS = {
    "card": Kind("card", "the card, its driver, versions"),
    "checks": Kind("checks", "contractions, reductions, every op and training steps, against NumPy", compiles=True),
    "ceilings": Kind("ceilings", "copies and matrix products", compiles=True),
    "networks": Kind("networks", "training steps and inference", compiles=True),
    "launches": Kind("launches", "what starting kernels costs", compiles=True),
    "kernels": Kind("kernels", "each kernel of a training step", compiles=True),
    "torch": Kind("in_torch", "the same networks in PyTorch, eager in a CUDA graph"),
    "compiled": Kind("in_torch", "the same in PyTorch, compiled by inductor, in a CUDA graph", function="run_compiled"),
}


def module(kind: str) -> Any:
    """The module of a kind of part."""
    return import_module(f".{KINDS[kind].module}", __package__)


def cases() -> list[str]:
    """`NETWORK BATCH PRECISION`, those first that matter most: the narrow precisions of all networks."""
    first = [f"{n} {b} {p}" for n, batches in NETWORKS.items() for b in batches for p in PRECISIONS[:2]]
    return first + [f"{n} {b} {PRECISIONS[2]}" for n, batches in NETWORKS.items() for b in batches]


def read_case(case: str) -> tuple[str, int, str]:
    """(network, batch, precision)."""
    network, batch, precision = case.split()
    return network, int(batch), precision


def planned(only: Sequence[str] = ()) -> list[Part]:
    """All parts in order of importance, or those that are asked for, in that order: `KIND`, or `KIND:WORD:...` for the
    cases with all these words, such as `networks:resnet50:tf32`. Raises BenchError for what there is not."""
    found = {kind: [Part(kind, case, limit) for case in cases()] for kind, limit in LIMITS.items()}
    parts = [Part("card", "", 60), *(Part("checks", case, 120) for case in CHECKS), Part("ceilings", "", 90)]
    parts += [*found["networks"], *found["torch"], Part("launches", "", 60)]
    parts += [part for part in found["kernels"] if not part.case.endswith("float32")] + found["compiled"]
    if not only:
        return parts
    chosen = dict.fromkeys(part for each in only for part in _those(parts, each))
    return sorted(chosen, key=lambda part: part.kind == "compiled")


def _those(parts: Sequence[Part], asked: str) -> list[Part]:
    kind, *words = asked.split(":")
    of_kind = [part for part in parts if part.kind == kind]
    if not of_kind:
        raise BenchError(f"there is no part {kind!r}; there are {', '.join(KINDS)}")
    found = [part for part in of_kind if set(words) <= set(part.case.split())]
    if not found:
        raise BenchError(f"there is no part {asked!r}; {kind} has {', '.join(part.case for part in of_kind)}")
    return found
