"""A bar chart as SVG text: one group of bars per network, one bar per framework."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

COLOURS = ("#1b6ca8", "#e07b39", "#6b9e4f", "#8a6bbe", "#a05252", "#777777")
BAR, GAP, LEFT, WIDTH, HEAD = 14, 16, 170, 420, 56


def bars(title: str, unit: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """Horizontal bars from 0, as many per group as it has values; equal labels have equal colours."""
    labels = list(dict.fromkeys(label for values in groups.values() for label in values))
    colour = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}
    top = max((v for values in groups.values() for v in values.values()), default=1.0) or 1.0
    body, y = [], HEAD
    for group, values in groups.items():
        middle = y + BAR * len(values) / 2 + 4
        body.append(_text(LEFT - 10, middle, group, "end"))
        for label, value in values.items():
            length = max(value / top * WIDTH, 1.0)
            body.append(
                f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 2}" fill="{colour[label]}">'
                f"<title>{escape(f'{group}, {label}: {value:.3g} {unit}')}</title></rect>"
            )
            body.append(_text(LEFT + length + 5, y + BAR - 4, f"{value:.3g}", "start", 10))
            y += BAR
        y += GAP
    key, x = [], LEFT
    for label in labels:
        key.append(f'<rect x="{x}" y="30" width="10" height="10" fill="{colour[label]}"/>')
        key.append(_text(x + 14, 39, label, "start"))
        x += 24 + 7 * len(label)
    size = f'width="{max(LEFT + WIDTH + 70, x)}" height="{y}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, paper, _text(10, 18, f"{title} ({unit})", "start", 13), *key, *body, "</svg>"]) + "\n"


def _text(x: float, y: float, what: str, anchor: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(what)}</text>'
