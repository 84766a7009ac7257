"""Optimizers, as `kw.optim`: gradient descent, those that divide by running squares, and the family of Adam.

Formulas and defaults are PyTorch's, term by term. Leans on `optimizer` for what they share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..compiler.graph.ops.elementwise import abs_, exp, expm1, maximum, sign, sqrt, where
from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import variable
from .arguments import explained
from .checks import PROBABILITY, SettingError, flag
from .clipping import clip_by_global_norm, clip_by_value, limit_rows
from .elsewhere import OPTIMIZERS, missing
from .groups import NO_DECAY, Group
from .lbfgs import LBFGS
from .optimizer import BY_NAME, NAMES, Groups, Optimizer, Updates
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
)


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


class Adadelta(Optimizer):
    """Gradients times the quotient of the running root mean squares of steps and of gradients (Zeiler 2012)."""

    @explained(NAMES, BY_NAME)
    def __init__(
        self,
        learning_rate: LearningRate = 1.0,
        *,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        groups: Groups = (),
    ):
        super().__init__(learning_rate, weight_decay, groups)
        self.rho, self.eps = self._set("rho", rho, PROBABILITY), self._set("eps", eps)

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        g = self.decayed(p, g)
        square, steps = self.slot("square", p), self.slot("steps", p)
        new = square * self.rho + g * g * (1 - self.rho)
        step = sqrt(steps + self.eps) / sqrt(new + self.eps) * g
        return {p: p - rate * step, square: new, steps: steps * self.rho + step * step * (1 - self.rho)}


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
        self.betas, self.eps = self._pair(betas), self._set("eps", eps)

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


class Adamax(Adam):
    """Adam with the greatest of decayed magnitudes in place of the root mean square (Kingma and Ba 2015, section 7)."""

    @explained(NAMES, BY_NAME)
    def __init__(
        self,
        learning_rate: LearningRate = 0.002,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        groups: Groups = (),
    ):
        super().__init__(learning_rate, betas, eps=eps, weight_decay=weight_decay, groups=groups)

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        b1, b2 = self.betas
        g = self.decayed(p, g)
        first, largest = self.slot("first", p), self.slot("largest", p)
        m = first * b1 + g * (1 - b1)
        u = maximum(largest * b2, abs_(g) + self.eps)
        return {p: p - rate / self._correction(b1) * m / u, first: m, largest: u}


class RAdam(Adam):
    """Adam that starts as descent with momentum, until the variance of its squares is known (Liu et al. 2020)."""

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        b1, b2 = self.betas
        g = self.decayed(p, g)
        first, second = self.slot("first", p), self.slot("second", p)
        m = first * b1 + g * (1 - b1)
        v = second * b2 + g * g * (1 - b2)
        certain, scale = self._certainty(b2)
        step = m if certain is None else where(certain, m * (scale.astype(p.dtype) / (sqrt(v) + self.eps)), m)
        return {p: p - rate / self._correction(b1) * step, first: m, second: v}

    def _certainty(self, beta: float) -> tuple[Tensor | None, Tensor]:
        """(is the variance known?, what the step over the root of the squares is then times), for this step.

        The paper's rho is the difference of sizes in the thousands, and a few: hence float64. None: it is never known.
        """
        t = self.steps().astype("float64")
        longest = 2 / (1 - beta) - 1
        if longest <= 5:
            return None, t
        left = exp(t * math.log(beta))
        rho = longest - t * 2.0 * left / (1.0 - left)
        certain = rho > 5
        known = where(certain, rho, 6.0)
        part = (known - 4.0) * (known - 2.0) * (longest / ((longest - 4) * (longest - 2))) / known
        return certain, sqrt(part * (1.0 - left))


class NAdam(Adam):
    """Adam with Nesterov's momentum, which grows by `momentum_decay` (Dozat 2016)."""

    @explained(NAMES, BY_NAME)
    def __init__(
        self,
        learning_rate: LearningRate = 0.002,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 0.004,
        groups: Groups = (),
    ):
        super().__init__(learning_rate, betas, eps=eps, weight_decay=weight_decay, groups=groups)
        self.momentum_decay = self._set("momentum_decay", momentum_decay)
        self._product = variable("optimizer.momenta", np.array(1.0))

    def updates(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Updates:
        out = super().updates(parameters, gradients)
        out[self._product] = self._product * self._momentum(0)
        return out

    def state(self) -> list[Tensor]:
        return [*super().state(), self._product]

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        b1, b2 = self.betas
        g = self.decayed(p, g)
        first, second = self.slot("first", p), self.slot("second", p)
        m = first * b1 + g * (1 - b1)
        v = second * b2 + g * g * (1 - b2)
        now, next_ = self._momentum(0), self._momentum(1)
        product = self._product * now
        of_g = ((1.0 - now) / (1.0 - product)).astype(p.dtype)
        of_m = (next_ / (1.0 - product * next_)).astype(p.dtype)
        root = sqrt(v) / sqrt(self._correction(b2)) + self.eps
        return {p: p - rate * (g * of_g + m * of_m) / root, first: m, second: v}

    def _momentum(self, later: int) -> Tensor:
        """The momentum of this step, or of one `later`, a scalar in float64."""
        t = self.steps().astype("float64") + float(later)
        return (1.0 - exp(t * (self.momentum_decay * math.log(0.96))) * 0.5) * self.betas[0]


class Lion(Optimizer):
    """Steps of one size, by the sign of an interpolated momentum (Chen et al. 2023, algorithm 2).

    Its rates are a third to a tenth of Adam's, and its weight decay is as many times larger.
    """

    @explained({**NAMES, "eps": "it is left out: nothing is divided"}, BY_NAME)
    def __init__(
        self,
        learning_rate: LearningRate = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        *,
        weight_decay: float = 0.0,
        groups: Groups = (),
    ):
        super().__init__(learning_rate, weight_decay, groups)
        self.betas = self._pair(betas)

    def rule(self, p: Tensor, g: Tensor, rate: Tensor) -> Updates:
        b1, b2 = self.betas
        first, decay = self.slot("first", p), self.decay(p)
        start = p * (1.0 - rate * decay) if decay else p
        return {p: start - rate * sign(first * b1 + g * (1 - b1)), first: first * b2 + g * (1 - b2)}


def named(name: str) -> Optimizer:
    """The optimizer of this name with its defaults, in any case: "sgd", "rmsprop", "adagrad", "adam", "adamw", ...

    Raises SettingError for another name.
    """
    kinds: dict[str, type[Optimizer]] = {k.__name__.lower(): k for k in KINDS}
    if name.lower() not in kinds:
        raise SettingError(f"optimizer: there is no {name!r}, only {', '.join(kinds)}")
    return kinds[name.lower()]()  # type: ignore[call-arg]


KINDS = (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, NAdam, RAdam, Lion)


__all__ = [
    "LBFGS",
    "NO_DECAY",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Constant",
    "Cosine",
    "Exponential",
    "Group",
    "Lion",
    "MultiStep",
    "NAdam",
    "OneCycle",
    "Optimizer",
    "Plateau",
    "Polynomial",
    "RAdam",
    "RMSprop",
    "Schedule",
    "Step",
    "WarmUp",
    "clip_by_global_norm",
    "clip_by_value",
    "limit_rows",
]

if not TYPE_CHECKING:  # a type checker is to find what does not exist

    def __getattr__(name: str) -> None:
        raise missing("kw.optim", name, OPTIMIZERS, __all__)
