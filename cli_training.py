"""What `kernelwright train` does with its options: the network for the data, a resumed run, the signals.

Leans on the models; the command line itself is `cli`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .compiler.errors import InputError
from .models import Model, feeds
from .models.checks import FRACTION, SettingError, number
from .models.data import hold_out
from .models.interrupt import Stopped
from .models.networks.registry import build_for
from .models.outputs import tried
from .models.resuming import check_data
from .models.trainer import Trainer
from .runtime import checkpoint as storage
from .runtime.errors import KernelwrightError

SIGNALLED = 128
"""A process that a signal ended exits with this and the signal's number."""
HELD = 0.1
"""The part of each class's training examples that watches a run, unless told otherwise."""


def begun(path: Path | None) -> dict[str, Any]:
    """What the checkpoint to resume says, or nothing. Raises CheckpointError where it cannot be read."""
    return {} if path is None else storage.load(path)[1]


def validated(given: float | None, said: dict[str, Any], path: Path | None) -> float:
    """The fraction to hold out: what was given, else the resumed run's, else HELD; 0 holds nothing out.

    Raises SettingError for another number, or where it contradicts the checkpoint.
    """
    if given is not None:
        number("--validation", given, FRACTION)
    if path is None:
        return HELD if given is None else given
    theirs = float(said.get("notes", {}).get("validation", 0.0))
    if given is not None and given != theirs:
        raise SettingError(
            f"--validation {given} contradicts {path}, whose run held out {theirs}: leave it out, or do not resume"
        )
    return theirs


def divided(examples: Any, fraction: float, seed: int) -> Any:
    """The data set with that fraction of each class held out of training; as it is for 0."""
    return hold_out(examples, fraction, seed) if fraction else examples


def tested(trainer: Trainer, test: Any, best: Path | None) -> tuple[float, str]:
    """(test accuracy, which weights have it), of the best epoch of this run where it was kept, else of the last.

    The only look at the test set. The trainer has the weights that were tested.
    """
    done = trainer.epoch
    if best is not None and best.exists():
        kept = storage.load(best)[1].get("history", [])
        if kept == trainer.history[: len(kept)]:  # not an older run's file
            trainer.load(best)
            return trainer.evaluate(test)["accuracy"], f"with the weights of epoch {trainer.epoch}, the best of {done}"
    return trainer.evaluate(test)["accuracy"], f"after {done} epochs"


def model_for(network: str, model: Model, examples: Any, seed: int) -> Model:
    """The network for this data: as it is, or built for its images and classes. Raises SettingError if it cannot be."""
    shape, classes = examples.input_shape, len(examples.classes)
    if (model.input_shape, model.classes) == (shape, classes):
        return model
    try:
        made = build_for(network, shape, classes, seed=seed)
        feeds.check_fit(examples, made)
        return made
    except InputError:
        raise
    except (KernelwrightError, ValueError) as error:
        raise SettingError(
            f"{network} takes {_by(model.input_shape)}, {examples.name} has images {_by(shape)} in {classes} classes: "
            f"{error}; choose other --data"
        ) from None


def with_rate(model: Model, rate: float | None) -> None:
    """Set the recipe's learning rate, where one is given."""
    if rate is not None:
        model.recipe = replace(model.recipe, learning_rate=rate)


def resume(trainer: Trainer, path: Path, examples: Any, asked: dict[str, Any]) -> None:
    """Continue from a checkpoint. Raises SettingError where an option contradicts what it says, CheckpointError where
    it is of another network or other data.

    asked: the options given: learning_rate, batch, seed; None for those that were not.
    """
    trainer.load(path)
    recipe = trainer.plan.recipe
    said = {
        "--lr": (asked["learning_rate"], None if recipe is None else recipe.learning_rate),
        "--batch": (asked["batch"], trainer.batch),
        "--seed": (asked["seed"], trainer.seed),
    }
    for option, (given, theirs) in said.items():
        if given is not None and given != theirs:
            was = f"had {theirs}" if theirs is not None else "had an optimizer of its own"
            raise SettingError(f"{option} {given} contradicts {path}, whose run {was}: leave it out, or do not resume")
    check_data(trainer, examples, path)


def try_outputs(*paths: tuple[str, Path | None]) -> None:
    """Raises SettingError for a file that could not be written at the end."""
    for what, path in paths:
        if path is not None:
            tried(what, path)


def stopped(stop: KeyboardInterrupt, trainer: Trainer, network: str, saved: Path | None, options: Sequence[str]) -> int:
    """Say where training stopped and how it goes on; returns the exit status."""
    where = f"training stopped in epoch {trainer.epoch + 1} after {trainer.position} steps"
    if saved is None:
        print(f"kernelwright: {where}; nothing was saved, --checkpoint FILE does so", file=sys.stderr)
    else:
        again = " ".join(["kernelwright train", network, *options, "--resume", str(saved), "--checkpoint", str(saved)])
        print(f"kernelwright: {where}, saved to {saved}; `{again}` goes on from there", file=sys.stderr)
    return SIGNALLED + (stop.number if isinstance(stop, Stopped) else 2)


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
