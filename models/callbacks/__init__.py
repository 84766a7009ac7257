"""What watches a run, as `kw.callbacks`: early stopping, the best checkpoint, logs, TensorBoard, learning curves."""

from __future__ import annotations

from .base import Callback
from .logs import CSV, JSONLines, LogError, log
from .plots import Plot, plot
from .stopping import BestCheckpoint, EarlyStopping
from .tensorboard import TensorBoard

__all__ = [
    "CSV",
    "BestCheckpoint",
    "Callback",
    "EarlyStopping",
    "JSONLines",
    "LogError",
    "Plot",
    "TensorBoard",
    "log",
    "plot",
]
