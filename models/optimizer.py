"""What an optimizer is: from parameters and gradients to the updates of a training program.

Its own state (moments, the step counter) is made of variables, so that a step is one program without Python in it.
Leans on `schedules` for the learning rate, on `groups` for parameters with settings of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import variable
from ..compiler.uncollected import uncollected
from .checks import FRACTION, NOT_NEGATIVE, Interval, SettingError, number
from .clipping import limit_rows
from .groups import Group, assign, check
from .schedules import LearningRate, as_schedule
from .shown import Shown

RATE = "here it is learning_rate"
NAMES = {
    "lr": RATE,
    "params": "the parameters are given to updates(parameters, gradients), or by the Trainer",
    "rho": "here it is alpha",
    "epsilon": "here it is eps",
    "decay": "weight_decay, or a schedule as learning_rate",
    "beta_1": "here it is betas=(0.9, 0.999)",
    "beta_2": "here it is betas=(0.9, 0.999)",
    "clipnorm": "kw.Trainer(..., clip_norm=1.0), or kw.optim.clip_by_global_norm",
    "clipvalue": "kw.Trainer(..., clip_value=1.0), or kw.optim.clip_by_value",
}
BY_NAME = "the rest goes by name, as in SGD(0.1, momentum=0.9, weight_decay=1e-4)"

Updates = dict[Tensor, Tensor]
Groups = Group | Iterable[Group]


class Optimizer(Shown):
    """Subclasses write `rule`: the new value of one parameter and of its state.

    groups: parameters with a weight decay, a multiple of the learning rate or a limit of norms of their own.
    """

    def __init__(self, learning_rate: LearningRate, weight_decay: float = 0.0, groups: Groups = ()):
        self.learning_rate = as_schedule(learning_rate)
        self.weight_decay = self._set("weight_decay", weight_decay)
        self.groups = check(groups)
        self.counter = variable("optimizer.step", np.array(0, "int32"))
        self._slots: dict[tuple[str, Tensor], Tensor] = {}
        self._group_of: dict[Tensor, Group] = {}

    def _set(self, name: str, value: float, allowed: Interval = NOT_NEGATIVE) -> float:
        """A setting, checked."""
        return number(f"{type(self).__name__}: {name}", value, allowed)

    def _pair(self, betas: tuple[float, float]) -> tuple[float, float]:
        """Two running means' weights of what was, checked."""
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise SettingError(f"{type(self).__name__}: betas are a pair such as (0.9, 0.999), not {betas!r}")
        return self._set("each of betas", betas[0], FRACTION), self._set("each of betas", betas[1], FRACTION)

    def updates(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Updates:
        """New expressions for every parameter, the optimizer's state and its step counter, for `kw.compile`.

        Raises ValueError where parameters and gradients do not pair up, or a group has no parameters.
        """
        if len(parameters) != len(gradients):
            raise SettingError(f"{len(parameters)} parameters were given with {len(gradients)} gradients")
        rate = self.learning_rate(self.counter)
        self._group_of = assign(self.groups, parameters)
        out: Updates = {}
        with uncollected():
            for p, g in zip(parameters, gradients, strict=True):
                if p.op.name != "variable" or p.shape != g.shape:
                    raise SettingError(f"the gradient {g.brief()} does not belong to the parameter {p!r}")
                group = self._group_of.get(p)
                out.update(self.rule(p, g, rate if group is None or group.rate == 1 else rate * group.rate))
                if group is not None and group.max_norm is not None:
                    out[p] = limit_rows(out[p], group.max_norm)
        out[self.counter] = self.counter + 1
        return out

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        raise NotImplementedError

    def state(self) -> list[Tensor]:
        """The step counter, the schedule's variables, and those kept for each parameter so far, in order."""
        return [self.counter, *self.learning_rate.state(), *self._slots.values()]

    def slot(self, kind: str, p: Tensor, initial: float = 0.0) -> Tensor:
        """The state variable `kind` of a parameter, made (float32, of its shape) where it does not exist yet."""
        if (kind, p) not in self._slots:
            value = np.broadcast_to(np.asarray(initial, p.dtype), p.attrs.state.shape)
            self._slots[kind, p] = variable(f"optimizer.{kind}.{p.attrs.name}", value)
        return self._slots[kind, p]

    def decayed(self, p: Tensor, g: Tensor) -> Tensor:
        """The gradient with that of weight_decay / 2 |p|^2 added."""
        decay = self.decay(p)
        return g + p * decay if decay else g

    def decay(self, p: Tensor) -> float:
        """The weight decay of a parameter: its group's or, where that has none, the optimizer's."""
        group = self._group_of.get(p)
        return self.weight_decay if group is None or group.weight_decay is None else group.weight_decay

    def steps(self) -> Tensor:
        """The number of this step, counted from 1, float32."""
        return (self.counter + 1).astype("float32")
