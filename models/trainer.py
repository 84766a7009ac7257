"""The training loop, as `kw.Trainer`: fit, step, evaluate, predict, save, resume.

Many steps run in one native call; between calls the bar moves, Ctrl-C is answered and losses are checked. Leans on
`programs` for what is computed, `batches` for data, `snapshot` for checkpoints, `diagnose` where a loss is not finite.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..compiler.errors import InputError
from ..compiler.functions import cross_entropy
from ..compiler.pipeline import Compiled
from ..compiler.tensor import Tensor
from ..runtime import checkpoint as storage
from . import batches, diagnose, feeds, networks, programs, snapshot
from .interrupt import Interrupt
from .model import Model
from .optimizers import Optimizer
from .progress import Display

FORMAT = 1


class Callback:
    """What is told of a run's progress. A plain function (trainer, record) serves as `after_epoch`."""

    def after_steps(self, trainer: Trainer) -> None:
        """Some steps were made in a native call; `trainer.epoch` and `trainer.position` say where it is."""

    def after_epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """An epoch is over; `record` is its line of history."""


@dataclass
class Running:
    """Sums over the part of an epoch that is done."""

    loss: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0

    def add(self, losses: np.ndarray, correct: np.ndarray, batch: int, seconds: float) -> None:
        for value in losses.tolist():
            self.loss += value * batch
        self.correct += int(correct.sum())
        self.seen += batch * len(losses)
        self.seconds += seconds

    def means(self) -> dict[str, float]:
        """{"loss", "accuracy"} per example."""
        seen = max(self.seen, 1)
        return {"loss": self.loss / seen, "accuracy": self.correct / seen}


class Trainer:
    """Trains `model` on `device`. `optimizer`: by default the model's recipe, made at the first fit.

    loss: (logits, integer labels) -> scalar mean. seed: the order of examples. batch: by default the recipe's.
    `history` has one dict per finished epoch; `epoch` counts finished epochs, `position` the steps into the next.
    """

    def __init__(
        self,
        model: Model,
        optimizer: Optimizer | None = None,
        loss: programs.Loss = cross_entropy,
        device: str = "cpu",
        threads: int | None = None,
        seed: int = 0,
        batch: int | None = None,
    ):
        if not isinstance(model, Model):
            raise TypeError(
                f"Trainer: a kw.models.Model is needed, not {type(model).__name__}; "
                "kw.models.Model('name', net, input_shape=(1, 28, 28), classes=10) makes one of a network"
            )
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.device, self.threads, self.seed = device, threads, seed
        self.batch = model.recipe.batch if batch is None else batch
        if self.batch < 1 or seed < 0:
            raise ValueError(f"Trainer: batch is at least 1 and seed at least 0, not {self.batch} and {seed}")
        self.history: list[dict[str, Any]] = []
        self.epoch = self.position = 0
        self._running = Running()
        self._data: dict[str, Any] = {}
        self._pace = batches.Pace()
        self._graph: programs.Graph | None = None
        self._programs: dict[str, Compiled] = {}

    # -------------------------------------------------------- what users call
    def fit(
        self,
        data: Any,
        epochs: int | None = None,
        validation: Any = None,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[Callback | Callable[[Trainer, dict[str, Any]], Any]] = (),
        progress: bool = True,
        best: str | Path | None = None,
    ) -> list[dict[str, Any]]:
        """Train until `epochs` epochs have been done in all, so that a resumed run ends where it would have.

        data: (images, labels), a data set with `.train`, or a `kw.data.Loader`, which brings its own batch and seed.
        validation: the same, by default the data set's `.validation` or `.test`, if any. checkpoint: a file written
        after each epoch and on Ctrl-C. best: a file kept at the best validation accuracy. Returns the history. Raises
        InputError for data that does not fit, DataError for a file that cannot be read, DivergenceError where the loss
        stops being finite, KeyboardInterrupt after Ctrl-C (with everything saved).
        """
        feed = feeds.feed(data, "train", self.model, self.batch, self.seed)
        self._begin(feed)
        held = self._held(data, validation)
        if best is not None and held is None:
            raise ValueError("fit: the best epoch is chosen by validation accuracy, so `best` needs validation data")
        goal = self.model.recipe.epochs if epochs is None else epochs
        self._prepare(feed.steps, goal)
        watchers = [_callback(c) for c in callbacks]
        with Interrupt() as stop, Display(progress, goal) as display:
            try:
                while self.epoch < goal:
                    self._run_epoch(feed, display, stop, watchers, checkpoint)
                    record = self._close_epoch(held)
                    display.finish(record)
                    if best is not None and record["validation_accuracy"] >= self._best():
                        self.save(best)
                    if checkpoint is not None:
                        self.save(checkpoint)
                    for watcher in watchers:
                        watcher.after_epoch(self, record)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(self._stopped(checkpoint)) from None
        return self.history

    def step(self, images: Any, labels: Any) -> float:
        """One update from one batch; its loss before the update. Before any fit, the recipe's rate stays constant."""
        arrays = self._checked((images, labels))
        self._prepare(1, 1, constant=True)
        out = self._program("training").run([*arrays, np.arange(len(arrays), dtype="int32")])
        return float(np.ravel(out[0])[0])

    def evaluate(self, split: Any) -> dict[str, float]:
        """{"loss", "accuracy"} in inference mode, over (images, labels), a data set's `.test` or a `kw.data.Loader`."""
        return self._evaluate(feeds.feed(split, "test", self.model, self.batch, self.seed))

    def predict(self, images: Any) -> np.ndarray:
        """Class probabilities, (n, classes) float32."""
        checked = batches.check_images(images, self.model.input_shape)
        program = self._program("prediction")
        size = max(self.batch, 256)
        return np.concatenate([program(checked[i : i + size]) for i in range(0, len(checked), size)])

    def save(self, path: str | Path) -> None:
        """Write everything that a resumed run needs, atomically."""
        storage.save(path, snapshot.values(self._variables()), self._metadata())

    def load(self, path: str | Path) -> Trainer:
        """Continue from a checkpoint: parameters, optimizer, counters, history. Returns the trainer.

        Raises CheckpointError where it was written for another network or optimizer.
        """
        arrays, metadata = storage.load(path)
        self._fits(metadata, path)
        if metadata["optimizer_made"] and self.optimizer is None:
            if metadata["optimizer"] is None:
                raise storage.CheckpointError(f"{path}: the optimizer is not one of kw.optim; give it to the Trainer")
            self.optimizer = snapshot.revive(metadata["optimizer"])
        if metadata["optimizer_made"]:
            self._training()
        snapshot.put(self._variables(), arrays, path)
        self.seed, self.batch = metadata["seed"], metadata["batch"]
        self.epoch, self.position = metadata["epoch"], metadata["position"]
        self.history, self._running = list(metadata["history"]), Running(**metadata["running"])
        self._data = metadata.get("data", {})
        return self

    @classmethod
    def resume(cls, path: str | Path, model: Model | None = None, **options: Any) -> Trainer:
        """A trainer that continues from a checkpoint; the model is built by its name where none is given."""
        if model is None:
            name = storage.load(path)[1].get("model")
            if name not in networks.names():
                raise storage.CheckpointError(f"{path}: {name!r} is not one of kw.models.names(); give the model")
            model = networks.build(name)
        return cls(model, **options).load(path)

    # -------------------------------------------------------- one epoch
    def _run_epoch(
        self, feed: feeds.Feed, display: Display, stop: Interrupt, watchers: Sequence[Callback], checkpoint: Any
    ) -> None:
        display.start(self.epoch, feed.steps, self.position)
        with closing(feed.chunks(self.epoch, self.position, self._pace)) as chunks:  # type: ignore[type-var]
            asked = time.perf_counter()
            for arrays, chunk in chunks:
                self._run_steps(arrays, chunk, checkpoint, time.perf_counter() - asked)
                means = self._running.means()
                display.update(self.position, chunk.size, means["loss"], means["accuracy"])
                for watcher in watchers:
                    watcher.after_steps(self)
                if stop.asked:
                    raise KeyboardInterrupt
                asked = time.perf_counter()

    def _run_steps(self, arrays: batches.Arrays, chunk: np.ndarray, checkpoint: Any, waited: float) -> None:
        """One native call: a step for each row of `chunk`, for which the run `waited` seconds."""
        program, graph = self._program("training"), self._training()
        before = diagnose.snapshot(list(graph.updates))
        started = time.perf_counter()
        losses, correct = _run(program, arrays, chunk)
        seconds = time.perf_counter() - started
        bad = np.flatnonzero(~np.isfinite(losses))
        if bad.size:
            step = int(bad[0])
            reason = diagnose.find(graph, program, before, [*arrays, chunk], step)
            kept = f"; the last good state is in {checkpoint}" if checkpoint and Path(checkpoint).exists() else ""
            raise diagnose.DivergenceError(
                f"the loss became {losses[step]} in epoch {self.epoch + 1}, step {self.position + step + 1}: "
                f"{reason}{kept}. A smaller learning rate often helps"
            )
        self._pace.learn(len(chunk), seconds)
        self._running.add(losses, correct, chunk.shape[1], waited + seconds)
        self.position += len(chunk)

    def _close_epoch(self, held: feeds.Feed | None) -> dict[str, Any]:
        """The epoch's line of history, appended; counters move on to the next."""
        done = self._running
        record: dict[str, Any] = {
            "epoch": self.epoch + 1,
            **done.means(),
            "seconds": done.seconds,
            "images_per_second": done.seen / max(done.seconds, 1e-9),
        }
        if held is not None:
            record.update({f"validation_{k}": v for k, v in self._evaluate(held).items()})
        self.history.append(record)
        self.epoch, self.position, self._running = self.epoch + 1, 0, Running()
        return record

    def _evaluate(self, feed: feeds.Feed) -> dict[str, float]:
        program, total = self._program("evaluation"), Running()
        with closing(feed.in_order()) as chunks:  # type: ignore[type-var]
            for arrays, chunk in chunks:
                losses, correct = _run(program, arrays, chunk)
                total.add(losses, correct, chunk.shape[1], 0.0)
        return total.means()

    # -------------------------------------------------------- programs and state
    def _begin(self, feed: feeds.Feed) -> None:
        """Note what the run reads. Raises InputError where an epoch was begun with other data."""
        changed = feeds.differences(self._data, feed.describe()) if self.position and self._data else ""
        if changed:
            raise InputError(
                f"this run stopped within epoch {self.epoch + 1} of data that had {changed}: go on with the same data, "
                "or start again with a new Trainer"
            )
        self._data, self.batch, self.seed = feed.describe(), feed.batch, feed.seed

    def _prepare(self, steps_per_epoch: int, epochs: int, constant: bool = False) -> None:
        """Make the recipe's optimizer where the user gave none."""
        if self.optimizer is None:
            self.optimizer = self.model.recipe.build(steps_per_epoch, epochs, constant)

    def _training(self) -> programs.Graph:
        """The training step's graph, made once: a second one would draw other dropout masks."""
        if self._graph is None:
            assert self.optimizer is not None
            self._graph = programs.training(self.model, self.loss, self.optimizer)
        return self._graph

    def _program(self, which: str) -> Compiled:
        if which not in self._programs:
            graph = (
                self._training()
                if which == "training"
                else programs.evaluation(self.model, self.loss)
                if which == "evaluation"
                else programs.prediction(self.model)
            )
            batch = self.batch if which == "training" else max(self.batch, 256)
            self._programs[which] = graph.compile(self.device, self.threads, batch)
        return self._programs[which]

    def _variables(self) -> list[Tensor]:
        if self.optimizer is not None:
            self._training()
        state = [] if self.optimizer is None else self.optimizer.state()
        return [*self.model.parameters(), *self.model.buffers(), *state]

    def _metadata(self) -> dict[str, Any]:
        made = self.optimizer
        return {
            "format": FORMAT,
            "model": self.model.name,
            "input_shape": list(self.model.input_shape),
            "classes": self.model.classes,
            "optimizer_made": made is not None,
            "optimizer": None if made is None else snapshot.describe(made),
            "seed": self.seed,
            "batch": self.batch,
            "epoch": self.epoch,
            "position": self.position,
            "data": self._data,
            "running": asdict(self._running),
            "history": self.history,
        }

    def _fits(self, metadata: dict[str, Any], path: Any) -> None:
        if metadata.get("format") != FORMAT:
            raise storage.CheckpointError(f"{path} is not a trainer's checkpoint of format {FORMAT}")
        theirs = (metadata["model"], tuple(metadata["input_shape"]), metadata["classes"])
        ours = (self.model.name, self.model.input_shape, self.model.classes)
        if theirs != ours:
            raise storage.CheckpointError(
                f"{path} was written for {theirs[0]} {theirs[1]} with {theirs[2]} classes, "
                f"not for {ours[0]} {ours[1]} with {ours[2]}"
            )

    def _checked(self, pair: Any) -> batches.Arrays:
        return batches.check(pair, self.model.input_shape, self.model.classes)

    def _held(self, data: Any, validation: Any) -> feeds.Feed | None:
        if validation is not None:
            part = "validation" if getattr(validation, "validation", None) is not None else "test"
            return feeds.feed(validation, part, self.model, self.batch, self.seed)
        for part in ("validation", "test"):
            if getattr(data, part, None) is not None:
                return feeds.feed(getattr(data, part), part, self.model, self.batch, self.seed)
        return None

    def _best(self) -> float:
        return max(r["validation_accuracy"] for r in self.history if "validation_accuracy" in r)

    def _stopped(self, checkpoint: Any) -> str:
        where = f"training stopped in epoch {self.epoch + 1} after {self.position} steps"
        if checkpoint is None:
            return f"{where}; this trainer can go on with fit, or be saved with save"
        self.save(checkpoint)
        return f"{where}, saved to {checkpoint}; kw.Trainer.resume({str(checkpoint)!r}) goes on from there"


def _run(program: Compiled, arrays: batches.Arrays, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses and correct predictions, (steps,) each, of a step for each row of `chunk`."""
    out = program.run([*arrays, chunk], steps=len(chunk), per_step=(programs.POSITIONS,))
    return np.ravel(out[0]), np.ravel(out[1])


def _callback(what: Any) -> Callback:
    if isinstance(what, Callback):
        return what
    wrapped = Callback()
    wrapped.after_epoch = what  # type: ignore[method-assign]
    return wrapped
