"""Whether a quantity of the history gets better: which one, in which direction, and by how much to count.

Used by early stopping, the best checkpoint and plateau schedules. Leans on `checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .checks import NOT_NEGATIVE, SettingError, choice, number

GROWING = ("accuracy", "exact", "f1")
MODES = ("auto", "min", "max")


@dataclass(frozen=True)
class Monitor:
    """`name` is a key of a line of history. mode: "min", "max", or "auto": accuracies and F1 grow, anything else falls.

    A value is better where it beats the best so far by more than `threshold`.
    """

    name: str
    mode: str = "auto"
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise SettingError(f"monitor: a key of the history such as 'validation_loss', not {self.name!r}")
        if self.name.startswith("val_"):  # as Keras calls it
            object.__setattr__(self, "name", "validation_" + self.name.removeprefix("val_"))
        choice(f"monitor {self.name!r}: the mode", self.mode, MODES)
        number(f"monitor {self.name!r}: the threshold", self.threshold, NOT_NEGATIVE)

    @property
    def grows(self) -> bool:
        """Whether greater is better."""
        return self.mode == "max" or (self.mode == "auto" and self.name.endswith(GROWING))

    @property
    def worst(self) -> float:
        """What every number is better than."""
        return -float("inf") if self.grows else float("inf")

    def better(self, value: float, best: float) -> bool:
        """Whether `value` beats `best` by more than the threshold."""
        return value > best + self.threshold if self.grows else value < best - self.threshold

    def read(self, record: Mapping[str, Any]) -> float:
        """The value in a line of history. Raises ValueError naming those that there are."""
        if self.name not in record:
            hint = "; give fit validation data" if self.name.startswith("validation_") else ""
            raise SettingError(f"there is no {self.name!r} to watch, only {', '.join(record)}{hint}")
        return float(record[self.name])
