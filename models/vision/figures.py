"""Curves and maps drawn by matplotlib, an extra: answers under distortion, untangling over depth, distances, images
laid out on a plane.

Each `draw_` function draws onto axes that it is given; `plot` and `plot_map` write files. Leans on results alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import SettingError
from ..checks import path as checked_path
from .distort import Distortion
from .neighbours import Neighbours
from .untangling import Untangling

MISSING = "plots need matplotlib: pip install 'kernelwright[plot]'"
DPI = 110
FORMATS = (".png", ".svg", ".pdf")
WORDS = {
    "translate_x": "pixels to the right",
    "translate_y": "pixels down",
    "scale": "times as large",
    "rotate": "degrees counter-clockwise",
    "contrast": "times the contrast",
    "occlude": "side of the square, pixels",
}
"""What the amounts of each kind of distortion are."""


def plot(path: str | os.PathLike[str], *found: Distortion | Untangling | Neighbours) -> None:
    """Draw results side by side, four in a row, into a file; its ending (.png, .svg, .pdf) says of which kind.

    Raises SettingError for what is no such result or another ending, ImportError without matplotlib, OSError for a file
    that cannot be written.
    """
    kinds = {Distortion: draw_distortion, Untangling: draw_untangling, Neighbours: draw_distances}
    for each in found:
        if type(each) not in kinds:
            raise SettingError(f"plot: draws what distort, untangling and neighbours give, not {type(each).__name__}")
    if not found:
        raise SettingError("plot: at least one result is needed")
    columns = min(len(found), 4)
    rows = -(-len(found) // columns)
    place, figure = check(path), _figure(5 * columns, 3.8 * rows)
    figure.set_layout_engine("constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, each in zip(every, found, strict=False):
        draw: Any = kinds[type(each)]
        draw(axes, each)
    for axes in every[len(found) :]:
        axes.set_axis_off()
    figure.savefig(place, dpi=DPI)


def plot_map(path: str | os.PathLike[str], places: Any, images: Any, labels: Any = None) -> None:
    """Draw images (n, 1 or 3, height, width) as thumbnails at their places (n, 2), framed in a colour for each of their
    labels (n,), into a file. Raises what `plot` raises."""
    place, figure = check(path), _figure(9, 9)
    draw_map(figure.add_axes((0, 0, 1, 1)), places, images, labels)
    figure.savefig(place, dpi=DPI)


def check(path: str | os.PathLike[str]) -> Path:
    """The path, where a plot can be drawn into it. Raises SettingError for another ending, ImportError without
    matplotlib."""
    place = checked_path("plot", path)
    if place.suffix.lower() not in FORMATS:
        raise SettingError(f"plot: the file ends in {', '.join(FORMATS)}, not {str(place)!r}")
    _figure(1, 1)
    return place


def draw_distortion(axes: Any, found: Distortion) -> None:
    """The label's probability over the amount, a dot where it is the answer and a cross where it is not; distances, as
    shares of each layer's greatest, dashed."""
    right = found.answers == found.label
    order = np.argsort(found.amounts, kind="stable")
    axes.plot(found.amounts[order], found.confidence[order], color="tab:blue", label=f"probability of {found.label}")
    axes.plot(found.amounts[right], found.confidence[right], "o", color="tab:blue", markersize=4)
    axes.plot(found.amounts[~right], found.confidence[~right], "x", color="tab:red", label="another is the answer")
    for layer, far in found.distances.items():
        shares = far / max(far.max(), np.finfo(far.dtype).tiny)
        axes.plot(found.amounts[order], shares[order], "--", linewidth=1, label=f"distance in {layer}")
    axes.set(title=found.kind, xlabel=WORDS[found.kind], ylim=(-0.03, 1.03))
    axes.legend(fontsize=8)


def draw_untangling(axes: Any, found: Untangling) -> None:
    """Accuracies of the linear classifiers over depth."""
    places = range(len(found.layers))
    axes.plot(places, found.held_out, "o-", color="tab:blue", label="images held out")
    axes.plot(places, found.training, "o--", color="tab:grey", linewidth=1, markersize=3, label="training images")
    axes.axhline(found.chance, color="black", linewidth=1, linestyle=":", label="most frequent class")
    axes.set_xticks(places, found.layers, rotation=60, ha="right", fontsize=8, parse_math=False)
    axes.set(title="classes told apart linearly", ylabel="accuracy", ylim=(0, 1.03))
    axes.legend(fontsize=8, loc="lower right")


def draw_distances(axes: Any, found: Neighbours) -> None:
    """All distances between queries and images, by pixels across and by features up; the nearest of each in colour."""
    axes.plot(found.pixel_distances.ravel(), found.feature_distances.ravel(), ",", color="tab:grey")
    rows = np.arange(len(found.by_pixels))[:, None]
    for nearest, colour, name in (
        (found.by_pixels, "tab:orange", "nearest by pixels"),
        (found.by_features, "tab:blue", "nearest by features"),
    ):
        ends = found.pixel_distances[rows, nearest].ravel(), found.feature_distances[rows, nearest].ravel()
        axes.plot(*ends, "o", color=colour, markersize=4, label=name)
    axes.set(title="distances", xlabel="between pixels", ylabel="between features")
    axes.legend(fontsize=8)


def draw_map(axes: Any, places: Any, images: Any, labels: Any = None) -> None:
    """Thumbnails at their places, later ones above earlier ones."""
    from matplotlib import colormaps
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    points, pictures = np.asarray(places), np.asarray(images)
    names = np.zeros(len(points), int) if labels is None else np.unique(labels, return_inverse=True)[1]
    if points.shape != (len(pictures), 2) or pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
        given = f"{points.shape} and {pictures.shape}"
        raise SettingError(f"plot_map: places are (n, 2) and images (n, 1 or 3, height, width), not {given}")
    if len(names) != len(points):
        raise SettingError(f"plot_map: {len(names)} labels for {len(points)} images")
    colours = colormaps["tab10" if names.max(initial=0) < 10 else "tab20"]
    axes.plot(points[:, 0], points[:, 1], ",", alpha=0)  # sets the limits
    for point, picture, name in zip(points, np.clip(pictures, 0, 1), names, strict=True):
        shown = picture.transpose(1, 2, 0) if len(picture) == 3 else picture[0]
        image = OffsetImage(shown, zoom=20 / shown.shape[0], cmap="gray")
        frame = {"edgecolor": colours(name % colours.N), "linewidth": 1.5}
        axes.add_artist(AnnotationBbox(image, point, frameon=True, pad=0.05, bboxprops=frame))
    axes.margins(0.06)
    axes.set_axis_off()


def _figure(width: float, height: float) -> Any:
    """An empty figure of matplotlib's, which draws to files without a display or global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(MISSING) from None
    return Figure(figsize=(width, height))
