"""How a network is trained unless told otherwise, as data: optimizer, learning rate, epochs, batch.

A recipe counts in epochs; `build` turns it into an optimizer once the steps per epoch are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import optimizers
from .schedules import Constant, Cosine, MultiStep, OneCycle, Polynomial, Schedule, WarmUp

SHAPES = ("constant", "cosine", "one-cycle", "linear", "steps")


@dataclass(frozen=True)
class Recipe:
    """optimizer: the name of a class of `kw.optim`; options: its other arguments; schedule: one of SHAPES.

    milestones: the fractions of a run at which the schedule "steps" divides the rate by 10.
    """

    optimizer: str = "SGD"
    learning_rate: float = 0.05
    schedule: str = "cosine"
    milestones: tuple[float, ...] = (1 / 2, 3 / 4)
    warm_up_epochs: float = 0.0
    epochs: int = 10
    batch: int = 128
    options: dict[str, Any] = field(default_factory=lambda: {"momentum": 0.9})

    def __post_init__(self) -> None:
        if self.schedule not in SHAPES:
            raise ValueError(f"recipe: the schedule is one of {', '.join(SHAPES)}, not {self.schedule!r}")
        if self.optimizer not in optimizers.__all__:
            raise ValueError(f"recipe: kw.optim has no optimizer {self.optimizer!r}")

    def build(self, steps_per_epoch: int, epochs: int | None = None, constant: bool = False) -> optimizers.Optimizer:
        """The optimizer for a run of `epochs` (by default the recipe's); `constant` leaves the schedule out."""
        kind = getattr(optimizers, self.optimizer)
        if constant:
            return kind(self.learning_rate, **self.options)
        warm = round(self.warm_up_epochs * steps_per_epoch)
        left = max(steps_per_epoch * (self.epochs if epochs is None else epochs) - warm, 1)
        rate: Schedule = {
            "constant": Constant(self.learning_rate),
            "cosine": Cosine(self.learning_rate, left),
            "one-cycle": OneCycle(self.learning_rate, left),
            "linear": Polynomial(self.learning_rate, left),
            "steps": MultiStep(self.learning_rate, tuple(round(at * left) for at in self.milestones)),
        }[self.schedule]
        return kind(WarmUp(warm, rate) if warm else rate, **self.options)
