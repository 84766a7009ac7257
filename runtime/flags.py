"""Flags of indices that kernels compute: read when a run has ended, and raised as the error of the first offender.

A flag is one int64: PLACE times the flat position of the first index out of range plus that index, shifted to be
positive and cut off at 32 bits; NOWHERE where there is none. Leans on `program` and `sizes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from .errors import IndexLimitError
from .program import ComputedCheck
from .sizes import evaluate

PLACE = 2**32
NOWHERE = 2**63 - 1


def taken(checks: Sequence[ComputedCheck], outputs: list[Any], sizes: Callable[[], Mapping[str, int]]) -> list[Any]:
    """The outputs of a run without the last, which are the checks' flags: each one number, or one for each step,
    in an array of NumPy.

    Raises IndexLimitError where one of them is raised.
    """
    if not checks:
        return outputs
    values = outputs[-len(checks) :]
    if any((value != NOWHERE).any() for value in values):
        _raise_first(checks, values, sizes())
    return outputs[: -len(checks)]


def _raise_first(checks: Sequence[ComputedCheck], values: Sequence[np.ndarray], sizes: Mapping[str, int]) -> NoReturn:
    """The error of the first flag raised in the first step that has one."""
    columns = np.stack([np.ravel(value) for value in values])
    found = columns != NOWHERE
    step = int(np.argmax(found.any(0)))
    which = int(np.argmax(found[:, step]))
    check, told = checks[which], int(columns[which, step])
    limit, *shape = (evaluate(size, sizes) for size in (check.limit, *check.shape))
    place, index = np.unravel_index(told // PLACE, shape) if shape else (), told % PLACE - 2**31
    more = {-(2**31): " (or less)", 2**31 - 1: " (or more)"}.get(index, "")
    where = ", ".join(str(i) for i in place)
    during = f" in step {step}" if columns.shape[1] > 1 else ""
    raise IndexLimitError(
        f"{check.what} {index}{more} at position [{where}]{during} does not lie in [0, {limit}) (at "
        f"{check.where}). It is computed, so the run had ended when that was seen: variables hold what it left in them"
    )
