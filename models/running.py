"""Sums over the part of an epoch that is done. Leans on `labels` for what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .labels import Labels


@dataclass
class Running:
    """What the steps of an epoch gave so far; plain numbers, kept in checkpoints."""

    loss: float = 0.0
    counts: list[Any] = field(default_factory=list)
    seen: int = 0
    seconds: float = 0.0

    def add(self, losses: np.ndarray, counts: np.ndarray, batch: int, seconds: float) -> None:
        """Count steps of `batch` examples each: mean losses (steps,), and what was right (steps, kinds)."""
        for value in losses.tolist():
            self.loss += value * batch
        new = counts.sum(0, dtype="float64" if counts.dtype.kind == "f" else None).tolist()
        self.counts = [a + b for a, b in zip(self.counts, new, strict=True)] if self.counts else new
        self.seen += batch * len(losses)
        self.seconds += seconds

    def means(self, labels: Labels, classes: int) -> dict[str, float]:
        """The mean loss and the measures of these labels; at least one step is needed."""
        return {"loss": self.loss / self.seen, **labels.means(self.counts, self.seen, classes)}
