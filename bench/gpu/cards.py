"""What cards do at most, by their data sheets, to say how much of it a kernel reaches and to predict without a card.

Multiply-adds are NVIDIA's figures without sparsity ("NVIDIA A100 Tensor Core GPU Architecture", "NVIDIA H100 Tensor
Core GPU Architecture", data sheet of the H200). Bytes are nine tenths of the data sheets': an H100 of 3.35 TB/s copied
3.01. Leans on nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..contenders import BenchError

Arch = tuple[int, int]


@dataclass(frozen=True)
class Card:
    """bytes: per second from and to memory. flops: per second, by the arithmetic of a kernel's multiply-adds."""

    name: str
    arch: Arch
    bytes: float
    flops: Mapping[str, float]

    def seconds(self, flops: float, moved: float, arithmetic: str) -> float:
        """What a kernel takes at least: the longer of its bytes and its flops."""
        return max(moved / self.bytes, flops / self.flops[arithmetic])


HOPPER = {"float32": 66.9e12, "tf32": 494.7e12, "bfloat16": 989.4e12}
CARDS = (
    Card("A100", (8, 0), 1.8e12, {"float32": 19.5e12, "tf32": 156e12, "bfloat16": 312e12}),
    Card("H200", (9, 0), 4.3e12, HOPPER),
    Card("H100", (9, 0), 3.0e12, HOPPER),
)


def of_name(name: str) -> Card | None:
    """The card of a device that NVIDIA calls so; None for one that is not in the table."""
    return next((card for card in CARDS if card.name in name), None)


def of_arch(arch: Arch) -> Card:
    """The card that stands for an architecture. Raises BenchError for one that none has."""
    found = [card for card in CARDS if card.arch == arch]
    if not found:
        known = ", ".join(sorted({"sm_{}{}".format(*card.arch) for card in CARDS}))
        raise BenchError("no card of sm_{}{} is known; known are {}".format(*arch, known))
    return found[-1]


def with_bounds(card: Card | None, kernels: Iterable[Any], batch: int) -> list[dict[str, Any]]:
    """For each kernel of a program, its name, schedule, flops, bytes, arithmetic, and the least milliseconds they take
    on this card; None where the card is not known."""
    out = []
    for k in kernels:
        sizes = {"batch": batch, "examples": batch}
        flops, moved = k.flops(**sizes), k.bytes(**sizes)
        least = None if card is None else card.seconds(flops, moved, k.arithmetic) * 1e3
        work = {"flops": flops, "bytes": moved, "arithmetic": k.arithmetic}
        out.append({"name": k.name, "schedule": k.schedule, **work, "least_ms": least})
    return out


def measured(card: Card | None, kernels: Sequence[Any], seconds: Sequence[float], batch: int) -> list[dict[str, Any]]:
    """`with_bounds`, each with its milliseconds, and the parts of the card's bytes and flops that it reaches."""
    out = []
    for row, s in zip(with_bounds(card, kernels, batch), seconds, strict=True):
        reached: dict[str, float | None] = {"of_bytes": None, "of_flops": None}
        if card is not None and s:
            peak = card.flops[row["arithmetic"]]
            reached = {"of_bytes": row["bytes"] / s / card.bytes, "of_flops": row["flops"] / s / peak}
        out.append({**row, "ms": s * 1e3, **reached})
    return out
