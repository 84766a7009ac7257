"""Measured kernels of a program on a GPU as text: time, and parts of what the card does at most. Leans on `cards`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...compiler.targets.shared.inspect import grid
from .page import share


def kernel_table(measured: Sequence[dict[str, Any]], card: str) -> str:
    """The rows of `cards.measured`, with a total below. Parts of bytes are of the card's copies, parts of flops of its
    peak in the kernel's arithmetic; empty for a card that is not known."""
    cells = [("#", "kernel", "us", "of bytes", "of flops", "arithmetic", "schedule")]
    for number, k in enumerate(measured):
        parts = share(k["of_bytes"]), share(k["of_flops"])
        cells.append((str(number), k["name"], f"{k['ms'] * 1e3:.1f}", *parts, k["arithmetic"], k["schedule"]))
    total = sum(k["ms"] for k in measured)
    least = [k["least_ms"] for k in measured if k["least_ms"] is not None]
    bound = f"; {sum(least):.3f} ms at the card's rates" if least else ""
    return f"{grid(cells, right=(0, 2, 3, 4))}\n{len(measured)} kernels on {card}, {total:.3f} ms{bound}"
