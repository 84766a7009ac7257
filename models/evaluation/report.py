"""An evaluation as a file: an HTML page with its pictures inside, or one PNG picture.

The extra `plot` installs matplotlib, which draws; it is imported where a report is written.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ...runtime.partial import write_whole
from ..checks import SettingError
from ..checks import path as checked_path
from ..outputs import tried
from . import figures
from .metrics import Share
from .result import Evaluation

FORMATS = (".html", ".png")
DPI = 110
STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "table{border-collapse:collapse;margin:1em 0}th,td{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%;height:auto}"
)


def check(path: str | os.PathLike[str]) -> Path:
    """The path, where a report can be written to it. Raises SettingError for another ending or a file that cannot be
    written, ImportError without matplotlib."""
    place = checked_path("report", path)
    if place.suffix.lower() not in FORMATS:
        raise SettingError(f"report: the file ends in {' or '.join(FORMATS)}, not {str(place)!r}")
    _matplotlib()
    return tried("the report", place)


def write(found: Evaluation, path: str | os.PathLike[str]) -> None:
    """Write the report, as a page or a picture by its ending. Raises as `check`."""
    place = check(path)
    content = _page(found).encode() if place.suffix.lower() == ".html" else _png(_sheet(found))
    try:
        write_whole(place, content)
    except OSError as error:
        raise SettingError(f"cannot write the report {place}: {error.strerror or error}") from None


# ------------------------------------------------------------ pictures
def _sheet(found: Evaluation) -> Any:
    """All pictures as one figure."""
    tall, rows = _class_height(found), _mistake_height(found)
    figure = _matplotlib()(figsize=(13, 0.9 + 5.2 + tall + rows), layout="constrained")
    head, middle, classes, mistakes = figure.subfigures(4, 1, height_ratios=[0.9, 5.2, tall, rows])
    lines = found.summary().splitlines()
    head.text(0.02, 0.5, "\n".join(lines[: 3 + (found.top5 is not None)]), va="center", parse_math=False)
    left, right = middle.subplots(1, 2)
    figures.draw_confusion(left, found)
    figures.draw_calibration(right, found)
    figures.draw_classes(classes.subplots(), found)
    figures.draw_mistakes(mistakes, found)
    return figure


def _single(width: float, height: float, draw: Callable[[Any, Evaluation], None], found: Evaluation) -> Any:
    figure = _matplotlib()(figsize=(width, height), layout="constrained")
    draw(figure.subplots(), found)
    return figure


def _class_height(found: Evaluation) -> float:
    return 1.2 + 0.24 * min(len(found.classes), figures.LISTED)


def _mistake_height(found: Evaluation) -> float:
    return 0.6 + 2.0 * -(-len(found.worst) // figures.COLUMNS)


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI)
    return out.getvalue()


# ------------------------------------------------------------ the page
def _page(found: Evaluation) -> str:
    title = html.escape(f"{found.network} on {found.data}")
    mistakes = _matplotlib()(figsize=(12, _mistake_height(found)), layout="constrained")
    figures.draw_mistakes(mistakes, found)
    parts = [
        f"<h1>{title}</h1>",
        _table(("", "value", "95 % interval"), _measures(found)),
        "<h2>Calibration</h2>",
        _image(_single(7, 5, figures.draw_calibration, found), "accuracy by confidence"),
        "<h2>Confusion</h2>",
        _image(_single(9, 8, figures.draw_confusion, found), "confusion matrix"),
        _table(("class", "taken for", "examples"), _confused(found)) if found.confused else "",
        "<h2>Surest mistakes</h2>",
        _image(mistakes, "images that were taken for another class"),
        _table(("example", "class", "said", "confidence"), _worst(found)) if found.worst else "",
        "<h2>Classes</h2>",
        _image(_single(9, _class_height(found), figures.draw_classes, found), "accuracy of each class"),
        _table(("class", "examples", "recognised", "95 % interval", "precision"), _classes(found)),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _measures(found: Evaluation) -> list[tuple[str, ...]]:
    top5 = [] if found.top5 is None else [("top-5 accuracy", _percent(found.top5.value), _interval(found.top5))]
    curve = found.calibration
    return [
        ("examples", f"{len(found.labels):,}", ""),
        ("top-1 accuracy", _percent(found.top1.value), _interval(found.top1)),
        *top5,
        ("expected calibration error", _percent(curve.expected_error), ""),
        ("greatest error of a bin", _percent(curve.maximum_error), ""),
    ]


def _confused(found: Evaluation) -> list[tuple[str, ...]]:
    names = found.classes
    return [(names[true], names[said], f"{count:,}") for true, said, count in found.confused]


def _worst(found: Evaluation) -> list[tuple[str, ...]]:
    names = found.classes
    return [(m.source, names[m.label], names[m.said], _percent(m.confidence)) for m in found.worst]


def _classes(found: Evaluation) -> list[tuple[str, ...]]:
    return [
        (c.name, f"{c.recall.of:,}", _percent(c.recall.value), _interval(c.recall), _percent(c.precision.value))
        for c in found.by_class
    ]


def _percent(x: float) -> str:
    return "" if x != x else f"{x:.2%}"


def _interval(share: Share) -> str:
    low, high = share.interval
    return f"{low:.2%} to {high:.2%}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are text; those that begin with a digit are numbers, set to the right."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = ["".join(_cell(text) for text in row) for row in rows]
    return f"<table><tr>{top}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _cell(text: str) -> str:
    kind = ' class="n"' if text[:1].isdigit() else ""
    return f"<td{kind}>{html.escape(text)}</td>"


def _image(figure: Any, words: str) -> str:
    data = base64.b64encode(_png(figure)).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{data}">'


def _matplotlib() -> Any:
    """matplotlib's Figure, which draws to files without a display or global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("reports need matplotlib: pip install 'kernelwright[plot]'") from None
    return Figure
