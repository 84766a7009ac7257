"""What a callback is: what is told of a run's progress, and keeps its state in the run's checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..shown import Shown

if TYPE_CHECKING:
    from ..trainer import Trainer


class Callback(Shown):
    """What is told of a run's progress. A plain function (trainer, record) serves as `after_epoch`."""

    saves: bool = False
    """Whether it writes checkpoints: it is told after the others then, so that their state is of the same epoch."""

    def before_fit(self, trainer: Trainer, state: Any) -> None:
        """Training begins. `state`: what `state()` gave where this run was interrupted or saved, else None.

        May raise ValueError where the run cannot give what the callback needs.
        """

    def after_steps(self, trainer: Trainer) -> None:
        """Some steps were made in a native call; `trainer.epoch` and `trainer.position` say where it is."""

    def after_epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """An epoch is over; `record` is its line of history. The epoch's checkpoint is written after this."""

    def after_fit(self, trainer: Trainer) -> None:
        """Training is over, or was interrupted."""

    def state(self) -> Any:
        """What a resumed run needs, as JSON takes it; None where nothing is needed."""
        return None


class Function(Callback):
    """A plain function (trainer, record), called after each epoch."""

    def __init__(self, call: Callable[[Trainer, dict[str, Any]], Any]):
        self.call = call

    def after_epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self.call(trainer, record)


class Watchers:
    """The callbacks of a fit, told in the order given; `states` and `begin` carry their state through checkpoints."""

    def __init__(self, given: Iterable[Callback | Callable[..., Any]] = ()):
        given = list(given)
        self.all: dict[str, Callback] = {}
        for each in given:
            if not isinstance(each, Callback) and (isinstance(each, type) or not callable(each)):
                raise TypeError(f"a callback is a kw.Callback or a function (trainer, record), not {each!r}")
        made = [each if isinstance(each, Callback) else Function(each) for each in given]
        for callback in sorted(made, key=lambda c: c.saves):
            kind = type(callback).__name__
            count = sum(type(c).__name__ == kind for c in self.all.values())
            self.all[f"{kind}#{count + 1}" if count else kind] = callback

    def begin(self, trainer: Trainer, states: dict[str, Any]) -> None:
        for name, callback in self.all.items():
            callback.before_fit(trainer, states.get(name))

    def steps(self, trainer: Trainer) -> None:
        for callback in self.all.values():
            callback.after_steps(trainer)

    def epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        for callback in self.all.values():
            callback.after_epoch(trainer, record)

    def end(self, trainer: Trainer) -> None:
        for callback in self.all.values():
            callback.after_fit(trainer)

    def states(self) -> dict[str, Any]:
        """The state of each callback that has any, by name."""
        found = {name: callback.state() for name, callback in self.all.items()}
        return {name: state for name, state in found.items() if state is not None}
