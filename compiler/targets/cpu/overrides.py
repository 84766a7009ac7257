"""What a user wants of schedules besides what the compiler chooses: tiles by measuring, texts for named kernels.

Leans on `schedule_text`, and on `tuning` where something is to be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...loops.kernels import Kernel
from .schedule_text import overridden

if TYPE_CHECKING:
    from .tuning import Tuned

Progress = Callable[[str, int, int], None]
"""Called with a kernel's name, how many kernels are tuned, and of how many."""


@dataclass(frozen=True)
class Wishes:
    """`schedules`: texts by kernels' names or patterns. `tune`: threads to measure tiles with, 0 to measure nothing.
    `tuned` holds what was measured, once applied."""

    schedules: Mapping[str, str] = field(default_factory=dict)
    tune: int = 0
    report: Progress | None = None
    tuned: list[Tuned] = field(default_factory=list)

    def apply(self, kernels: Sequence[Kernel]) -> None:
        """Change the schedules of `kernels`, in place. Raises CompileError for a text that does not fit."""
        if self.tune:
            from .tuning import tune

            self.tuned.extend(tune(kernels, self.tune, self.report))
        overridden(kernels, self.schedules)
