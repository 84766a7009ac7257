"""A trained classifier run over labelled images: `kw.evaluate`.

Each batch is one native call; between calls the bar moves. Leans on `trainer` for the program and for what data may
be, on `result` for what is made of the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ..checks import SettingError, flag, whole
from ..feeds import Feed, LoaderFeed
from ..labels import NUMBERS
from ..model import Model
from ..tasks import Classification
from ..trainer import Trainer
from .result import Evaluation, Mistake

WORST = 16


def evaluate(
    model: Model | Trainer,
    data: Any,
    device: str | None = None,
    threads: int | None = None,
    batch: int | None = None,
    worst: int = WORST,
    progress: bool = True,
) -> Evaluation:
    """Measure a classifier: accuracy by class with confidence intervals, confusion, calibration, its worst mistakes.

    model: a `kw.models.Model`, or a `kw.Trainer`, whose averaged weights and precision then serve. data: a data set,
    of which `test` is taken; (images, labels); image files; or a `kw.data.Loader`. Images are float32 (n, channels,
    height, width), labels int (n,). device ("cpu" by default), threads, batch: of a model's program; a trainer has its
    own. worst: how many mistakes are kept with their images. progress: a bar on a terminal.

    Raises SettingError for a model of another kind, InputError where data and network do not fit, DataError for a
    file that cannot be read.
    """
    kept, shown = whole("evaluate: worst", worst, 0), flag("evaluate: progress", progress)
    trainer, classifier = _classifier(model, {"device": device, "threads": threads, "batch": batch})
    classes = _classes(data, classifier)
    feed = trainer.task.feed(data, "test", trainer.batch, trainer.seed)
    source, done = _source(feed), 0
    labels: list[np.ndarray] = []
    found: list[np.ndarray] = []
    mistakes: list[Mistake] = []
    with _bar(shown, _examples(feed)) as advance:
        for images, given, probabilities in _answers(classifier.name, trainer, feed):
            labels.append(given)
            found.append(probabilities)
            mistakes = _worst(mistakes, kept, done, source, images, given, probabilities)
            done += len(given)
            advance(len(given))
    name = str(getattr(data, "name", "the data given"))
    return Evaluation(classifier.name, name, classes, np.concatenate(labels), np.concatenate(found), mistakes)


def _classifier(model: Any, options: dict[str, Any]) -> tuple[Trainer, Model]:
    """What runs the model, and the model. Raises SettingError for anything but a classifier of one class per image."""
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(model, Trainer) and given:
        raise SettingError(f"evaluate: a trainer has its own {', '.join(given)}; give its model to choose others")
    if isinstance(model, Model):
        model = Trainer(model, **given)
    if not isinstance(model, Trainer) or not isinstance(model.task, Classification):
        raise SettingError(
            "evaluate: a kw.models.Model or its trainer is needed, whose outputs are classes; kw.models.Model('name', "
            "net, input_shape=(1, 28, 28), classes=10) makes one of a network"
        )
    if model.task.labels is NUMBERS:
        raise SettingError(
            f"evaluate: {model.task.model.name} gives a number here, and only classifiers are judged; Trainer.evaluate "
            "measures the loss"
        )
    if model.task.labels.several:
        raise SettingError("evaluate: an image has one class here; Trainer.evaluate measures several classes per image")
    return model, model.task.model


def _classes(data: Any, model: Model) -> tuple[str, ...]:
    """The classes' names, or their numbers. Raises InputError where data set and network have not the same number."""
    names = getattr(data, "classes", None)
    if names is None:
        return tuple(map(str, range(model.classes)))
    if len(names) != model.classes:
        raise InputError(
            f"{model.name} tells {model.classes} classes apart, {getattr(data, 'name', 'the data set')} has "
            f"{len(names)}: evaluate it on the data that it was trained for"
        )
    return tuple(map(str, names))


def _answers(name: str, trainer: Trainer, feed: Feed) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(images, labels, probabilities) of each batch. Raises InputError where the network `name` gives no numbers."""
    program = trainer._program("prediction")
    with closing(feed.in_order()) as chunks:  # type: ignore[type-var]
        for (images, labels), steps in chunks:
            for positions in steps:
                batch = images[positions]
                (found,) = program.run([batch])
                if not np.isfinite(found).all():
                    raise InputError(f"{name} gives nan or inf: its weights are damaged or diverged")
                yield batch, labels[positions], found


def _worst(
    before: Sequence[Mistake],
    most: int,
    start: int,
    source: Callable[[int], str],
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
) -> list[Mistake]:
    """The `most` surest mistakes of those before and this batch, whose examples are counted from `start`."""
    said, confidence = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(said != labels)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:most].tolist()
    new = [
        Mistake(start + i, source(start + i), images[i].copy(), int(labels[i]), int(said[i]), float(confidence[i]))
        for i in rows
    ]
    return sorted([*before, *new], key=lambda m: -m.confidence)[:most]


def _source(feed: Feed) -> Callable[[int], str]:
    """What says where the example at a position came from."""
    return feed.loader.source.where if isinstance(feed, LoaderFeed) else lambda position: f"image {position}"


def _examples(feed: Feed) -> int:
    count: int = feed.describe()["examples"]
    return count


@contextmanager
def _bar(shown: bool, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal over `total` images; what it gives is called with the number of those done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not shown or not console.is_terminal) as bar:
        task = bar.add_task("evaluating", total=total)
        yield lambda count: bar.advance(task, count)
