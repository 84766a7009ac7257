"""How a network is trained unless told otherwise, as data: optimizer, learning rate, epochs, batch, loss.

A recipe counts in epochs; `build` turns it into an optimizer once the steps per epoch are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..compiler.graph.tensor import Tensor
from . import losses, optimizers
from .checks import NOT_NEGATIVE, POSITIVE, PROBABILITY, SettingError, choice, number, whole
from .groups import Group
from .schedules import Constant, Cosine, MultiStep, OneCycle, Polynomial, Schedule, Step, WarmUp

SHAPES = ("constant", "cosine", "one-cycle", "linear", "steps", "exponential")


@dataclass(frozen=True)
class Recipe:
    """optimizer: the name of a class of `kw.optim`; options: its other arguments; schedule: one of SHAPES.

    milestones: the fractions of a run at which the schedule "steps" divides the rate by 10. factor, factor_epochs: what
    the schedule "exponential" multiplies the rate by, and how often.
    loss: the name of a function of `kw.losses`; loss_options: its arguments after outputs and targets.
    """

    optimizer: str = "SGD"
    learning_rate: float = 0.05
    schedule: str = "cosine"
    milestones: tuple[float, ...] = (1 / 2, 3 / 4)
    factor: float = 0.94
    factor_epochs: float = 2.0
    warm_up_epochs: float = 0.0
    epochs: int = 10
    batch: int = 128
    options: dict[str, Any] = field(default_factory=lambda: {"momentum": 0.9})
    loss: str = "cross_entropy"
    loss_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        choice("recipe: the schedule", self.schedule, SHAPES)
        number("recipe: learning_rate", self.learning_rate, NOT_NEGATIVE)
        number("recipe: factor", self.factor, POSITIVE)
        number("recipe: factor_epochs", self.factor_epochs, POSITIVE)
        number("recipe: warm_up_epochs", self.warm_up_epochs, NOT_NEGATIVE)
        whole("recipe: epochs", self.epochs)
        whole("recipe: batch", self.batch)
        for milestone in self.milestones:
            number("recipe: each of milestones", milestone, PROBABILITY)
        groups = self.options.get("groups", ())
        if any(isinstance(group, dict) for group in groups):  # as TOML and checkpoints have them
            made = [Group(**group) if isinstance(group, dict) else group for group in groups]
            object.__setattr__(self, "options", {**self.options, "groups": made})
        if self.optimizer not in optimizers.__all__:
            raise SettingError(f"recipe: kw.optim has no optimizer {self.optimizer!r}")
        if self.loss not in losses.of_pairs():
            raise SettingError(f"recipe: kw.losses has no loss {self.loss!r}; it has {', '.join(losses.of_pairs())}")

    def criterion(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss with its options: (outputs, integer targets) -> scalar mean."""
        loss = getattr(losses, self.loss)
        return partial(loss, **self.loss_options) if self.loss_options else loss

    def build(self, steps_per_epoch: int, epochs: int | None = None, constant: bool = False) -> optimizers.Optimizer:
        """The optimizer for a run of `epochs` (by default the recipe's); `constant` leaves the schedule out."""
        kind = getattr(optimizers, self.optimizer)
        if constant:
            steady: optimizers.Optimizer = kind(self.learning_rate, **self.options)
            return steady
        warm = round(self.warm_up_epochs * steps_per_epoch)
        left = max(steps_per_epoch * (self.epochs if epochs is None else epochs) - warm, 1)
        rate: Schedule = {
            "constant": Constant(self.learning_rate),
            "cosine": Cosine(self.learning_rate, left),
            "one-cycle": OneCycle(self.learning_rate, left),
            "linear": Polynomial(self.learning_rate, left),
            "exponential": Step(self.learning_rate, max(round(self.factor_epochs * steps_per_epoch), 1), self.factor),
            "steps": MultiStep(self.learning_rate, tuple(round(at * left) for at in self.milestones)),
        }[self.schedule]
        scheduled: optimizers.Optimizer = kind(WarmUp(warm, rate) if warm else rate, **self.options)
        return scheduled
