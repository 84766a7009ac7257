"""What `kernelwright train` does with its options: the network for the data, a resumed run, the signals.

Leans on the models; the command itself is `train`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..compiler.errors import InputError
from ..models import Model, feeds, recipe_files
from ..models.checks import FRACTION, SettingError, number
from ..models.data import hold_out
from ..models.images.augment import Augment
from ..models.images.named import augmentation
from ..models.interrupt import Stopped
from ..models.losses import cross_entropy, smoothing_of
from ..models.networks.registry import build_for
from ..models.outputs import tried
from ..models.plan import Plan
from ..models.recipe import Recipe
from ..models.resuming import check_data
from ..models.trainer import Trainer
from ..runtime import checkpoint as storage
from ..runtime.errors import KernelwrightError

SIGNALLED = 128
"""A process that a signal ended exits with this and the signal's number."""
HOME = {"circle": "circle", "imagenet": "shapes"}
"""What a network is trained on that is usually trained on other data than digits, unless told otherwise."""
HELD = 0.1
"""The part of each class's training examples that watches a run, unless told otherwise."""


def begun(path: Path | None) -> dict[str, Any]:
    """What the checkpoint to resume says, or nothing. Raises CheckpointError where it cannot be read."""
    return {} if path is None else storage.load(path)[1]


@dataclass(frozen=True)
class Run:
    """What a run is begun with: where its settings come from, and those that its checkpoint keeps beside the plan.

    recipe: None for the network's own. name: the recipe's, or None. The rest is as in `Settings`.
    """

    data: str
    validation: float
    augment: str | None
    name: str | None = None
    recipe: Recipe | None = None
    precision: str | None = None
    clip_norm: float | None = None
    ema: float | None = None
    accumulate: int = 1
    adversarial: float | None = None

    def notes(self) -> dict[str, Any]:
        """As plain data, for checkpoints."""
        return {"recipe": self.name, "data": self.data, "validation": self.validation, "augment": self.augment}


def chosen(model: Model, asked: dict[str, Any], said: dict[str, Any], path: Path | None) -> Run:
    """The run that was asked for: options win over the recipe; one that is resumed is as its checkpoint `said`.

    asked: the options recipe, data, validation and augment, None for those not given. Raises SettingError for what is
    not allowed, a recipe of another network, or what contradicts the checkpoint.
    """
    if asked["validation"] is not None:
        number("--validation", asked["validation"], FRACTION)
    home = HOME.get(model.dataset or "", "digits")
    if path is not None:
        with storage.understanding(path):
            return _resumed(asked, {"data": home, "validation": 0.0, **said.get("notes", {})}, path)
    given = {key: value for key, value in asked.items() if value is not None and key != "recipe"}
    if asked["recipe"] is None:
        return Run(**{"data": home, "validation": HELD, "augment": None, **given})
    settings = recipe_files.read(asked["recipe"])
    if settings.network != model.name:
        raise SettingError(f"the recipe {asked['recipe']} trains {settings.network}, not {model.name}")
    kept = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name != "network"}
    return Run(**{**kept, **given})


def _resumed(asked: dict[str, Any], notes: dict[str, Any], path: Path) -> Run:
    for option, value in asked.items():
        if value is not None and value != notes.get(option):
            if option == "data" and "recipe" not in notes:  # a checkpoint that Python wrote does not say
                notes = {**notes, "data": value}
                continue
            raise SettingError(
                f"--{option} {value} contradicts {path}, whose run had {notes.get(option)}: leave it out, or do not "
                "resume"
            )
    return Run(notes["data"], float(notes["validation"]), notes.get("augment"), notes.get("recipe"))


def train_as(
    model: Model,
    recipe: Recipe | None,
    said: dict[str, Any],
    path: Path | None,
    rate: float | None,
    smoothing: float | None = None,
) -> None:
    """Give the model the recipe of its run: that of the resumed one, else the one given, else its own, at this rate and
    with this label smoothing. Raises SettingError for a smoothing where the loss is no cross-entropy."""
    if path is not None:
        recipe = Plan.revive(said.get("plan"), path).recipe
    if recipe is not None:
        model.recipe = recipe
    if rate is not None and path is None:
        model.recipe = replace(model.recipe, learning_rate=rate)
    if smoothing is not None and path is None:
        model.recipe = _smoothed(model.recipe, number("--label-smoothing", smoothing, FRACTION))


def _smoothed(recipe: Recipe, smoothing: float) -> Recipe:
    if recipe.loss != cross_entropy.__name__:
        raise SettingError(
            f"--label-smoothing {smoothing:g} is for a cross-entropy, and this run trains by {recipe.loss}: leave it "
            "out, or give a --recipe with another loss"
        )
    return replace(recipe, loss_options={**recipe.loss_options, "label_smoothing": smoothing})


def augmented(text: str | None, examples: Any, seed: int) -> Augment | None:
    """The augmentation that `text` names, its colours measured on the training images where these are in memory."""
    return None if text is None else augmentation(text, getattr(examples.train, "images", None), seed)


def announce(run: Run, trainer: Trainer, path: Path | None) -> None:
    """Say what a resumed run had, and that nothing watches one without validation."""
    if path is not None:
        recipe = trainer.plan.recipe
        how = "an optimizer of its own" if recipe is None else f"{recipe.optimizer} {recipe.learning_rate:g}"
        had = [f"{key} {value}" for key, value in run.notes().items() if value is not None]
        done = f"{trainer.epoch} epochs done, batch {trainer.batch}, seed {trainer.seed}"
        print(f"resuming {path}: {done}, {how}, {', '.join(had)}")
    if not run.validation:
        print("no examples are held out for validation: nothing watches this run")


def divided(examples: Any, fraction: float, seed: int) -> Any:
    """The data set with that fraction of each class held out of training; as it is for 0."""
    return hold_out(examples, fraction, seed) if fraction else examples


def tested(trainer: Trainer, test: Any, best: Path | None) -> tuple[dict[str, float], str]:
    """(what was measured on the test set, which weights have it), of the best epoch of this run where it was kept, else
    of the last.

    The only look at the test set. The trainer has the weights that were tested.
    """
    done = trainer.epoch
    if best is not None and best.exists():
        kept = storage.load(best)[1].get("history", [])
        if kept == trainer.history[: len(kept)]:  # not an older run's file
            trainer.load(best)
            return trainer.evaluate(test), f"with the weights of epoch {trainer.epoch}, the best of {done}"
    return trainer.evaluate(test), f"after {done} epochs"


def outcome(measured: dict[str, float]) -> tuple[str, dict[str, float]]:
    """What was measured on the test set in words, and for JSON: the accuracy, or of numbers the loss and distance."""
    if "accuracy" in measured:
        accuracy = measured["accuracy"]
        return f"test accuracy {accuracy:.2%} (errors {1 - accuracy:.2%})", {"test_accuracy": accuracy}
    words = f"test loss {measured['loss']:.5f}, mean absolute error {measured['mae']:.4f}"
    return words, {f"test_{name}": value for name, value in measured.items()}


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


def resume(trainer: Trainer, path: Path, examples: Any, asked: dict[str, Any]) -> None:
    """Continue from a checkpoint. Raises SettingError where an option contradicts what it says, CheckpointError where
    it is of another network or other data.

    asked: the options given: learning_rate, batch, seed, label_smoothing; None for those that were not.
    """
    trainer.load(path)
    recipe = trainer.plan.recipe
    said = {
        "--lr": (asked["learning_rate"], None if recipe is None else recipe.learning_rate),
        "--batch": (asked["batch"], trainer.batch),
        "--seed": (asked["seed"], trainer.seed),
        "--label-smoothing": (asked["label_smoothing"], smoothing_of(trainer.loss)),
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
