"""What a user sees while a network is tuned and trained: a bar on a terminal, a line per epoch elsewhere, or nothing.

Leans on rich, imported when a display opens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from ..compiler.targets.shared.watch import watching

OTHERS = ("epoch", "learning_rate", "seconds", "images_per_second")
"""What a line of history has besides the loss and the measures."""
SHARES = ("accuracy", "exact", "f1")
"""Measures shown in percent."""


class Display:
    """A context that shows epochs going by. `shown` false: it does nothing. part: what an epoch ends with."""

    def __init__(self, shown: bool, epochs: int, part: str = "validation"):
        self.shown, self.epochs, self.part = shown, epochs, part
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Display:
        if self.shown:
            from rich.console import Console

            self._console = Console()
            if self._console.is_terminal:
                self._bar = _bar(self._console)
                self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, epoch: int, steps: int, done: int) -> None:
        """Epoch `epoch` (from 0) has `steps` steps, `done` of which are past."""
        self._started, self._images = time.perf_counter(), 0
        if self._bar is not None:
            label = f"epoch {epoch + 1}/{self.epochs}"
            self._task = self._bar.add_task(label, total=steps, completed=done, means="", speed=0.0)

    def update(self, done: int, images: int, means: Mapping[str, float]) -> None:
        """`done` steps are past; the last call took `images` images; means of loss and measures over the epoch."""
        self._images += images
        if self._bar is not None:
            speed = self._images / max(time.perf_counter() - self._started, 1e-9)
            self._bar.update(self._task, completed=done, means=_measures(means), speed=speed)

    def finish(self, record: dict[str, Any]) -> None:
        """The epoch is over: its line of history."""
        if not self.shown:
            return
        self._console.print(describe(record, self.epochs, self.part), highlight=False, soft_wrap=True)
        if self._bar is not None:
            self._bar.remove_task(self._task)

    def say(self, text: str) -> None:
        """A line of its own."""
        if self.shown:
            self._console.print(text, highlight=False, soft_wrap=True)


class Compiling:
    """A context that shows kernels being compiled, on a terminal; a fast compilation is over before it is seen."""

    def __init__(self, shown: bool):
        self.shown = shown

    def __enter__(self) -> None:
        self._stack = ExitStack()
        if not self.shown:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        console = Console()
        if console.is_terminal:
            columns = (TextColumn("compiling kernels"), BarColumn(), MofNCompleteColumn())
            self._bar = self._stack.enter_context(Progress(*columns, console=console, transient=True))
            self._task = self._bar.add_task("compiling", total=None)
            self._stack.enter_context(watching(self._update))

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _update(self, done: int, kernels: int) -> None:
        self._bar.update(self._task, completed=done, total=kernels)


class Tuning:
    """A context that shows kernels being tuned, on a terminal; entering it gives what `kw.compile(tune=...)` calls."""

    def __init__(self, shown: bool):
        self.shown = shown
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Callable[[str, int, int], None]:
        return self._update

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _update(self, kernel: str, done: int, kernels: int) -> None:
        if not self.shown:
            return
        if self._bar is None:
            from rich.progress import Progress

            self._bar = Progress(transient=True)
            self._bar.start()
            self._task = self._bar.add_task("tuning", total=kernels)
        self._bar.update(self._task, completed=done, description=f"tuning {kernel}")


def describe(record: dict[str, Any], epochs: int, part: str = "validation") -> str:
    """One epoch's history as a line of text. part: the part of the data that was measured after it."""
    text = f"epoch {record['epoch']}/{epochs}  {_measures({k: v for k, v in record.items() if k not in OTHERS}, part)}"
    return text + f"  {record['images_per_second']:,.0f} images/s  {record['seconds']:.1f} s"


def _measures(means: Mapping[str, float], part: str = "validation") -> str:
    """Losses and measures as text, those of the part measured after the epoch behind its name."""
    parts = []
    for name, value in means.items():
        short = name.removeprefix("validation_")
        said = f"{part} loss" if name == "validation_loss" else short
        parts.append(f"{said} {value:.2%}" if short.endswith(SHARES) else f"{said} {value:.4f}")
    return "  ".join(parts)


def _bar(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[means]}"),
        TextColumn("{task.fields[speed]:,.0f} images/s"),
        TimeRemainingColumn(),
        console=console,
    )
