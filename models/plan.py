"""How long a run is meant to be: the epochs that its learning rate was laid out for, and by which recipe.

A recipe's schedule follows the epochs asked for. Where a run goes on beyond them, it is laid out anew for the new
number, and the run goes on at the step where it is. Leans on `recipe` and `schedules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..compiler.graph.variable import get_value
from ..runtime.checkpoint import CheckpointError
from .checks import SettingError
from .optimizers import Optimizer
from .recipe import Recipe
from .schedules import Constant, Schedule

GONE = 1e-6
"""The part of its greatest rate below which a schedule has ended."""


@dataclass(frozen=True)
class Plan:
    """epochs: those of the last fit, None before any. recipe: what made the optimizer, None for a user's own."""

    epochs: int | None = None
    recipe: Recipe | None = None

    def describe(self) -> dict[str, Any]:
        """As plain data, for checkpoints."""
        return {"epochs": self.epochs, "recipe": None if self.recipe is None else asdict(self.recipe)}

    @staticmethod
    def revive(said: Mapping[str, Any] | None, path: Any) -> Plan:
        """What `describe` described. Raises CheckpointError for what it did not write."""
        given = said or {}
        recipe = given.get("recipe")
        try:
            return Plan(given.get("epochs"), None if recipe is None else _recipe(recipe))
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: its recipe cannot be read: {error}") from None

    def rate(self, steps_per_epoch: int, epochs: int) -> Schedule | None:
        """The recipe's schedule for so many epochs; None where the plan has no recipe, or is for them already."""
        if self.recipe is None or self.epochs == epochs:
            return None
        return self.recipe.build(steps_per_epoch, epochs).learning_rate


def check_rate(optimizer: Optimizer, last: int) -> None:
    """Raises SettingError where the learning rate has ended: a run from here to step `last` would change nothing."""
    rate, now = optimizer.learning_rate, int(get_value(optimizer.counter))
    if isinstance(rate, Constant) or last <= now:
        return
    least = GONE * max(rate.at(0), rate.at(now // 2))
    if max(rate.at(now), rate.at((now + last) // 2), rate.at(last - 1)) <= least:
        raise SettingError(
            f"fit: the learning rate has ended: {rate} gives {rate.at(now):.3g} at step {now} and after; set "
            "trainer.optimizer.learning_rate to a schedule as long as the run, or give another optimizer"
        )


def _recipe(said: Mapping[str, Any]) -> Recipe:
    known = {f.name for f in fields(Recipe)}
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items() if k in known}
    return Recipe(**given)
