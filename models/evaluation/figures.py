"""The pictures of an evaluation, each drawn onto axes or a figure of matplotlib's: confusion, calibration, classes,
mistakes.

Class names are shown as they are, never read as mathematics. Leans on nothing but what it is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .result import Evaluation, Mistake

NAMED, COUNTED, LISTED = 30, 12, 30
"""The most classes that are named beside a confusion matrix, whose counts are written into it, and that are drawn."""
COLUMNS = 8
"""Mistakes in a row."""


def draw_confusion(axes: Any, found: Evaluation) -> None:
    """Rows are classes, columns what was said; a cell's colour is its share of the row."""
    matrix, names = found.confusion, found.classes
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.figure.colorbar(shown, ax=axes, label="share of the class", shrink=0.8)
    axes.set(title="confusion", xlabel="said", ylabel="class")
    if len(names) <= NAMED:
        places = range(len(names))
        labels = [_short(name) for name in names]
        axes.set_xticks(places, labels, rotation=90 if max(map(len, labels)) > 2 else 0, parse_math=False)
        axes.set_yticks(places, labels, parse_math=False)
    if len(names) <= COUNTED:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=8)


def draw_calibration(axes: Any, found: Evaluation) -> None:
    """Accuracy by confidence: on the diagonal, what is said is what is right."""
    curve = found.calibration
    middles, width = (curve.edges[1:] + curve.edges[:-1]) / 2, curve.edges[1] - curve.edges[0]
    axes.bar(middles, np.nan_to_num(curve.accuracy), width * 0.95, color="tab:blue", label="accuracy")
    axes.plot([0, 1], [0, 1], "--", color="black", linewidth=1, label="calibrated")
    filled = curve.counts > 0
    axes.plot(curve.confidence[filled], curve.accuracy[filled], "o", color="tab:orange", label="mean confidence")
    axes.stairs(curve.counts / curve.counts.sum(), curve.edges, color="grey", label="share of the examples")
    axes.set(title=f"calibration, expected error {curve.expected_error:.2%}", xlim=(0, 1), ylim=(0, 1))
    axes.set(xlabel="confidence", ylabel="accuracy")
    axes.legend(loc="upper left", fontsize=8)


def draw_classes(axes: Any, found: Evaluation) -> None:
    """Each class's share that was recognised, with its confidence interval; the worst ones where they are many."""
    rows = sorted((c for c in found.by_class if c.recall.of), key=lambda c: c.recall.value)
    title = "accuracy by class, 95 % intervals"
    if len(rows) > LISTED:
        rows, title = rows[:LISTED], f"accuracy of the {LISTED} worst classes of {len(rows)}"
    values = np.array([c.recall.value for c in rows])
    ends = np.array([c.recall.interval for c in rows])
    errors = np.abs(ends.T - values)
    places = np.arange(len(rows))
    axes.barh(places, values, xerr=errors, color="tab:blue", ecolor="black", capsize=2)
    axes.set_yticks(places, [_short(c.name) for c in rows], parse_math=False)
    axes.set(title=title, xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.3)


def draw_mistakes(figure: Any, found: Evaluation) -> None:
    """The mistakes that the network was surest of, with what was said, how sure, and what it is."""
    figure.suptitle("surest mistakes" if found.worst else "no mistakes")
    if not found.worst:
        return
    rows = -(-len(found.worst) // COLUMNS)
    every = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in every:
        axes.set_axis_off()
    for axes, mistake in zip(every, found.worst, strict=False):
        pixels = picture(mistake)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        said, label = (_short(found.classes[k]) for k in (mistake.said, mistake.label))
        axes.set_title(f"said {said}\n{mistake.confidence:.1%} sure\nis {label}", fontsize=7, parse_math=False)


def picture(mistake: Mistake) -> np.ndarray:
    """The image as matplotlib shows it: (height, width, 3) in [0, 1], or (height, width) of its first channel where it
    has not three. Values outside [0, 1], as of standardised images, are stretched to it."""
    image = mistake.image if len(mistake.image) == 3 else mistake.image[:1]
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        image = (image - low) / max(high - low, 1e-12)
    return image.transpose(1, 2, 0) if len(image) == 3 else image[0]


def _short(name: str) -> str:
    """A name of at most 20 letters; of longer ones the beginning and the end, which tell them apart."""
    return name if len(name) <= 20 else f"{name[:10]}...{name[-7:]}"
