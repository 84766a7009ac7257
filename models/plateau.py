"""A learning rate that is cut where training stops getting better; its state is variables, kept in checkpoints.

The trainer tells the schedule each epoch's line of history. Leans on `schedules` and `monitor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compiler.graph.ops.elementwise import maximum, minimum
from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import get_value, set_value, variable
from .checks import INSIDE, NOT_NEGATIVE, number, whole
from .monitor import Monitor
from .schedules import LearningRate, Schedule, as_schedule


@dataclass(frozen=True)
class Plateau(Schedule):
    """The rate of `after` (a number or a schedule), times `factor` each time `monitor` has not got better for more
    than `patience` epochs (PyTorch's ReduceLROnPlateau with threshold_mode="abs").

    threshold: by how much it has to get better to count. cooldown: epochs after a cut in which none are counted.
    minimum: cuts do not go below it. mode: "auto", "min" or "max".
    """

    after: LearningRate
    factor: float = 0.1
    patience: int = 10
    monitor: str = "validation_loss"
    mode: str = "auto"
    threshold: float = 1e-4
    cooldown: int = 0
    minimum: float = 0.0
    _scale: Tensor = field(init=False, compare=False, repr=False)
    _counts: Tensor = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        number("Plateau: the factor", self.factor, INSIDE)
        whole("Plateau: patience", self.patience, 0)
        whole("Plateau: cooldown", self.cooldown, 0)
        number("Plateau: minimum", self.minimum, NOT_NEGATIVE)
        inner, watched = as_schedule(self.after), self._watched()
        object.__setattr__(self, "after", inner)
        object.__setattr__(self, "_scale", variable("plateau.scale", np.array(1, "float32")))
        counts = np.array([watched.worst, 0.0, 0.0])
        object.__setattr__(self, "_counts", variable("plateau.counts", counts, "float64"))

    def rate(self, t: Tensor) -> Tensor:
        full = as_schedule(self.after).rate(t)
        return maximum(full * self._scale, minimum(full, self.minimum))

    def state(self) -> list[Tensor]:
        return [self._scale, self._counts, *as_schedule(self.after).state()]

    def monitors(self) -> list[Monitor]:
        return [self._watched(), *as_schedule(self.after).monitors()]

    def observe(self, record: Mapping[str, Any]) -> None:
        watched = self._watched()
        value = watched.read(record)
        best, waited, cooling = get_value(self._counts).tolist()
        if watched.better(value, best):
            best, waited = value, 0.0
        else:
            waited += 1
        if cooling > 0:
            cooling, waited = cooling - 1, 0.0
        if waited > self.patience:
            set_value(self._scale, get_value(self._scale) * np.float32(self.factor))
            cooling, waited = float(self.cooldown), 0.0
        set_value(self._counts, np.array([best, waited, cooling]))
        as_schedule(self.after).observe(record)

    def _watched(self) -> Monitor:
        return Monitor(self.monitor, self.mode, self.threshold)
