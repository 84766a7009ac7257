"""The loop levels of a kernel's text: what is nested in what, and which values are known where.

A value is known from the level on at which it was written, until that level closes. Leans on `names`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...loops.expressions import Axis, Expr
from ...shapes import Dim, nominal
from .names import LITERAL_SIZE, Names

FEW_TRIPS = 32
"""Up to here, the scalar rest of a vector loop takes longer than masks in all of it."""


@dataclass
class Level:
    """One nesting of the code: its header (`for ...`, `if ...`), the axes it binds, its lines and known values."""

    header: str | None
    bound: frozenset[Axis]
    conditional: bool = False
    lines: list[str] = field(default_factory=list)
    values: dict[Expr, str] = field(default_factory=dict)


class Levels:
    """A stack of open levels, and the lines written so far."""

    def __init__(self, names: Names, masks: bool = False):
        self.names = names
        self.masks = masks
        self.axis_names: dict[Axis, str] = {}
        self.levels: list[Level] = [Level(None, frozenset())]
        self.scratch: list[str] = []
        self.definitions: dict[str, str] = {}
        self._fresh: Counter[str] = Counter()

    def fresh(self, stem: str) -> str:
        self._fresh[stem] += 1
        return f"{stem}{self._fresh[stem] - 1}"

    def line(self, text: str) -> None:
        self.levels[-1].lines.append(text)

    @contextmanager
    def nest(self, header: str, *axes: Axis, conditional: bool = False, trips: Dim | None = None) -> Iterator[Level]:
        """A level inside the present one; its text is placed in its parent when it closes.

        trips: of a loop that LLVM may vectorise, how many it has; where they are few, its last vector is masked.
        """
        level = Level(header, frozenset(axes), conditional)
        self.levels.append(level)
        yield level
        self.levels.pop()
        if level.lines:
            inner = not any(line.lstrip().startswith("for ") for line in level.lines)
            short = self.masks and inner and trips is not None and masks_pay(trips)
            lines = ["masked()", *level.lines] if short else level.lines
            self.levels[-1].lines += [header, *("    " + text for text in lines)]

    def bind(self, axis: Axis, name: str) -> str:
        self.axis_names[axis] = name
        return name

    def text(self, name: str, arguments: Sequence[str]) -> str:
        body = [*self.names.header(), *self.scratch, *self.levels[0].lines]
        kernel = "\n".join([f"def {name}({', '.join(arguments)}):", *("    " + line for line in body), ""])
        return "\n".join([*self.definitions.values(), kernel])


def masks_pay(trips: Dim) -> bool:
    """Is a loop of so many trips spent in the rest after its whole vectors? What stands in the text is unrolled."""
    unrolled = isinstance(trips, int) and (trips < 8 or (trips > LITERAL_SIZE and trips % LITERAL_SIZE == 0))
    return nominal(trips) <= FEW_TRIPS and not unrolled
