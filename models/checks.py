"""Numbers that people give to layers, optimizers, schedules, trainers and loaders: checked where they are given.

Each check returns the value as a plain Python one, or raises SettingError with one line: what was given, what it has to
be. Leans on the package's base error alone.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import KernelwrightError


class SettingError(KernelwrightError, ValueError):
    """A setting of another type, or outside its range."""


@dataclass(frozen=True)
class Interval:
    """Which numbers are allowed, and how an error says it."""

    low: float
    high: float
    words: str
    with_low: bool = True
    with_high: bool = True

    def has(self, x: float) -> bool:
        """Whether a finite number lies inside."""
        above = x >= self.low if self.with_low else x > self.low
        return above and (x <= self.high if self.with_high else x < self.high)


FINITE = Interval(-math.inf, math.inf, "")
NOT_NEGATIVE = Interval(0, math.inf, " of at least 0")
POSITIVE = Interval(0, math.inf, " above 0", with_low=False)
FRACTION = Interval(0, 1, " that lies in [0, 1)", with_high=False)
PROBABILITY = Interval(0, 1, " that lies in [0, 1]")
INSIDE = Interval(0, 1, " that lies between 0 and 1", with_low=False, with_high=False)

LARGEST_SEED = 2**63 - 1


def number(what: str, value: Any, allowed: Interval = FINITE, hint: str = "") -> float:
    """A finite number in `allowed`; no text, no truth value."""
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        x = float(value)
        if math.isfinite(x) and allowed.has(x):
            return x
    raise SettingError(f"{what} is a number{allowed.words}, not {_shown(value)}{hint}")


def whole(what: str, value: Any, least: int = 1, most: int | None = None, hint: str = "", otherwise: str = "") -> int:
    """An integer from `least` to `most`; 2.0 is none. otherwise: what else may stand here; hint: what to write."""
    if isinstance(value, Integral) and not isinstance(value, (bool, np.bool_)):
        n = int(value)
        if n >= least and (most is None or n <= most):
            return n
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise SettingError(f"{what} is a whole number {limits}{otherwise}, not {_shown(value)}{hint}")


def seed(what: str, value: Any) -> int:
    """A seed: an integer from 0 to 2**63 - 1."""
    return whole(what, value, 0, LARGEST_SEED)


def flag(what: str, value: Any) -> bool:
    """True or False, and nothing that counts as one of them."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise SettingError(f"{what} is True or False, not {_shown(value)}")


def choice(what: str, value: Any, options: Sequence[str]) -> str:
    """One of these words."""
    if isinstance(value, str) and value in options:
        return value
    raise SettingError(f"{what} is one of {', '.join(options)}, not {_shown(value)}")


def sizes(what: str, value: Any, least: int = 1) -> int | tuple[int, ...]:
    """An integer of at least `least`, or several: one for each axis."""
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        items = tuple(value)
        if items:
            return tuple(whole(f"{what}, each number,", n, least) for n in items)
    return whole(what, value, least, otherwise=", or one for each axis")


def pads(what: str, value: Any) -> Any:
    """Zeros at the edges: an integer, one for each axis, or (before, after) for each."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        return whole(what, value, 0, otherwise=", or one, or (before, after), for each axis")
    return tuple(sizes(what, n, 0) for n in value)


def path(what: str, value: Any) -> Path:
    """A file's or folder's path, from text or a path."""
    if isinstance(value, (str, os.PathLike)) and str(value):
        return Path(value)
    raise SettingError(f"{what}: a file's path is needed, not {_shown(value)}")


def function(what: str, value: Any) -> Any:
    """Something that can be called; a class is none."""
    if callable(value) and not isinstance(value, type):
        return value
    raise SettingError(f"{what} is a function, not {_shown(value)}")


def nearest(word: str, options: Sequence[str]) -> str:
    """What was perhaps meant by `word`, or all that there is, for the end of an error."""
    close = difflib.get_close_matches(word, options, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(options)}"


def _shown(value: Any) -> str:
    """What was given, on one line that fits."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
