"""`benchmarks/gpu.md` from the newest `<date>-gpu.json`. Leans on `report` for tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..contenders import BenchError
from ..report import MODES, table
from .kernels import slowest

HEAD = """# On a GPU

Written by `python -m kernelwright.bench.gpu` from the newest file `results/*-gpu.json`; do not edit by hand.

Milliseconds are the median of some rounds of a step replayed as a CUDA graph, between events of the device; arrays lie
on the device, on both sides. `predicted` is the longer of bytes and flops at the card's rates (`bench/gpu/cards.py`),
kernel by kernel, summed: what the present kernels could take at best. PyTorch's row is its fastest measured mode:
eager or compiled by inductor, both in a CUDA graph, convolutional networks with their channels last.
"""


def newest(folder: Path) -> dict[str, Any]:
    """What the newest file holds. Raises BenchError where there is none."""
    files = sorted((folder / "results").glob("*-gpu.json"))
    if not files:
        raise BenchError(f"{folder / 'results'} has no file that ends with -gpu.json; measure first")
    found: dict[str, Any] = json.loads(files[-1].read_text())
    return found


def join(folder: Path) -> Path:
    """Add to the newest file the parts that it has not finished and that earlier sessions of its day on a card of that
    name have. Returns the file. Raises BenchError where there is none."""
    run = newest(folder)
    *earlier, last = sorted((folder / "results").glob("*-gpu.json"))
    parts = {(p["kind"], p["case"]): p for p in run["parts"]}
    commands = [run["command"]]
    for path in reversed(earlier):
        other = json.loads(path.read_text())
        if (other["date"], other["card"]) == (run["date"], run["card"]):
            for part in other["parts"]:
                key = part["kind"], part["case"]
                parts[key] = _completed(parts[key], part) if key in parts else part
            commands.insert(0, other["command"])
    last.write_text(json.dumps({**run, "command": "; ".join(commands), "parts": list(parts.values())}, indent=1) + "\n")
    return last


def _completed(newer: dict[str, Any], older: dict[str, Any]) -> dict[str, Any]:
    """The newer part; where it was not finished, with the older one's rows of what it did not come to."""
    if newer["outcome"] == "done":
        return newer

    def about(row: dict[str, Any]) -> list[tuple[str, str]]:
        return [(key, value) for key, value in row.items() if isinstance(value, str)]

    known = [about(row) for row in newer["rows"]]
    return {**older, "rows": [*newer["rows"], *(row for row in older["rows"] if about(row) not in known)]}


def write(folder: Path) -> Path:
    """Render the page. Raises BenchError where nothing was measured."""
    path = folder / "gpu.md"
    path.write_text(text(newest(folder)))
    return path


def text(run: dict[str, Any]) -> str:
    """The page of one session."""
    sections = [HEAD, about(run)]
    for title, kinds, show in SECTIONS:
        rows = [row for part in run["parts"] if part["kind"] in kinds for row in part["rows"]]
        if rows:
            sections.append(f"## {title}\n\n{show(rows)}")
    sections.append(unfinished(run["parts"]))
    return "\n".join(s for s in sections if s)


def short(run: dict[str, Any]) -> str:
    """What fits on a screen: checks, ceilings, networks, launches, and what failed."""
    parts = [part for part in run["parts"] if part["kind"] != "kernels" or part["outcome"] != "done"]
    return text({**run, "parts": parts}).removeprefix(HEAD)


def about(run: dict[str, Any]) -> str:
    """The card, the versions, the day and the command."""
    versions = ", ".join(f"{k} {v}" for k, v in run["machine"]["versions"].items() if v != "not installed")
    note = f" {run['note']}" if "note" in run else ""
    cores = run["machine"]["cores"]
    return (
        f"{run['card']} ({run['arch']}), driver of CUDA {run['cuda']}, {cores} CPU cores; {versions}. "
        f"{run['date']}, `{run['command']}`.{note}\n"
    )


def checks(rows: Sequence[dict[str, Any]]) -> str:
    """How many were right, and those that were not."""
    wrong = [[r["what"], number(r["error"])] for r in rows if not r["right"] or not r["same_again"]]
    said = f"{len(rows) - len(wrong)} of {len(rows)} programs gave the right numbers, twice the same.\n"
    return said + ("\n" + table(["wrong", "largest error"], wrong) if wrong else "")


def ceilings(rows: Sequence[dict[str, Any]]) -> str:
    """What each side reaches, and ours as a part of PyTorch's."""
    sides: dict[str, dict[str, Any]] = {}
    for row in rows:
        sides.setdefault(row["what"], {})[row["by"]] = row
    cells = []
    for what, by in sides.items():
        ours, torch = (by.get(side, {}).get("value") for side in ("kernelwright", "torch"))
        unit = next(iter(by.values()))["unit"]
        part = f"{ours / torch:.0%}" if ours and torch else ""
        cells.append([what, unit, number(ours), number(torch), part])
    return table(["", "", "Kernelwright", "PyTorch", "of PyTorch's"], cells)


def networks(rows: Sequence[dict[str, Any]]) -> str:
    """One row for each network, batch, mode and precision: ours, PyTorch's fastest, the ratio."""
    races: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        races.setdefault((row["network"], row["batch"], row["mode"], row["precision"]), []).append(row)
    cells = []
    for (network, batch, mode, precision), found in races.items():
        ours = next((r for r in found if r["by"] == "kernelwright"), {})
        peer = min((r for r in found if r["by"] != "kernelwright"), key=lambda r: r["ms"], default={})
        ratio = f"{ours['ms'] / peer['ms']:.2f}" if ours and peer else ""
        times = [number(ours.get("ms")), number(ours.get("predicted_ms")), number(peer.get("ms")), peer.get("by", "")]
        wrong = "" if ours.get("finite", True) else "not finite"
        cells.append([network, str(batch), MODES[mode], precision, *times, ratio, number(ours.get("call_ms")), wrong])
    head = ["network", "batch", "", "precision", "Kernelwright, ms", "predicted", "PyTorch, ms", "mode"]
    return table([*head, "times PyTorch's", "a call, ms", ""], cells)


def launches(rows: Sequence[dict[str, Any]]) -> str:
    """What starting kernels costs."""
    return table(["", "microseconds"], [[r["what"], number(r["us"])] for r in rows])


def kernels(rows: Sequence[dict[str, Any]]) -> str:
    """Of each network, the kernels that take longest, alike ones taken together, with parts of the card's rates."""
    tables = [
        "Kernels repeated by themselves, so that small operands come from the cache. Parts are of the card's rates.\n"
    ]
    for row in rows:
        cells = []
        for k in slowest(row["kernels"]):
            parts = [share(k["of_bytes"]), share(k["of_flops"])]
            cells.append([str(k["alike"]), k["name"], number(k["ms"]), *parts, k["arithmetic"], k["schedule"]])
        whole = number(sum(k["ms"] for k in row["kernels"]))
        tables.append(f"### {row['network']}, batch {row['batch']}, {row['precision']}: {whole} ms\n")
        head = ["alike", "kernel", "ms together", "of bytes", "of flops", "arithmetic", "schedule"]
        tables.append(table(head, cells))
    return "\n".join(tables)


def share(part: float | None) -> str:
    """Per cent; nothing where it is not known."""
    return "" if part is None else f"{part:.0%}"


def unfinished(parts: Iterable[dict[str, Any]]) -> str:
    """The parts that did not end well, and why."""
    cells = [[f"{p['kind']} {p['case']}", p["outcome"]] for p in parts if p["outcome"] != "done"]
    return "## Not measured to the end\n\n" + table(["part", "why"], cells) if cells else ""


def number(value: float | None) -> str:
    """Three digits that count; nothing for nothing."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


SECTIONS = (
    ("Checks", ("checks",), checks),
    ("Ceilings", ("ceilings",), ceilings),
    ("Networks", ("networks", "torch", "compiled"), networks),
    ("Launches", ("launches",), launches),
    ("Kernels", ("kernels",), kernels),
)
"""(title, kinds of parts, what shows their rows), in the page's order."""
