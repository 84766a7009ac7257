"""The history for TensorBoard, written by the tensorboard package's own writer, which needs neither TensorFlow nor
PyTorch. The extra `tensorboard` installs it; it is imported when a run begins.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checks import path
from .base import Callback

if TYPE_CHECKING:
    from ..trainer import Trainer


class TensorBoard(Callback):
    """Scalars of each epoch in an event file under `folder`, at the epoch's number: `tensorboard --logdir FOLDER`.

    Names are loss/training, loss/validation and so on, so that the two share a chart. A resumed run writes a new file
    beside the old one, and TensorBoard shows both as one run.
    """

    def __init__(self, folder: str | Path):
        self.folder = path("TensorBoard", folder)
        self._writer: Any = None

    def before_fit(self, trainer: Trainer, state: Any) -> None:
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise ImportError(
                "kw.callbacks.TensorBoard needs tensorboard: pip install 'kernelwright[tensorboard]'"
            ) from None
        self._writer = EventFileWriter(str(self.folder))

    def after_epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        import time

        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag(k), simple_value=float(v)) for k, v in record.items() if k != "epoch"]
        self._writer.add_event(Event(wall_time=time.time(), step=record["epoch"], summary=Summary(value=values)))
        self._writer.flush()

    def after_fit(self, trainer: Trainer) -> None:
        self._writer.close()


def tag(name: str) -> str:
    """The chart and line of a key of the history: validation_loss is loss/validation."""
    if name.startswith("validation_"):
        return f"{name.removeprefix('validation_')}/validation"
    return f"{name}/training" if name in ("loss", "accuracy") else name
