"""The losses, as `kw.losses`: each takes logits (or scores, or predictions) and targets and gives a scalar mean.

They are composed in `compiler.functions`; this file gathers them, and has those with settings of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..compiler.functions import binary_cross_entropy, cross_entropy, hinge, kl_divergence, mean_squared_error
from ..compiler.tensor import Tensor


@dataclass(frozen=True)
class CrossEntropy:
    """`cross_entropy` with its label smoothing chosen, to be given to a Trainer: targets are (1 - s) one-hot plus
    s / classes (Szegedy et al. 2016, section 7). Raises ValueError for a smoothing outside [0, 1)."""

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"CrossEntropy: the label smoothing lies in [0, 1), not {self.label_smoothing}")

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(logits, targets, self.label_smoothing)


__all__ = ["CrossEntropy", "binary_cross_entropy", "cross_entropy", "hinge", "kl_divergence", "mean_squared_error"]
