"""What `kernelwright train` does with its options: the network for the data, a resumed run, the signals.

Leans on the models; the command line itself is `cli`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .models import Model
from .models.checks import SettingError
from .models.interrupt import Stopped
from .models.networks.registry import build_for
from .models.outputs import tried
from .models.resuming import check_data
from .models.trainer import Trainer
from .runtime.errors import KernelwrightError

SIGNALLED = 128
"""A process that a signal ended exits with this and the signal's number."""


def model_for(network: str, model: Model, examples: Any, seed: int) -> Model:
    """The network for this data: as it is, or built for its images and classes. Raises SettingError if it cannot be."""
    shape, classes = examples.input_shape, len(examples.classes)
    if (model.input_shape, model.classes) == (shape, classes):
        return model
    try:
        return build_for(network, shape, classes, seed=seed)
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
    check_data(trainer, examples, path)
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
