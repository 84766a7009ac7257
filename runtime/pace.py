"""How many threads go on with a run: all of them, or the caller's alone where the others have lost their cores.

Threads that meet a thousand times a second wait for the slowest each time. Beside another busy process that is the one
whose core was taken, and a program of small kernels then takes many times longer on two threads than on one. So a long
run goes in pieces of a few milliseconds, whose time decides how the next one goes. Bits do not depend on the number of
threads, so the results are the same. Leans on nothing.
"""

from __future__ import annotations

PIECE = 0.005
"""Seconds that a piece is to take."""

SOONEST, LATEST = 0.02, 2.0
"""Seconds after which the other way is tried: first, and at most, where trying it has not paid for long."""

BETTER = 0.85
"""Part of the present way's time that the other must be below to be taken."""

SLOWED = 1.4
"""Times the best time seen from which on the present way is taken for slowed."""

UNTRIED, DOUBTED, TRUSTED = 4.0, 20.0, 100.0
"""A way is tried after so many times the seconds that trying it is likely to lose: the first time; where the present
way is slowed or is one thread; and where neither is."""


class Pace:
    """The choice for one set of shapes. `threads` is what the next piece runs on: 1 or `most`."""

    def __init__(self, most: int) -> None:
        self.most, self.threads = most, most
        self._seconds: dict[int, float] = {}  # a step's, by number of threads: running means
        self._best: dict[int, float] = {}
        self._since, self._pause = 0.0, SOONEST
        self._trial = False

    def piece(self, left: int) -> tuple[int, int]:
        """(threads, steps) of the next piece of a run that has `left` steps to go."""
        self._trial = self.most > 1 and self._due()
        threads = self._other() if self._trial else self.threads
        step = self._seconds.get(threads)
        if step is None:
            return threads, 1
        return threads, max(1, min(left, int(PIECE / max(step, 1e-9))))

    def took(self, threads: int, steps: int, seconds: float) -> None:
        """What the piece took; the better way is gone on with."""
        step = seconds / steps
        known = self._seconds.get(threads)
        self._seconds[threads] = step if known is None or self._trial else (known + step) / 2
        self._best[threads] = min(step, self._best.get(threads, step))
        if not self._trial:
            self._since += seconds
            return
        self._since = 0.0
        if step < BETTER * self._seconds[self.threads]:
            self.threads, self._pause = threads, SOONEST
        else:
            lost = (step - self._seconds[self.threads]) * steps
            self._pause = min(max(2 * self._pause, UNTRIED * lost), max(LATEST, TRUSTED * lost))

    def _other(self) -> int:
        return 1 if self.threads > 1 else self.most

    def _due(self) -> bool:
        """Is it time to try the other way?"""
        step, other = self._seconds.get(self.threads), self._seconds.get(self._other())
        if step is None or self._since < self._pause:
            return False
        if other is None:
            return self._since >= UNTRIED * step
        loss = max(other - step, 0.0) * max(1, int(PIECE / max(other, 1e-9)))
        doubted = self.threads == 1 or step > SLOWED * self._best[self.threads]
        return self._since >= (DOUBTED if doubted else TRUSTED) * loss
