"""Learning rates as functions of the step, written as graph expressions so that many steps run in one native call.

Step 0 is the first update. Durations are in steps. Leans on the DSL; `at` reads a schedule off with NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..compiler.graph import reference
from ..compiler.graph.ops.elementwise import clip, cos, exp, floor, maximum, minimum, where
from ..compiler.graph.tensor import Tensor, as_tensor
from .checks import NOT_NEGATIVE, POSITIVE, PROBABILITY, Interval, SettingError, number, whole
from .monitor import Monitor


@dataclass(frozen=True)
class Schedule:
    """A learning rate that depends on the step: `schedule(step)` is a scalar tensor."""

    def __call__(self, step: Tensor) -> Tensor:
        """The rate (float32 scalar) as an expression of the step counter (any integer or float scalar)."""
        return self.rate(step.astype("float32"))

    def rate(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def at(self, step: int) -> float:
        """The rate at one step, as a number."""
        return float(reference.evaluate([self(as_tensor(step))], {})[0])

    def state(self) -> list[Tensor]:
        """The variables that the rate depends on besides the step; kept in checkpoints."""
        return []

    def monitors(self) -> list[Monitor]:
        """What `observe` reads of a line of history."""
        return []

    def observe(self, record: Mapping[str, Any]) -> None:
        """An epoch is over; `record` is its line of history."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate throughout."""

    initial: float

    def __post_init__(self) -> None:
        _numbers(self, initial=NOT_NEGATIVE)

    def rate(self, t: Tensor) -> Tensor:
        return as_tensor(float(self.initial))


@dataclass(frozen=True)
class Step(Schedule):
    """Multiplied by `factor` every `every` steps (PyTorch's StepLR)."""

    initial: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _numbers(self, initial=NOT_NEGATIVE, factor=POSITIVE)
        _steps(self, every=1)

    def rate(self, t: Tensor) -> Tensor:
        return _power(self.factor, floor((t + 0.5) / self.every)) * self.initial


@dataclass(frozen=True)
class MultiStep(Schedule):
    """Multiplied by `factor` at each of the steps in `milestones` (PyTorch's MultiStepLR)."""

    initial: float
    milestones: tuple[int, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        _numbers(self, initial=NOT_NEGATIVE, factor=POSITIVE)
        if not isinstance(self.milestones, Iterable) or isinstance(self.milestones, str):
            raise SettingError(f"MultiStep: milestones are several steps such as (100, 200), not {self.milestones!r}")
        steps = sorted(whole("MultiStep: each of milestones", m, 0) for m in self.milestones)
        object.__setattr__(self, "milestones", tuple(steps))

    def rate(self, t: Tensor) -> Tensor:
        passed = as_tensor(0.0)
        for milestone in self.milestones:
            passed = passed + where(t >= float(milestone), 1.0, 0.0)
        return _power(self.factor, passed) * self.initial


@dataclass(frozen=True)
class Exponential(Schedule):
    """initial * factor^step (PyTorch's ExponentialLR)."""

    initial: float
    factor: float

    def __post_init__(self) -> None:
        _numbers(self, initial=NOT_NEGATIVE, factor=POSITIVE)

    def rate(self, t: Tensor) -> Tensor:
        return _power(self.factor, t) * self.initial


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from `initial` down to `final` over `steps`, then `final` (Loshchilov and Hutter 2017)."""

    initial: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _numbers(self, initial=NOT_NEGATIVE, final=NOT_NEGATIVE)
        _steps(self, steps=1)

    def rate(self, t: Tensor) -> Tensor:
        return _cosine(self.initial, self.final, t / max(self.steps, 1))


@dataclass(frozen=True)
class Polynomial(Schedule):
    """From `initial` to `final` as (1 - step/steps)^power, then `final` (PyTorch's PolynomialLR where final is 0)."""

    initial: float
    steps: int
    power: float = 1.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _numbers(self, initial=NOT_NEGATIVE, power=POSITIVE, final=NOT_NEGATIVE)
        _steps(self, steps=1)

    def rate(self, t: Tensor) -> Tensor:
        left = 1.0 - minimum(t / max(self.steps, 1), 1.0)
        return (left if self.power == 1 else left**self.power) * (self.initial - self.final) + self.final


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Rises in a straight line over `steps` to the rate of `after`, which then starts from its own step 0."""

    steps: int
    after: Schedule

    def __post_init__(self) -> None:
        _steps(self, steps=0)
        object.__setattr__(self, "after", as_schedule(self.after))

    def rate(self, t: Tensor) -> Tensor:
        later = self.after(maximum(t - self.steps, 0.0))
        return where(t < self.steps, later * ((t + 1.0) / (self.steps + 1)), later)

    def state(self) -> list[Tensor]:
        return self.after.state()

    def monitors(self) -> list[Monitor]:
        return self.after.monitors()

    def observe(self, record: Mapping[str, Any]) -> None:
        self.after.observe(record)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to `peak` over the first `rise` of `steps`, then down, both as half cosines (Smith and Topin 2019).

    Agrees with PyTorch's OneCycleLR: starts at peak / divide, ends at peak / divide / divide_final.
    """

    peak: float
    steps: int
    rise: float = 0.3
    divide: float = 25.0
    divide_final: float = 1e4

    def __post_init__(self) -> None:
        _numbers(self, peak=NOT_NEGATIVE, rise=PROBABILITY, divide=POSITIVE, divide_final=POSITIVE)
        _steps(self, steps=1)

    def rate(self, t: Tensor) -> Tensor:
        top, last = self.rise * self.steps - 1, self.steps - 1
        low = self.peak / self.divide
        up = _cosine(low, self.peak, t / max(top, 1e-6))
        down = _cosine(self.peak, low / self.divide_final, clip((t - top) / max(last - top, 1e-6), 0.0, 1.0))
        return where(t <= top, up, down)


def _numbers(schedule: Schedule, **allowed: Interval) -> None:
    """Check these fields, and keep them as plain floats, which checkpoints can hold."""
    for name, interval in allowed.items():
        value = number(f"{type(schedule).__name__}: {name}", getattr(schedule, name), interval)
        object.__setattr__(schedule, name, value)


def _steps(schedule: Schedule, **least: int) -> None:
    """Check these durations."""
    for name, least_of_it in least.items():
        value = whole(f"{type(schedule).__name__}: {name}", getattr(schedule, name), least_of_it)
        object.__setattr__(schedule, name, value)


def _cosine(start: float, end: float, fraction: Tensor) -> Tensor:
    return (cos(minimum(fraction, 1.0) * math.pi) + 1.0) * ((start - end) / 2) + end


def _power(base: float, exponent: Tensor) -> Tensor:
    return exp(exponent * math.log(base))


LearningRate: TypeAlias = float | Schedule


def as_schedule(rate: LearningRate) -> Schedule:
    """A schedule from a schedule or a number. Raises SettingError for anything else, and for a rate below 0."""
    if isinstance(rate, Schedule):
        return rate
    if isinstance(rate, type) and issubclass(rate, Schedule):
        raise SettingError(f"a learning rate is a number or a schedule, not the class {rate.__name__}: make one of it")
    hint = "; the parameters are given to updates(parameters, gradients)" if isinstance(rate, list) else ""
    return Constant(number("a learning rate, where it is no schedule,", rate, NOT_NEGATIVE, hint))
