"""Callbacks that watch whether training gets better: early stopping, and the best checkpoint. Lean on `monitor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checks import path as checked_path
from ..checks import whole
from ..monitor import Monitor
from .base import Callback

if TYPE_CHECKING:
    from ..trainer import Trainer


class EarlyStopping(Callback):
    """Stops the run once `monitor` has not got better for `patience` epochs in a row (Prechelt 1998).

    monitor: a key of the history; mode: "auto", "min" or "max"; threshold: by how much it has to get better to count.
    The count is kept in checkpoints. The parameters stay those of the last epoch: `fit(best=...)` or BestCheckpoint
    keeps the best.
    """

    def __init__(self, monitor: str = "validation_loss", patience: int = 5, threshold: float = 0.0, mode: str = "auto"):
        self.monitor = Monitor(monitor, mode, threshold)
        self.patience = whole("EarlyStopping: the patience, in epochs,", patience)
        self.best, self.waited = self.monitor.worst, 0

    def before_fit(self, trainer: Trainer, state: Any) -> None:
        trainer.require(self.monitor)
        self.best, self.waited = self.monitor.worst, 0
        if state is not None:
            self.best, self.waited = float(state["best"]), int(state["waited"])
            self._judge(trainer)

    def after_epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        value = self.monitor.read(record)
        if self.monitor.better(value, self.best):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        self._judge(trainer)

    def state(self) -> dict[str, Any]:
        return {"best": repr(self.best), "waited": self.waited}

    def _judge(self, trainer: Trainer) -> None:
        if self.waited >= self.patience:
            trainer.stop(f"{self.monitor.name} has not got better than {self.best:.6g} for {self.waited} epochs")


class BestCheckpoint(Callback):
    """Writes a checkpoint after each epoch that is the best of the history so far, the first of equals."""

    saves = True

    def __init__(self, path: str | Path, monitor: str = "validation_accuracy", mode: str = "auto"):
        self.path, self.monitor = checked_path("BestCheckpoint", path), Monitor(monitor, mode)

    def before_fit(self, trainer: Trainer, state: Any) -> None:
        trainer.require(self.monitor)

    def after_epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        before = [float(r[self.monitor.name]) for r in trainer.history[:-1] if self.monitor.name in r]
        if all(self.monitor.better(self.monitor.read(record), value) for value in before):
            trainer.save(self.path)
