"""Optimizers, as `kw.optim`: from parameters and gradients to the updates of a training program.

Formulas and defaults are PyTorch's, term by term. An optimizer's own state (moments, the step counter) is made of
variables, so that a step is one program without Python in it. Leans on `schedules` for the learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from ..compiler.graph.ops.elementwise import expm1, sqrt
from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import variable
from .arguments import explained
from .checks import FRACTION, NOT_NEGATIVE, PROBABILITY, Interval, SettingError, flag, number
from .clipping import clip_by_global_norm, clip_by_value, limit_rows
from .groups import NO_DECAY, Group, assign, check
from .lbfgs import LBFGS
from .plateau import Plateau
from .schedules import (
    Constant,
    Cosine,
    Exponential,
    LearningRate,
    MultiStep,
    OneCycle,
    Polynomial,
    Schedule,
    Step,
    WarmUp,
    as_schedule,
)
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

    def updates(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Updates:
        """New expressions for every parameter, the optimizer's state and its step counter, for `kw.compile`.

        Raises ValueError where parameters and gradients do not pair up, or a group has no parameters.
        """
        if len(parameters) != len(gradients):
            raise SettingError(f"{len(parameters)} parameters were given with {len(gradients)} gradients")
        rate = self.learning_rate(self.counter)
        self._group_of = assign(self.groups, parameters)
        out: Updates = {}
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
            value = np.full(p.attrs.state.shape, initial, p.dtype)
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


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Sutskever et al. 2013 for Nesterov's)."""

    @explained(NAMES, BY_NAME)
    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        groups: Groups = (),
    ):
        super().__init__(learning_rate, weight_decay, groups)
        self.momentum = self._set("momentum", momentum, PROBABILITY)
        self.nesterov = flag("SGD: nesterov", nesterov)
        if nesterov and not momentum:
            raise SettingError("SGD: nesterov needs a momentum above 0")

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        g = self.decayed(p, g)
        if not self.momentum:
            return {p: p - rate * g}
        velocity = self.slot("velocity", p)
        new = velocity * self.momentum + g
        step = g + new * self.momentum if self.nesterov else new
        return {p: p - rate * step, velocity: new}


class RMSprop(Optimizer):
    """Gradients over a running root mean square (Tieleman and Hinton 2012)."""

    @explained(NAMES, BY_NAME)
    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        groups: Groups = (),
    ):
        super().__init__(learning_rate, weight_decay, groups)
        self.alpha, self.eps = self._set("alpha", alpha, PROBABILITY), self._set("eps", eps)
        self.momentum = self._set("momentum", momentum, PROBABILITY)

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        g = self.decayed(p, g)
        square = self.slot("square", p)
        new = square * self.alpha + g * g * (1 - self.alpha)
        step = g / (sqrt(new) + self.eps)
        if not self.momentum:
            return {p: p - rate * step, square: new}
        velocity = self.slot("velocity", p)
        faster = velocity * self.momentum + step
        return {p: p - rate * faster, square: new, velocity: faster}


class Adagrad(Optimizer):
    """Gradients over the root of the sum of their squares (Duchi, Hazan, Singer 2011)."""

    @explained(NAMES, BY_NAME)
    def __init__(
        self, learning_rate: LearningRate = 0.01, *, eps: float = 1e-10, weight_decay: float = 0.0, groups: Groups = ()
    ):
        super().__init__(learning_rate, weight_decay, groups)
        self.eps = self._set("eps", eps)

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        g = self.decayed(p, g)
        total = self.slot("square_sum", p)
        new = total + g * g
        return {p: p - rate * g / (sqrt(new) + self.eps), total: new}


class Adam(Optimizer):
    """Running means of gradient and square, corrected for their start at zero (Kingma and Ba 2015, algorithm 1)."""

    @explained(NAMES, BY_NAME)
    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        groups: Groups = (),
    ):
        super().__init__(learning_rate, weight_decay, groups)
        kind = type(self).__name__
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise SettingError(f"{kind}: betas are a pair such as (0.9, 0.999), not {betas!r}")
        self.betas = (self._set("each of betas", betas[0], FRACTION), self._set("each of betas", betas[1], FRACTION))
        self.eps = self._set("eps", eps)

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        return self._moments(p, p, self.decayed(p, g), rate)

    def _moments(self, p: Tensor, start: Tensor, g: Tensor, rate: Tensor) -> Updates:
        """The step taken from `start`, which is p or p already decayed."""
        b1, b2 = self.betas
        first, second = self.slot("first", p), self.slot("second", p)
        m = first * b1 + g * (1 - b1)
        v = second * b2 + g * g * (1 - b2)
        scale = rate / self._correction(b1)
        root = sqrt(v) / sqrt(self._correction(b2)) + self.eps
        return {p: start - scale * m / root, first: m, second: v}

    def _correction(self, beta: float) -> Tensor | float:
        """1 - beta^t, without the cancellation that float32 would see near beta = 1."""
        return -expm1(self.steps() * math.log(beta)) if beta else 1.0


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019)."""

    @explained(NAMES, BY_NAME)
    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        groups: Groups = (),
    ):
        super().__init__(learning_rate, betas, eps=eps, weight_decay=weight_decay, groups=groups)

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        decay = self.decay(p)
        start = p * (1.0 - rate * decay) if decay else p
        return self._moments(p, start, g, rate)


def named(name: str) -> Optimizer:
    """The optimizer of this name with its defaults, in any case: "sgd", "rmsprop", "adagrad", "adam", "adamw".

    Raises SettingError for another name.
    """
    kinds: dict[str, type[Optimizer]] = {k.__name__.lower(): k for k in (SGD, RMSprop, Adagrad, Adam, AdamW)}
    if name.lower() not in kinds:
        raise SettingError(f"optimizer: there is no {name!r}, only {', '.join(kinds)}")
    return kinds[name.lower()]()  # type: ignore[call-arg]


__all__ = [
    "LBFGS",
    "NO_DECAY",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "Exponential",
    "Group",
    "MultiStep",
    "OneCycle",
    "Optimizer",
    "Plateau",
    "Polynomial",
    "RMSprop",
    "Schedule",
    "Step",
    "WarmUp",
    "clip_by_global_norm",
    "clip_by_value",
    "limit_rows",
]
