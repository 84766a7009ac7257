"""A step length under the strong Wolfe conditions: enough decrease, and a slope that has become small.

Nocedal and Wright, "Numerical Optimization" (2006), algorithms 3.5 (bracketing) and 3.6 (zoom), with the minimum of the
cubic through two points and their slopes as the next trial. Leans on the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

DECREASE, CURVATURE = 1e-4, 0.9
"""c1 and c2 of the conditions, as section 3.1 advises for quasi-Newton directions."""

GROWTH = 2.0
"""A step that is too short becomes so many times as long."""


@dataclass(frozen=True)
class Point:
    """A step length with the value and the slope there, along the direction."""

    length: float
    value: float
    slope: float


def strong_wolfe(at: Callable[[float], Point], start: Point, first: float, most: int) -> Point:
    """The first point found that meets both conditions, trying `first` first.

    `start` is the point of length 0, where the slope is negative. After `most` trials the best point so far is taken,
    which is `start` where none was lower. Values that are not finite count as infinitely high.
    """
    before, length, best = start, first, start
    for trial in range(most):
        point = _finite(at(length))
        best = min(best, point, key=lambda p: p.value)
        too_high = point.value > start.value + DECREASE * length * start.slope
        if too_high or (trial and point.value >= before.value):
            return _zoom(at, start, before, point, best, most - trial - 1)
        if abs(point.slope) <= -CURVATURE * start.slope:
            return point
        if point.slope >= 0:
            return _zoom(at, start, point, before, best, most - trial - 1)
        before, length = point, GROWTH * length
    return best


def _zoom(at: Callable[[float], Point], start: Point, low: Point, high: Point, best: Point, most: int) -> Point:
    """A point between `low`, the lower of the two, and `high`; some point between them is known to meet both."""
    for _ in range(most):
        length = _between(low, high)
        point = _finite(at(length))
        best = min(best, point, key=lambda p: p.value)
        if point.value > start.value + DECREASE * length * start.slope or point.value >= low.value:
            high = point
            continue
        if abs(point.slope) <= -CURVATURE * start.slope:
            return point
        if point.slope * (high.length - low.length) >= 0:
            high = low
        low = point
    return best


def _between(a: Point, b: Point) -> float:
    """The minimum of the cubic through both (equation 3.59); halfway where that is near an end or does not exist."""
    middle, width = (a.length + b.length) / 2, abs(b.length - a.length)
    if not all(map(math.isfinite, (a.value, a.slope, b.value, b.slope))) or width == 0:
        return middle
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.length - b.length)
    square = d1 * d1 - a.slope * b.slope
    if square < 0:
        return middle
    d2 = math.copysign(math.sqrt(square), b.length - a.length)
    below = b.slope - a.slope + 2 * d2
    found = b.length - (b.length - a.length) * (b.slope + d2 - d1) / below if below else middle
    return found if abs(found - middle) < 0.4 * width else middle


def _finite(point: Point) -> Point:
    good = math.isfinite(point.value) and math.isfinite(point.slope)
    return point if good else Point(point.length, math.inf, math.nan)
