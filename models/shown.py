"""How models and what trains them show themselves: a line that says how each was made, and HTML in a notebook.

Leans on nothing of ours.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

WIDE, HIGH, EDGE = 480, 220, 40
"""Pixels of a curve, and of the room for its numbers."""


class Shown:
    """A class whose `repr` is the call that made the object."""

    _given: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *given: Any, **named: Any) -> Any:
        made = object.__new__(cls)
        made._given = given, named
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(arguments(*self._given))})"


def arguments(given: Sequence[Any], named: Mapping[str, Any]) -> list[str]:
    """Arguments of a call as text: functions by their names, arrays by their shapes."""
    return [*map(_argument, given), *(f"{name}={_argument(value)}" for name, value in named.items())]


def _argument(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if isinstance(value, partial):
        return f"{value.func.__name__.strip('_')}({', '.join(arguments(value.args, value.keywords))})"
    if callable(value) and type(value).__repr__ is type(_argument).__repr__:
        return str(value.__name__)
    return repr(value)


def nested(head: str, parts: Iterable[tuple[str, object]]) -> str:
    """`head(...)` with a line for each part, indented, as nested calls are written."""
    lines = [f"  ({name}): " + repr(part).replace("\n", "\n  ") for name, part in parts]
    return "\n".join([f"{head[:-1]}", *lines, ")"]) if lines else head


def table_html(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Rows of cells, the first of which is the heading, as an HTML table."""
    flush = set(right)

    def row(cells: Sequence[str], tag: str) -> str:
        style = ['style="text-align: right"' if i in flush else 'style="text-align: left"' for i in range(len(cells))]
        return "<tr>" + "".join(f"<{tag} {s}>{html.escape(c)}</{tag}>" for s, c in zip(style, cells)) + "</tr>"

    return "<table>" + row(rows[0], "th") + "".join(row(cells, "td") for cells in rows[1:]) + "</table>"


def curve_svg(title: str, lines: Mapping[str, Sequence[float]]) -> str:
    """Curves over epochs as an SVG drawing. A value that is not finite leaves a gap at its place."""
    values = [v for line in lines.values() for v in line if abs(v) < float("inf")]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span, last = (high - low) or 1.0, max(1, *(len(line) - 1 for line in lines.values()))
    colours = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728")
    drawn = [f'<text x="{EDGE}" y="14" font-weight="bold">{html.escape(title)}</text>']
    for i, (name, line) in enumerate(lines.items()):
        colour = colours[i % len(colours)]
        points = " ".join(
            f"{EDGE + x * (WIDE - 2 * EDGE) / last:.1f},{HIGH - EDGE - (y - low) * (HIGH - 2 * EDGE) / span:.1f}"
            for x, y in enumerate(line)
            if abs(y) < float("inf")
        )
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(f'<text x="{WIDE - EDGE - 120}" y="{14 + 14 * i}" fill="{colour}">{html.escape(name)}</text>')
    drawn.append(f'<text x="2" y="{EDGE + 4}">{high:.3g}</text><text x="2" y="{HIGH - EDGE + 4}">{low:.3g}</text>')
    drawn.append(f'<text x="{EDGE}" y="{HIGH - 12}">epoch 1 to {last + 1}</text>')
    size = f'width="{WIDE}" height="{HIGH}" viewBox="0 0 {WIDE} {HIGH}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-size="11" font-family="sans-serif">{"".join(drawn)}</svg>'
    )


class History(list[dict[str, Any]]):
    """One dict of numbers for each finished epoch; a list, which a notebook shows as its curve of losses."""

    def _repr_html_(self) -> str:
        lines = {
            said: [float(record[name]) for record in self]
            for name, said in (("loss", "training loss"), ("validation_loss", "validation loss"))
            if self and all(name in record for record in self)
        }
        return curve_svg(f"{len(self)} epochs", lines) if lines else html.escape(repr(list(self)))
