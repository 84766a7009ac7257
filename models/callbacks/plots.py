"""Learning curves as a picture: loss and accuracy by epoch, in training and validation, and the learning rate.

The extra `plot` installs matplotlib; it is imported where a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checks import SettingError
from ..checks import path as checked_path
from ..outputs import tried
from .base import Callback

if TYPE_CHECKING:
    from ..trainer import Trainer

FORMATS = (".png", ".svg", ".pdf")


class Plot(Callback):
    """Draws the learning curves to a file (PNG, SVG or PDF by its ending) after each epoch.

    Raises ValueError for another ending, ImportError without matplotlib.
    """

    def __init__(self, path: str | Path):
        self.path = checked_path("Plot", path)
        _check(self.path)
        _matplotlib()

    def before_fit(self, trainer: Trainer, state: Any) -> None:
        tried("the learning curves", self.path)

    def after_epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        plot(trainer.history, self.path)


def plot(history: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Draw a history, as `fit` returns it, to `path` (.png, .svg or .pdf).

    Raises ValueError for another ending or an empty history, ImportError without matplotlib.
    """
    _check(Path(path))
    if not history:
        raise SettingError("plot: the history is empty; train for an epoch first")
    Figure = _matplotlib()
    others = ("epoch", "seconds", "images_per_second")
    keys = [key for key in history[0] if key not in others and not key.startswith("validation_")]
    figure = Figure(figsize=(4.5 * len(keys), 3.5), layout="constrained")
    for axes, key in zip(figure.subplots(1, len(keys), squeeze=False)[0], keys):
        for name, label in ((key, "training"), (f"validation_{key}", "validation")):
            points = [(r["epoch"], r[name]) for r in history if name in r]
            if points:
                axes.plot(*zip(*points), label=label, marker="." if len(points) < 30 else None)
        axes.set(title=key.replace("_", " "), xlabel="epoch")
        axes.grid(alpha=0.3)
        if len(axes.lines) > 1:
            axes.legend()
    figure.savefig(path)


def _matplotlib() -> Any:
    """matplotlib's Figure, which draws to files without a display or global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("learning curves need matplotlib: pip install 'kernelwright[plot]'") from None
    return Figure


def _check(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise SettingError(f"plot: the file ends in {', '.join(FORMATS)}, not {str(path)!r}")
