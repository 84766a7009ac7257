"""Sums over the part of an epoch that is done. Leans on NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Running:
    """What the steps of an epoch gave so far; plain numbers, kept in checkpoints."""

    loss: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0

    def add(self, losses: np.ndarray, correct: np.ndarray, batch: int, seconds: float) -> None:
        """Count steps of `batch` examples each: their mean losses and correct predictions, (steps,)."""
        for value in losses.tolist():
            self.loss += value * batch
        self.correct += int(correct.sum())
        self.seen += batch * len(losses)
        self.seconds += seconds

    def means(self) -> dict[str, float]:
        """{"loss", "accuracy"} per example."""
        seen = max(self.seen, 1)
        return {"loss": self.loss / seen, "accuracy": self.correct / seen}
