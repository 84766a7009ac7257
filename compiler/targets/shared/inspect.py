"""Compiled programs as text: the table of kernels, one kernel with its reasons and the user's lines, a profile.

Leans on `kernel_info`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ....runtime.sizes import symbols
from ...errors import CompileError
from ...shapes import poly, value
from .kernel_info import KernelInfo

FORMS = ("loops", "source", "tile", "llvm", "asm")
WIDE = 44


def rows(program: Any, **sizes: int) -> list[dict[str, Any]]:
    """One row per kernel, as plain data: number, name, what was fused, schedule, flops and bytes per run, and how
    often a loop runs it (None outside of loops)."""
    known = {"batch": 128, **sizes}
    env = {s: known.get(s, 128) for k in program.kernels for s in _symbols(k)}
    return [
        {
            "number": i,
            "name": k.name,
            "fused": list(k.fused),
            "schedule": k.schedule,
            "flops": k.flops(**env),
            "bytes": k.bytes(**env),
            "cycles": k.cycles(**env),
            "key": k.key,
            "times": None if k.times is None else value(k.times, env),
        }
        for i, k in enumerate(program.kernels)
    ]


def _symbols(kernel: KernelInfo) -> set[str]:
    times = 1 if kernel.times is None else kernel.times
    return {s for size in (kernel.flop_count, kernel.byte_count, times) for s in symbols(poly(size))}


def table(program: Any, **sizes: int) -> str:
    """The kernels of a compiled program, one line each."""
    lines = [("#", "kernel", "fused", "flops", "bytes", "schedule")]
    for row in rows(program, **sizes):
        fused = " ".join(row["fused"])
        lines.append(
            (
                str(row["number"]),
                _indented(row),
                shorten(fused),
                count(row["flops"]),
                count(row["bytes"]),
                shorten(row["schedule"]),
            )
        )
    return grid(lines, right=(0, 3, 4))


def _indented(row: dict[str, Any]) -> str:
    """The name; within a loop further in, with how often it runs."""
    return row["name"] if row["times"] is None else f"  {row['name']} x {row['times']}"


@dataclass(frozen=True)
class Roofline:
    """What the machine does at most on the threads a program uses: flops per second, and bytes per second from memory;
    `cycle` is the seconds of the cost model's cycle, one vector multiply-add of one thread as kernels keep them up.
    `streams`: (bytes, bytes per second) of streams over so many bytes again and again, the shortest first, which come
    from caches."""

    threads: int
    flops: float
    bytes: float
    cycle: float
    streams: tuple[tuple[int, float], ...] = ()

    def fetching(self, size: float) -> float:
        """Seconds to pass through so many bytes that were passed through before."""
        return size / next((rate for most, rate in self.streams if size <= most), self.bytes)


def profile_rows(program: Any, seconds: Sequence[float], limits: Roofline, **sizes: int) -> list[dict[str, Any]]:
    """`rows` with each kernel's measured seconds, predicted ones, GFLOP/s, GB/s and part of the roofline.

    Predicted are the cost model's cycles and, after another, the time of the bytes from where a kernel that runs again
    finds them: the model ranks a kernel's schedules, all of which fetch these once. The roofline is the
    longer of flops at the peak and bytes from main memory; `roofline` is its part of the measured seconds, above 1
    where the data came from a cache.
    """
    out = []
    for row, s in zip(rows(program, **sizes), seconds):
        bound = max(row["flops"] / limits.flops, row["bytes"] / limits.bytes)
        rates = {"gflops": row["flops"] / s / 1e9, "gbytes": row["bytes"] / s / 1e9, "roofline": bound / s} if s else {}
        predicted = row["cycles"] * limits.cycle / limits.threads + limits.fetching(row["bytes"])
        nothing = {"gflops": 0.0, "gbytes": 0.0, "roofline": 0.0}
        out.append({**row, "seconds": s, "predicted": predicted, "bound": bound, **nothing, **rates})
    return out


def profile_table(measured: Sequence[dict[str, Any]], limits: Roofline) -> str:
    """`profile_rows` as text, with totals and the limits below."""
    cells = [("#", "kernel", "us", "predicted", "GFLOP/s", "GB/s", "roofline", "schedule")]
    total = {key: sum(r[key] for r in measured) for key in ("seconds", "predicted", "flops", "bytes", "bound")}
    seconds = total["seconds"] or 1.0
    rates = {"gflops": total["flops"] / seconds / 1e9, "gbytes": total["bytes"] / seconds / 1e9}
    last = {"number": "", "name": "total", "schedule": "", **total, **rates, "roofline": total["bound"] / seconds}
    for r in [*measured, last]:
        times = (f"{r['seconds'] * 1e6:.1f}", f"{r['predicted'] * 1e6:.1f}")
        speeds = (f"{r['gflops']:.1f}", f"{r['gbytes']:.1f}", f"{r['roofline']:.0%}")
        cells.append((str(r["number"]), r["name"], *times, *speeds, shorten(r["schedule"])))
    threads = f"{limits.threads} thread{'s' * (limits.threads > 1)}"
    return (
        f"{grid(cells, right=(0, 2, 3, 4, 5, 6))}\n{len(measured)} kernels, {total['seconds'] * 1e3:.3f} ms; "
        f"measured limits of {threads}: {limits.flops / 1e9:.0f} GFLOP/s, {limits.bytes / 1e9:.0f} GB/s"
    )


def tuning_rows(program: Any) -> list[dict[str, Any]]:
    """What tuning measured, one row per distinct contraction, where it gained most first."""
    rows = [
        {
            "kernel": t.kernels[0],
            "alike": len(t.kernels),
            "seconds": t.trials[0].seconds,
            "tuned": t.best.seconds,
            "gain": t.gain,
            "model": t.trials[0].schedule,
            "measured": t.best.schedule,
            "trials": [(x.schedule, x.cycles, x.seconds) for x in t.trials],
        }
        for t in program.tuned
    ]
    return sorted(rows, key=lambda r: -float(r["gain"]))


def tuning_table(program: Any) -> str:
    """`tuning_rows` as text: where measuring chose otherwise than the cost model, and what it gains in all."""
    found = tuning_rows(program)
    cells = [("kernel", "alike", "model us", "tuned us", "gain", "model", "measured")]
    for r in found:
        times = (f"{r['seconds'] * 1e6:.1f}", f"{r['tuned'] * 1e6:.1f}", f"{r['gain']:.2f}")
        same = "same" if r["measured"] == r["model"] else shorten(r["measured"])
        cells.append((r["kernel"], str(r["alike"]), *times, shorten(r["model"]), same))
    before, after = (sum(r[key] * r["alike"] for r in found) for key in ("seconds", "tuned"))
    changed = sum(r["measured"] != r["model"] for r in found)
    return (
        f"{grid(cells, right=(1, 2, 3, 4))}\n{changed} of {len(found)} contractions changed: "
        f"{before * 1e3:.3f} ms by the model's choice, {after * 1e3:.3f} ms tuned"
    )


def schedules(program: Any) -> str:
    """A line `name = schedule` for every kernel, as `read_schedules` takes them."""
    return "\n".join(f"{k.name} = {k.schedule}" for k in program.kernels)


def read_schedules(text: str) -> dict[str, str]:
    """{name or pattern: schedule} of lines `name = schedule`; empty lines and those that begin with # say nothing.

    Raises CompileError for a line without `=`.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, separator, schedule = (part.strip() for part in line.partition("="))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not separator or not name:
            raise CompileError(f"line {number} of the schedules is {line!r}; write: name = outer tile 8x2")
        found[name] = schedule
    return found


def explain(kernel: KernelInfo) -> str:
    """Why the kernel is what it is: the decisions of fusion, the schedule, the user's lines."""
    parts = [f"{kernel.name}: {kernel.schedule}", "fused because:", *(f"  {r}" for r in kernel.reasons)]
    parts += ["buffers:", *(f"  {b}" for b in kernel.buffers), "computes:", *(f"  {v}" for v in kernel.values)]
    parts += ["from:", *(f"  {line}" for line in kernel.lines)]
    return "\n".join(parts)


def text(kernel: KernelInfo, form: str) -> str:
    """The kernel as "loops", "source", "tile", "llvm" or "asm". Raises CompileError for another form."""
    if form not in FORMS:
        raise CompileError(f"a kernel can be shown as {', '.join(FORMS)}, not as {form!r}")
    return str(getattr(kernel, form)) or f"# {kernel.name} calls no {form}"


def find(program: Any, which: str) -> KernelInfo:
    """The kernel of that number or name. Raises CompileError naming those that there are."""
    for i, kernel in enumerate(program.kernels):
        if which in (str(i), kernel.name):
            result: KernelInfo = kernel
            return result
    names = ", ".join(k.name for k in program.kernels)
    raise CompileError(f"there is no kernel {which!r}; there are 0 to {len(program.kernels) - 1}: {names}")


def count(n: float) -> str:
    """1,234,567 as 1.2M."""
    for unit in ("", "k", "M", "G"):
        if n < 1000:
            return f"{n:.0f}{unit}" if unit == "" else f"{n:.1f}{unit}"
        n /= 1000
    return f"{n:.1f}T"


def shorten(words: str, width: int = WIDE) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"


NARROWEST = 60
"""Columns of a terminal to which tables are fitted at least."""


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is; None where it is none, and lines may be of any length."""
    if "COLUMNS" in os.environ or sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, NARROWEST)
    return None


def grid(lines: Sequence[Sequence[str]], right: Iterable[int] = (), width: int | None = None) -> str:
    """Rows of cells as aligned text; the first row is the heading. Columns of words (those not flush right) are cut
    where the whole would be wider than `width`, by default that of the terminal."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    flush = set(right)
    room = terminal_width() if width is None else width
    _narrow(widths, [i for i in range(len(widths)) if i not in flush], room)
    rendered = [
        "  ".join(
            c.rjust(w) if i in flush else shorten(c, w).ljust(w) for i, (c, w) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([rendered[0], "-" * max(map(len, rendered)), *rendered[1:]])


def _narrow(widths: list[int], columns: Sequence[int], room: int | None) -> None:
    """Cut the widest of these columns (set in place) until all fit, none below four letters."""
    while room is not None and columns and sum(widths) + 2 * (len(widths) - 1) > room:
        widest = max(columns, key=widths.__getitem__)
        if widths[widest] <= 4:
            return
        widths[widest] -= 1
