"""What the networks should take on a card that is not here: bytes and flops of each kernel at the card's rates.

Beside a file of measured times, where there is one. Leans on `cards` and `work`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...compiler.targets.cuda.compiled import architecture
from ..report import MODES, table
from . import cards, page
from .networks import programs
from .parts import MODES as BOTH
from .parts import Part, read_case
from .session import SAY


def predictions(planned: Sequence[Part], arch: str, say: Callable[[str], None] = SAY) -> list[dict[str, Any]]:
    """A row for each network, batch, mode and precision of these parts. Raises BenchError for an architecture of which
    no card is known."""
    card = cards.of_arch(architecture(arch))
    rows = []
    for part in (part for part in planned if part.kind == "networks"):
        name, batch, precision = read_case(part.case)
        for mode, work in zip(BOTH, programs(part.case), strict=True):
            found = cards.with_bounds(card, work.listing(arch).kernels, batch)
            predicted = sum(k["least_ms"] for k in found)
            tensor = sum(k["least_ms"] for k in found if k["arithmetic"] != "float32")
            row = {"network": name, "batch": batch, "mode": mode, "precision": precision, "kernels": len(found)}
            rows.append({**row, "predicted_ms": predicted, "tensor_ms": tensor})
            say(f"{work.name}: {page.number(predicted)} ms on an {card.name}")
    return rows


def shown(rows: Sequence[dict[str, Any]], measured: dict[str, Any] | None) -> str:
    """The rows as a table, with what a session measured of the same."""
    times: dict[tuple[Any, ...], float] = {}
    for part in (measured or {"parts": []})["parts"]:
        for r in part["rows"]:
            if r.get("by") == "kernelwright" and "network" in r:
                times[r["network"], r["batch"], r["mode"], r["precision"]] = r["ms"]
    cells = []
    for r in rows:
        ms = times.get((r["network"], r["batch"], r["mode"], r["precision"]))
        about = [r["network"], str(r["batch"]), MODES[r["mode"]], r["precision"], str(r["kernels"])]
        cells.append([*about, page.number(r["predicted_ms"]), page.number(r["tensor_ms"]), page.number(ms)])
    head = ["network", "batch", "", "precision", "kernels", "predicted, ms", "of it on tensor cores", "measured, ms"]
    return table(head, cells)
