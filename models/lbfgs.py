"""L-BFGS: minimising any graph's value over variables, with the curvature of the last few steps.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989); the direction by the two loops
of Nocedal and Wright (2006), algorithm 7.4. The value and its gradient are one program, so an evaluation is one native
call. For one batch, or an image: noise from batch to batch would be taken for curvature. Leans on `line_search`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..compiler.errors import InputError
from ..compiler.graph.autodiff import grad
from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import get_value, set_value
from ..compiler.pipeline import compile
from .checks import SettingError, whole
from .line_search import Point, strong_wolfe

TINY_CURVATURE = 1e-10
"""A pair of changes is kept where their product is above this part of the step's square."""


class Evaluated(NamedTuple):
    """The loss and its gradient (numbers,) where the variables hold `x` (numbers,)."""

    x: np.ndarray
    value: float
    gradient: np.ndarray


class LBFGS:
    """Minimises `loss`, a scalar, over float `variables`; `inputs` are given to each step.

    history: pairs of changes that are kept. evaluations: at most so many of the loss in a step. Raises SettingError for
    a loss that is no scalar and for what is no variable of floats.
    """

    def __init__(
        self,
        loss: Tensor,
        variables: Sequence[Tensor],
        inputs: Sequence[Tensor] = (),
        *,
        history: int = 10,
        evaluations: int = 25,
        threads: int | None = None,
    ):
        self.variables = list(variables)
        if loss.shape != () or not loss.dtype.startswith("float"):
            raise SettingError(f"LBFGS: the loss is a scalar of floats, not {loss.brief()}")
        for v in self.variables:
            if v.op.name != "variable" or not v.dtype.startswith("float"):
                raise SettingError(f"LBFGS: minimises over variables of floats, not {v!r}")
        self.history = whole("LBFGS: history", history, 1)
        self.evaluations = whole("LBFGS: evaluations", evaluations, 1)
        self.calls = 0
        """Evaluations so far."""
        self._program = compile(list(inputs), [loss, *grad(loss, self.variables)], threads=threads)
        self.loss = loss
        self._shapes = [get_value(v).shape for v in self.variables]
        self._pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=self.history)

    def __repr__(self) -> str:
        return f"<LBFGS: {self.loss!r} over {len(self.variables)} variables, {self.calls} evaluations>"

    def step(self, *arrays: Any) -> float:
        """One step from where the variables are; the loss that it came to, with the variables there.

        The loss does not rise: where no lower point is found, the variables stay as they were. Raises InputError where
        the loss or its gradient is not finite to begin with.
        """
        return self._step(arrays, None).value

    def _step(self, arrays: Sequence[Any], before: Evaluated | None) -> Evaluated:
        """Where a step leads, and what is known there; `before` is that of the step before, for the same arrays."""
        x = self._position()
        if before is not None and np.array_equal(before.x, x):
            value, gradient = before.value, before.gradient
        else:
            value, gradient = self._evaluate(x, arrays)
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            raise InputError(f"LBFGS: the loss is {value} where the variables are, or its gradient is not finite")
        direction = self._direction(gradient)
        slope = float(gradient @ direction)
        if slope > -1e-14 * float(np.linalg.norm(gradient) * np.linalg.norm(direction)):
            self._pairs.clear()
            direction, slope = -gradient, -float(gradient @ gradient)
        if slope == 0:
            return Evaluated(x, value, gradient)
        gradients = {0.0: gradient}

        def at(length: float) -> Point:
            there, gradients[length] = self._evaluate(x + length * direction, arrays)
            return Point(length, there, float(gradients[length] @ direction))

        first = 1.0 if self._pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        try:
            found = strong_wolfe(at, Point(0.0, value, slope), first, self.evaluations)
        except BaseException:  # such as Ctrl-C: not at some trial point
            self._move(x)
            raise
        self._move(x + found.length * direction)
        self._remember(found.length * direction, gradients[found.length] - gradient)
        return Evaluated(self._position(), found.value, gradients[found.length])

    def minimize(
        self,
        *arrays: Any,
        iterations: int = 100,
        tolerance: float = 1e-9,
        watch: Callable[[int, float], None] | None = None,
    ) -> list[float]:
        """Steps until the loss changes by less than `tolerance` of itself, at most `iterations`; the loss after each.

        watch: called with the number of steps done and the loss.
        """
        losses: list[float] = []
        reached: Evaluated | None = None
        for number in range(1, iterations + 1):
            reached = self._step(arrays, reached)
            losses.append(reached.value)
            if watch is not None:
                watch(number, losses[-1])
            if number > 1 and abs(losses[-2] - losses[-1]) <= tolerance * max(abs(losses[-1]), abs(losses[-2])):
                break
        return losses

    def _position(self) -> np.ndarray:
        return np.concatenate([get_value(v).astype(np.float64).ravel() for v in self.variables])

    def _move(self, x: np.ndarray) -> None:
        start = 0
        for v, shape in zip(self.variables, self._shapes, strict=True):
            size = math.prod(shape)
            set_value(v, x[start : start + size].reshape(shape))
            start += size

    def _evaluate(self, x: np.ndarray, arrays: Sequence[Any]) -> tuple[float, np.ndarray]:
        self._move(x)
        self.calls += 1
        value, *gradients = self._program.run(arrays)
        return float(value), np.concatenate([g.astype(np.float64).ravel() for g in gradients])

    def _direction(self, gradient: np.ndarray) -> np.ndarray:
        """Minus the inverse Hessian, as the pairs describe it, times the gradient."""
        q, factors = gradient.copy(), []
        for s, y in reversed(self._pairs):
            a = float(s @ q) / float(s @ y)
            factors.append(a)
            q -= a * y
        if self._pairs:
            s, y = self._pairs[-1]
            q *= float(s @ y) / float(y @ y)
        for (s, y), a in zip(self._pairs, reversed(factors), strict=True):
            q += (a - float(y @ q) / float(s @ y)) * s
        return -q

    def _remember(self, s: np.ndarray, y: np.ndarray) -> None:
        if float(s @ y) > TINY_CURVATURE * float(s @ s):
            self._pairs.append((s, y))
