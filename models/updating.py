"""From gradients to updates: accumulated over micro-batches, clipped, applied, and averaged over steps.

All of it is expressions of the one training program. Leans on `optimizers` and `clipping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..compiler.graph.ops.elementwise import where
from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import get_value, variable
from .checks import INSIDE, POSITIVE, SettingError, number, whole
from .clipping import check_limit, clip_by_global_norm, clip_by_value
from .optimizer import Optimizer, Updates
from .precision import check


@dataclass(frozen=True)
class Updating:
    """What is done around the optimizer; plain numbers, kept in checkpoints.

    clip_norm, clip_value: limits of the gradients, by value first where both are given. ema: the decay of an
    exponential moving average of the parameters (Polyak and Juditsky 1992 average; with decay as in Szegedy et al.
    2016), which begins at their values before the first update. accumulate: micro-batches per update. precision,
    loss_scale: see `precision`; the factor of the loss is None where there is none. adversarial: how far each number
    of an image moves along the sign of the loss's gradient, for the half of the loss that is of images so moved
    (Goodfellow, Shlens, Szegedy 2014, arXiv:1412.6572, section 6); None for no such half.
    """

    clip_norm: float | None = None
    clip_value: float | None = None
    ema: float | None = None
    accumulate: int = 1
    precision: str | None = None
    loss_scale: float | None = None
    adversarial: float | None = None

    def __post_init__(self) -> None:
        for name in ("clip_norm", "clip_value"):
            if getattr(self, name) is not None:
                check_limit(name, getattr(self, name))
        if self.ema is not None:
            number("ema: the decay of the average, as 0.999,", self.ema, INSIDE)
        if self.adversarial is not None:
            number("adversarial: how far an image's numbers move, as 0.25,", self.adversarial, POSITIVE)
        whole("accumulate: micro-batches per update", self.accumulate)
        check(self.precision)
        if self.loss_scale is not None:
            number("loss_scale: the loss's first factor, as 32768,", self.loss_scale, POSITIVE)
        if self.loss_scale is not None and self.accumulate > 1:
            raise SettingError("loss_scale: a scaled loss and accumulated gradients do not go together; choose one")

    def clip(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The gradients as the optimizer gets them."""
        out = list(gradients)
        if self.clip_value is not None:
            out = clip_by_value(out, self.clip_value)
        return out if self.clip_norm is None else clip_by_global_norm(out, self.clip_norm)


@dataclass(frozen=True)
class Step:
    """updates: for `kw.compile`. averages: each parameter's, where there are any. state: variables made for these."""

    updates: Updates
    averages: dict[Tensor, Tensor] = field(default_factory=dict)
    state: list[Tensor] = field(default_factory=list)


def plain(options: Updating, optimizer: Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Step:
    """An update from every batch."""
    updates = optimizer.updates(parameters, options.clip(gradients))
    if options.ema is None:
        return Step(updates)
    averages = {p: variable(f"average.{p.attrs.name}", get_value(p)) for p in parameters}
    # Written as old + (new - old) (1 - decay): exact where a parameter does not move.
    moved = {a: a + (updates[p] - a) * (1.0 - options.ema) for p, a in averages.items()}
    return Step({**updates, **moved}, averages, list(averages.values()))


def accumulated(
    options: Updating,
    optimizer: Optimizer,
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    examples: Tensor,
    apply: Tensor,
) -> Step:
    """An update where `apply` (a bool scalar) holds, from the gradients of all micro-batches since the last one.

    gradients: means over this micro-batch of `examples` (a float scalar). They are weighted by it, so that the update
    is that of one big batch whatever the sizes of its parts.
    """
    sums = {p: variable(f"accumulated.{p.attrs.name}", np.zeros(p.attrs.state.shape, p.dtype)) for p in parameters}
    seen = variable("accumulated.examples", np.array(0, "float32"))
    total, totals = (
        seen + examples,
        [sums[p] + g * examples.astype(g.dtype) for p, g in zip(parameters, gradients, strict=True)],
    )
    step = plain(options, optimizer, parameters, [t / total.astype(t.dtype) for t in totals])
    updates = {v: where(apply, new, v) for v, new in step.updates.items()}
    kept = {sums[p]: where(apply, 0.0, t) for p, t in zip(parameters, totals)}
    state = [*step.state, *sums.values(), seen]
    return Step({**updates, **kept, seen: where(apply, 0.0, total)}, step.averages, state)
