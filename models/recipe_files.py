"""Recipes as TOML: a network, its data and how it is trained, in a file; those that ship are in `recipes/`.

A file has `network`, `data`, the numbers of a run, and the tables `[optimizer]`, `[schedule]` and `[loss]`, each with
the `name` of what is meant and its settings. All of it is checked when it is read: an error names the file, the line
and the nearest thing that is known. Leans on `recipe` for what is made of it.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from . import data, losses, networks, optimizers, precision
from .checks import FRACTION, SettingError, nearest, number
from .images.named import augmentation
from .recipe import SHAPES, Recipe
from .updating import Updating

ENDING = ".toml"
RUN = ("epochs", "batch")
SCHEDULE = ("learning_rate", "milestones", "factor", "factor_epochs", "warm_up_epochs")
UPDATING = ("clip_norm", "ema", "accumulate", "adversarial")
TOP = ("network", "data", *RUN, "validation", "precision", "augment", *UPDATING, "optimizer", "schedule", "loss")
COLOURS = np.eye(3, 4, dtype="float32").reshape(1, 3, 2, 2)
"""Stands for a data set's images where an augmentation is only checked."""


@dataclass(frozen=True)
class Settings:
    """A recipe and what stands around it. name: of the file, without its ending; data: a name of `kw.data`.

    validation: the fraction held out; augment: text of `kw.images.augmentation`, or None; precision, clip_norm, ema,
    accumulate, adversarial: as `kw.Trainer` has them.
    """

    name: str
    network: str
    data: str
    recipe: Recipe
    validation: float = 0.1
    augment: str | None = None
    precision: str | None = None
    clip_norm: float | None = None
    ema: float | None = None
    accumulate: int = 1
    adversarial: float | None = None


def names() -> list[str]:
    """The recipes that ship, NETWORK-DATA."""
    return sorted(file.name.removesuffix(ENDING) for file in _shipped().iterdir() if file.name.endswith(ENDING))


def text(name: str | Path) -> str:
    """The text of a recipe: one that ships, by name, or a file. Raises SettingError where there is none."""
    path = Path(name)
    try:
        if path.suffix == ENDING or path.parent != Path():
            return path.read_text()
        if str(name) not in names():
            raise SettingError(f"there is no recipe {str(name)!r}; {nearest(str(name), names())}; or give a .toml file")
        shipped: str = (_shipped() / f"{name}{ENDING}").read_text()
        return shipped
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"cannot read the recipe {name}: {getattr(error, 'strerror', None) or error}") from None


def read(name: str | Path) -> Settings:
    """The settings of a recipe that ships, by name, or of a file. Raises SettingError as `text`, and for what is not
    known or not allowed in it, with the line."""
    return _File(str(name), text(name)).settings()


class _File:
    """A recipe's text while it is read, for errors with its lines."""

    def __init__(self, name: str, written: str):
        self.name, self.lines = name, written.splitlines()
        try:
            self.found = tomllib.loads(written)
        except tomllib.TOMLDecodeError as error:
            raise SettingError(f"recipe {name} is not TOML: {error}") from None

    def settings(self) -> Settings:
        self.known("", self.found, TOP)
        network = self.word("", "network", self.found, networks.names())
        options = {key: self.found[key] for key in RUN if key in self.found}
        schedule = self.table("schedule")
        self.known("schedule", schedule, ("name", *SCHEDULE))
        options |= {key: tuple(v) if isinstance(v, list) else v for key, v in schedule.items() if key != "name"}
        for key, value in options.items():
            self.tried("schedule" if key in SCHEDULE else "", key, partial(Recipe, **{key: value}))
        made, choices = self.called("optimizer", [n for n in optimizers.__all__ if _is_optimizer(n)], optimizers, 1)
        loss, about = self.called("loss", losses.of_pairs(), losses, 2)
        recipe = Recipe(
            optimizer=made,
            options=choices,
            loss=loss,
            loss_options=about,
            schedule=self.word("schedule", "name", schedule, SHAPES),
            **options,
        )
        self.tried("optimizer", "name", lambda: recipe.build(1))
        return Settings(
            Path(self.name).stem if self.name.endswith(ENDING) else self.name,
            network,
            self.word("", "data", self.found, data.names()),
            recipe,
            **self.around(),
        )

    def around(self) -> dict[str, Any]:
        """What stands around the recipe: checked as the trainer would."""
        checks: dict[str, Callable[[Any], Any]] = {
            "validation": lambda value: number("validation", value, FRACTION),
            "precision": precision.check,
            "augment": lambda value: augmentation(value, COLOURS),
            "clip_norm": lambda value: Updating(clip_norm=value),
            "ema": lambda value: Updating(ema=value),
            "accumulate": lambda value: Updating(accumulate=value),
            "adversarial": lambda value: Updating(adversarial=value),
        }
        given = {key: self.found[key] for key in checks if key in self.found}
        for key, value in given.items():
            self.tried("", key, partial(checks[key], value))
        if given.get("precision") == "float32":
            del given["precision"]
        return given

    def called(self, table: str, options: list[str], module: Any, given: int) -> tuple[str, dict[str, Any]]:
        """The name of one of `module` in a table, and its other settings, which it has to take after `given` others."""
        found = self.table(table)
        name = self.word(table, "name", found, options)
        takes = list(inspect.signature(getattr(module, name)).parameters)[given:]
        self.known(table, found, ("name", *takes))
        return name, {key: value for key, value in found.items() if key != "name"}

    def table(self, name: str) -> dict[str, Any]:
        found = self.found.get(name)
        if not isinstance(found, dict):
            raise self.error("", name, f"a table [{name}] with a name is needed")
        return found

    def known(self, table: str, found: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        for key in found:
            if key not in keys:
                where = f"[{table}] has" if table else "there is"
                raise self.error(table, key, f"{where} no setting {key!r}; {nearest(key, keys)}")

    def word(self, table: str, key: str, found: Mapping[str, Any], options: Any) -> str:
        value = found.get(key)
        if value not in options:
            what = f"{table} {key}".strip()
            said = f"needs its {what}" if value is None else f"there is no {what} {value!r}"
            raise self.error(table, key, f"{said}; {nearest(str(value), list(options))}")
        return str(value)

    def tried(self, table: str, key: str, make: Callable[[], Any]) -> None:
        """Raises SettingError with the line where what is made of a value refuses it."""
        try:
            make()
        except (TypeError, ValueError, AttributeError) as error:
            raise self.error(table, key, " ".join(str(error).split())) from None

    def error(self, table: str, key: str, words: str) -> SettingError:
        now = ""
        for i, line in enumerate(self.lines, 1):
            heading = re.match(r"\s*\[+\s*([\w.-]+)\s*\]+", line)
            now = heading.group(1) if heading else now
            if now == table and re.match(rf"\s*{re.escape(key)}\s*=", line):
                return SettingError(f"recipe {self.name}, line {i}: {words}")
        return SettingError(f"recipe {self.name}: {words}")


def described(settings: Settings) -> str:
    """One line: the optimizer, the rate, and what else is unusual."""
    recipe = settings.recipe
    said = [f"{recipe.epochs} epochs of batch {recipe.batch}", f"{recipe.optimizer} {recipe.learning_rate:g}"]
    said += [recipe.schedule, recipe.loss]
    usual = {f.name: f.default for f in fields(Settings)}
    for key in ("validation", "augment", "precision", *UPDATING):
        value = getattr(settings, key)
        said += [f"{key} {value}"] if value != usual[key] else []
    return ", ".join(said)


def _shipped() -> Any:
    return resources.files(__package__) / "recipes"


def _is_optimizer(name: str) -> bool:
    kind = getattr(optimizers, name)
    return isinstance(kind, type) and issubclass(kind, optimizers.Optimizer) and kind is not optimizers.Optimizer
