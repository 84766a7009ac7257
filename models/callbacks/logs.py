"""The history as files: comma-separated values and JSON lines, flushed after each epoch.

A run from its start writes the file anew. A resumed run keeps the lines up to its checkpoint, so that an epoch done
again after a crash is not in the file twice. Leans on the standard library only.
"""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...runtime.errors import KernelwrightError
from ..checks import SettingError
from ..checks import path as checked_path
from .base import Callback

if TYPE_CHECKING:
    from ..trainer import Trainer


class LogError(KernelwrightError, OSError):
    """A log that cannot be written, or a file in its place that is not one."""


class Log(Callback):
    """Lines of text, one per epoch. Subclasses write `line`, `epoch_of` and, where there is one, `head`."""

    def __init__(self, path: str | Path):
        self.path = checked_path(f"{type(self).__name__}", path)

    def head(self, record: dict[str, Any]) -> str:
        """What comes before the first line."""
        return ""

    def line(self, record: dict[str, Any]) -> str:
        """An epoch's line, ending in a newline."""
        raise NotImplementedError

    def epoch_of(self, line: str) -> int | None:
        """The epoch of a line; None for a heading. Raises ValueError for a line that this log did not write."""
        raise NotImplementedError

    def before_fit(self, trainer: Trainer, state: Any) -> None:
        text = ""
        if trainer.epoch and self.path.exists():
            text = self._kept(trainer.epoch)
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            partial.write_text(text)
            os.replace(partial, self.path)
        except OSError as error:
            raise LogError(f"cannot write the log {self.path}: {error.strerror}") from None

    def after_epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        try:
            with open(self.path, "a") as file:
                file.write(self.line(record) if file.tell() else self.head(record) + self.line(record))
        except OSError as error:
            raise LogError(f"cannot write the log {self.path}: {error.strerror}") from None

    def _kept(self, epochs: int) -> str:
        """The lines of the first `epochs` epochs. A last line cut short by a crash is dropped."""
        whole = [line for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        try:
            numbers = [self.epoch_of(line) for line in whole]
        except (ValueError, KeyError, TypeError):
            raise LogError(f"{self.path} is not a log of this kind; give another path or remove it") from None
        return "".join(line for line, number in zip(whole, numbers) if number is None or number <= epochs)


class JSONLines(Log):
    """One JSON object per epoch and line: the history's records."""

    def line(self, record: dict[str, Any]) -> str:
        return json.dumps(record) + "\n"

    def epoch_of(self, line: str) -> int:
        return int(json.loads(line)["epoch"])


class CSV(Log):
    """A heading, then one row per epoch; the columns are the first record's keys."""

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._columns: list[str] = []

    def before_fit(self, trainer: Trainer, state: Any) -> None:
        self._columns = []
        super().before_fit(trainer, state)
        kept = self.path.read_text().splitlines()
        if kept:
            self._columns = next(csv.reader(kept[:1]))

    def head(self, record: dict[str, Any]) -> str:
        self._columns = list(record)
        return _row(self._columns)

    def line(self, record: dict[str, Any]) -> str:
        return _row([record.get(name, "") for name in self._columns])

    def epoch_of(self, line: str) -> int | None:
        first = next(csv.reader([line]))[0]
        return None if first == "epoch" else int(first)


def log(path: str | Path) -> Log:
    """The log that a file's ending names: `.csv`, `.jsonl` or `.json`. Raises ValueError for another."""
    kinds: dict[str, type[Log]] = {".csv": CSV, ".jsonl": JSONLines, ".json": JSONLines}
    suffix = checked_path("log", path).suffix.lower()
    if suffix not in kinds:
        raise SettingError(f"a log is a .csv or a .jsonl file, not {str(path)!r}")
    return kinds[suffix](path)


def _row(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
