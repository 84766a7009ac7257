"""Many small problems inside boxes minimised at once, each by an L-BFGS of its own. NumPy only.

The problems are rows: each has its curvature, its step and its pace, and one evaluation serves all. The box is kept by
projection: numbers at an edge that the gradient presses outward rest for a step, the direction is found among the
others (Bertsekas 1982, "Projected Newton methods"; Kim, Sra and Dhillon 2010), and points on the way are clipped. The
direction is the two loops of Nocedal and Wright 2006, algorithm 7.4; a step is halved until the value falls enough.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Objective = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From points (n, d) to values (n,) and gradients (n, d), both float64."""
ENOUGH = 1e-4
"""The part of the fall that the gradient promises which a step has to bring (Armijo's condition)."""
CURVED = 1e-10
"""A pair counts where its product is above this part of its lengths' product."""


def minimised(
    objective: Objective, start: np.ndarray, low: float, high: float, evaluations: int, history: int = 5
) -> np.ndarray:
    """The points (n, d), of `start`'s dtype and inside [low, high] to the last bit, after so many evaluations.

    low, high: numbers of that dtype. history: pairs of changes that are kept for each row.
    """
    point: np.ndarray = np.clip(start, low, high)
    value, slope = objective(point)
    pairs = _Pairs(history, *start.shape)
    step, way = np.ones(len(start)), pairs.direction(point, slope, low, high)
    for _ in range(evaluations - 1):
        trial = np.clip((point + step[:, None] * way).astype(start.dtype), low, high)
        found, steeper = objective(trial)
        move = trial.astype("float64") - point
        better = found <= value + ENOUGH * np.minimum((slope * move).sum(1), 0)
        pairs.add(better, move, steeper - slope)
        point, slope = np.where(better[:, None], trial, point), np.where(better[:, None], steeper, slope)
        value, step = np.where(better, found, value), np.where(better, 1.0, step / 2)
        way = np.where(better[:, None], pairs.direction(point, slope, low, high), way)
    return point


class _Pairs:
    """The last changes of each row's point and of its gradient; pairs of zeros stand for those that are not there."""

    def __init__(self, history: int, rows: int, size: int):
        self.moves, self.bends = np.zeros((history, rows, size)), np.zeros((history, rows, size))

    def add(self, rows: np.ndarray, move: np.ndarray, bend: np.ndarray) -> None:
        """Keep a pair in each of these rows, in place of its oldest."""
        for kept, new in ((self.moves, move), (self.bends, bend)):
            kept[:-1, rows] = kept[1:, rows]
            kept[-1, rows] = new[rows]

    def direction(self, point: np.ndarray, slope: np.ndarray, low: float, high: float) -> np.ndarray:
        """(n, d): downhill among the numbers of each row that may move; along the gradient, at most of length 1, in a
        row without curvature."""
        free = ~((point <= low) & (slope > 0) | (point >= high) & (slope < 0))
        moves, bends = self.moves * free, self.bends * free
        curves, squares = (moves * bends).sum(2), (bends * bends).sum(2)
        kept = curves > CURVED * np.sqrt(squares * (moves * moves).sum(2))
        inverse = np.where(kept, 1 / np.where(kept, curves, 1.0), 0.0)
        steepest = -slope * free
        way, shares = steepest.copy(), []
        scale = 1 / np.maximum(np.sqrt((steepest * steepest).sum(1)), 1.0)
        for i in reversed(range(len(moves))):
            share = inverse[i] * (moves[i] * way).sum(1)
            way -= share[:, None] * bends[i]
            shares.append(share)
        for i in range(len(moves)):  # the newest pair that counts says how large the inverse curvature is
            scale = np.where(kept[i], curves[i] / np.where(kept[i], squares[i], 1.0), scale)
        way *= scale[:, None]
        for i, share in enumerate(reversed(shares)):
            way += (share - inverse[i] * (bends[i] * way).sum(1))[:, None] * moves[i]
        return np.where(((way * slope).sum(1) < 0)[:, None], way, steepest)
