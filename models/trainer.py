"""The training loop, as `kw.Trainer`: fit, step, evaluate, predict, save, resume.

Many steps run in one native call; between calls the bar moves, Ctrl-C is answered and losses are checked. Leans on
`tasks` for what is trained, `programs` for how it runs, `feeds` for data, `resuming` for checkpoints, `callbacks` for
what watches a run, `diagnose` where a loss is not finite.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..compiler.errors import InputError
from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import get_value, set_value
from ..compiler.pipeline import Compiled
from ..runtime import checkpoint as storage
from . import batches, choices, diagnose, feeds, networks, programs, resuming, scaling, snapshot
from .arguments import explained
from .callbacks.base import Callback, Watchers
from .callbacks.stopping import BestCheckpoint
from .checks import SettingError, flag, whole
from .checks import seed as checked_seed
from .images.augment import Augment, keeping_shape
from .interrupt import Interrupt, Stopped
from .layer import Layer
from .model import Model
from .monitor import Monitor
from .optimizers import Optimizer
from .plan import Plan, check_rate
from .precision import of_device
from .progress import Display
from .running import Running
from .schedules import Schedule
from .shown import History
from .tasks import chosen_by, task_of
from .updating import Updating


class Trainer:
    """Trains `model`, a `kw.models.Model` or any layer, on `device`. `optimizer`: one of `kw.optim` or its name
    ("adam", with the defaults of `kw.optim.Adam()`), by default the model's recipe, made at the first fit.

    loss: (outputs, targets) -> scalar mean, or a name of `kw.losses` or Keras ("mse",
    "sparse_categorical_crossentropy"), by default the recipe's; batch likewise. For a layer, which may take and give
    several tensors, also a dict of losses, one for each output, with `loss_weights`. metrics: names ("mae", "accuracy")
    or functions (outputs, targets) -> scalar, averaged over the examples. seed: the order of examples.
    several: whether an image may show several classes, so that labels are zeros and ones (n, classes); by default where
    the loss is binary cross-entropy. The history then has the measures of `labels.SeveralClasses`.
    augment: a `kw.images.Augment` that images go through in training only; it keeps their shape.
    clip_norm, clip_value: limits of the gradients' global norm and of their elements. ema: the decay of a moving
    average of the parameters, which then serves evaluation and prediction. accumulate: batches whose gradients make
    one update, as one batch of that many times the size would. precision: "bfloat16" for convolutions and matrix
    products, over float32 weights; on a GPU also "tf32", of its tensor cores. loss_scale: the first factor of
    the loss. tune: measure the step's tiles first (`kw.compile`). adversarial: half of the loss is of images whose
    numbers move so far to raise it (Goodfellow et al. 2014).

    `history` has one dict per finished epoch; `epoch` counts finished epochs, `position` the batches into the next.
    `stopped` says why the last fit ended before its time. `notes`, plain data of the user's, are kept in checkpoints.
    """

    @explained(choices.TRAINER)
    def __init__(
        self,
        model: Model | Layer,
        optimizer: Optimizer | str | None = None,
        loss: Any = None,
        device: str = "cpu",
        threads: int | None = None,
        seed: int = 0,
        batch: int | None = None,
        augment: Augment | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        accumulate: int = 1,
        several: bool | None = None,
        precision: str | None = None,
        loss_scale: float | None = None,
        tune: bool = False,
        metrics: Any = None,
        loss_weights: Mapping[Any, float] | None = None,
        adversarial: float | None = None,
    ):
        if not isinstance(model, (Model, Layer)):
            raise TypeError(
                f"Trainer: a layer or a kw.models.Model is needed, not {type(model).__name__}; "
                "kw.models.Model('name', net, input_shape=(1, 28, 28), classes=10) makes one of a network"
            )
        self.model, self.optimizer = model, choices.optimizer_of(optimizer)
        self.task = task_of(model, loss, several, metrics, loss_weights, augment)
        self.augment = keeping_shape(augment, model.images()) if isinstance(model, Model) else None
        self.device, self.tune = choices.device_of(device), flag("Trainer: tune", tune)
        self.threads = None if threads is None else whole("Trainer: threads", threads)
        self.batch = self.task.recipe.batch if batch is None else whole("Trainer: batch", batch)
        self.seed = checked_seed("Trainer: seed", seed)
        in_graph, self._precision = of_device(device, precision)
        self.updating = Updating(clip_norm, clip_value, ema, accumulate, in_graph, loss_scale, adversarial)
        self.history = History()
        self.epoch = self.position = 0
        self.plan = Plan()
        self.stopped: str | None = None
        self.notes: dict[str, Any] = {}
        self._running = Running()
        self._data: dict[str, Any] = {}
        self._pace = batches.Pace()
        self._graph: programs.Graph | None = None
        self._programs: dict[tuple[str, bool], Compiled] = {}
        self._watchers = Watchers()
        self._resumed: dict[str, Any] = {}
        self._watched: list[str] = []

    @property
    def loss(self) -> Any:
        """The loss, a function of (outputs, targets)."""
        return self.task.loss

    # -------------------------------------------------------- what users call
    def __repr__(self) -> str:
        return f"<Trainer: {self.optimizer!r}, {self.epoch} epochs done>"

    @explained(choices.FIT)
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

        epochs: by default those that the run was begun for, else the recipe's. More than it was begun for lay the
        recipe's learning rate out anew, over all of them.

        data: (images, labels), a data set with `.train`, or a `kw.data.Loader`, which brings its own batch and seed.
        For a layer (inputs, targets), each an array, a tuple or a dict of arrays; a dict of both; or one array, which
        is its own target.
        validation: the same, by default the data set's `.validation`, else its `.test`, by which nothing should be
        chosen: lines printed then say test; `kw.data.hold_out` leaves it for the end. checkpoint: a file written after
        each epoch and on Ctrl-C. callbacks: `kw.callbacks`, or functions of the trainer and an epoch's line of history.
        best: a file kept at the best validation accuracy, or loss where there is none. Returns the history. Raises
        InputError for data that does not fit, DataError for a file that cannot be read, ValueError where something
        watches what the history will not have, SettingError where a file cannot be written or the learning rate has
        ended, DivergenceError where the loss stops being finite, KeyboardInterrupt after Ctrl-C or SIGTERM (saved).
        """
        goal = choices.epochs_of((self.plan.epochs or self.task.recipe.epochs) if epochs is None else epochs)
        checkpoint, best = choices.file_of("the checkpoint", checkpoint), choices.file_of("the best epoch", best)
        keeping = [] if best is None else [BestCheckpoint(best, chosen_by(self.task.measures))]
        given = [*choices.callbacks_of(callbacks), *keeping]
        flag("fit: progress", progress)
        feed = self.task.feed(data, "train", self.batch, self.seed)
        self._begin(feed)
        held = self.task.held(data, validation, self.batch, self.seed)
        if best is not None and held is None:
            raise SettingError("fit: the best epoch is chosen by a validation part, so `best` needs validation data")
        self._lay_out(batches.steps_in(feed.steps, self.updating.accumulate), goal)
        watchers = Watchers(given)
        self._watch(watchers, held is not None)
        if self.tune:
            self._program("training", progress)
        part = "validation" if validation is not None or getattr(data, "validation", None) is not None else "test"
        with Interrupt() as stop, Display(progress, goal, part) as display:
            if self.epoch >= goal:
                display.say(f"nothing to do: {self.epoch} epochs are done, and `epochs` counts from the beginning")
            try:
                while self.epoch < goal and self.stopped is None:
                    self._run_epoch(feed, display, stop, checkpoint)
                    record = self._close_epoch(held)
                    display.finish(record)
                    watchers.epoch(self, record)
                    if checkpoint is not None:
                        self.save(checkpoint)
                if self.stopped is not None:
                    display.say(f"stopped after epoch {self.epoch}: {self.stopped}")
            except KeyboardInterrupt:
                self._resumed = watchers.states()
                raise Stopped(self._interrupted(checkpoint), stop.number) from None
            finally:
                watchers.end(self)
        return self.history

    def stop(self, reason: str) -> None:
        """End the fit that is under way after this epoch; for callbacks."""
        self.stopped = reason

    def require(self, monitor: Monitor) -> None:
        """Raises ValueError where the history of the fit that begins will not have what `monitor` reads."""
        monitor.read(dict.fromkeys(self._watched, 0.0))

    def step(self, images: Any, labels: Any) -> float:
        """One update from one batch; its loss before the update. Before any fit, the recipe's rate stays constant."""
        arrays = self.task.check((images, labels))
        if self.optimizer is None:
            self.plan, self.optimizer = Plan(None, self.task.recipe), self.task.recipe.build(1, 1, constant=True)
        positions = np.arange(len(arrays[0]), dtype="int32")[None]
        losses, _ = programs.run(self._program("training"), arrays, [positions, *self._applied(np.ones(1, bool))])
        return float(losses[0])

    def evaluate(self, split: Any) -> dict[str, float]:
        """{"loss", "accuracy"} in inference mode, over (images, labels), a data set's `.test` or a `kw.data.Loader`."""
        return self._evaluate(self.task.feed(split, "test", self.batch, self.seed))

    def predict(self, images: Any) -> Any:
        """Class probabilities, (n, classes) float32; those of several classes per image do not add up to 1. Of a layer
        what it gives: an array, or a tuple or dict of arrays."""
        checked = self.task.questions(images)
        program = self._program("prediction")
        size = max(self.batch, feeds.EVALUATION)
        starts = range(0, len(checked[0]), size)
        found = [program.run([each[i : i + size] for each in checked]) for i in starts]
        return self.task.answers([np.concatenate(parts) for parts in zip(*found, strict=True)])

    def save(self, path: str | Path) -> None:
        """Write everything that a resumed run needs, atomically."""
        storage.save(path, snapshot.values(self._variables()), resuming.metadata(self))

    def use_averages(self) -> None:
        """Set the model's parameters to their moving averages. Raises ValueError where there are none."""
        averages = self._averages()
        if not averages:
            raise SettingError("use_averages: there are none; make the trainer with ema=0.999 and train first")
        for parameter, average in averages.items():
            set_value(parameter, get_value(average))

    def load(self, path: str | Path) -> Trainer:
        """Continue from a checkpoint: parameters, optimizer, counters, history. Returns the trainer.

        Raises CheckpointError where it was written for another network or optimizer.
        """
        arrays, metadata = storage.load(path)
        with storage.understanding(path):
            resuming.restore(self, arrays, metadata, path)
        return self

    @classmethod
    def resume(cls, path: str | Path, model: Model | None = None, **options: Any) -> Trainer:
        """A trainer that continues from a checkpoint; the model is built by its name where none is given."""
        if model is None:
            said = storage.load(path)[1]
            name = said.get("model")
            if name not in networks.names():
                raise storage.CheckpointError(f"{path}: {name!r} is not one of kw.models.names(); give the model")
            model = networks.build(name)
            with storage.understanding(path):
                model.scaling = scaling.of(said.get("scaling"))
        return cls(model, **options).load(path)

    # -------------------------------------------------------- one epoch
    def _run_epoch(self, feed: feeds.Feed, display: Display, stop: Interrupt, checkpoint: Any) -> None:
        display.start(self.epoch, feed.steps, self.position)
        with closing(feed.chunks(self.epoch, self.position, self._pace)) as chunks:  # type: ignore[type-var]
            asked = time.perf_counter()
            for given in chunks:
                waited = time.perf_counter() - asked
                self._training()  # whole before a signal interrupts: a second graph would draw other dropout masks
                with stop.at_once():
                    self._program("training")
                self._run_steps(given, feed.steps, checkpoint, waited)
                display.update(self.position, given[1].size, self.task.means(self._running))
                self._watchers.steps(self)
                if stop.asked:
                    raise KeyboardInterrupt
                asked = time.perf_counter()

    def _run_steps(self, given: feeds.Chunk, steps: int, checkpoint: Any, waited: float) -> None:
        """One native call: a step for each row of the positions, which the run waited for, in an epoch of `steps`."""
        arrays, chunk = given
        program, graph = self._program("training"), self._training()
        done = self.position + 1 + np.arange(len(chunk))
        advancing = [chunk, *self._applied((done % self.updating.accumulate == 0) | (done == steps))]
        before = diagnose.snapshot(list(graph.updates))
        started = time.perf_counter()
        losses, counts = programs.run(program, arrays, advancing)
        seconds = time.perf_counter() - started
        bad = np.flatnonzero(~np.isfinite(losses))
        if bad.size:
            step = int(bad[0])
            reason = diagnose.find(graph, program, before, arrays, advancing, step)
            kept = f"; the last good state is in {checkpoint}" if checkpoint and Path(checkpoint).exists() else ""
            raise diagnose.DivergenceError(
                f"the loss became {losses[step]} in epoch {self.epoch + 1}, step {self.position + step + 1}: "
                f"{reason}{kept}. A smaller learning rate often helps"
            )
        self._pace.learn(len(chunk), seconds)
        self._running.add(losses, counts, chunk.shape[1], waited + seconds)
        self.position += len(chunk)

    def _close_epoch(self, held: feeds.Feed | None) -> dict[str, Any]:
        """The epoch's line of history, appended; counters move on to the next."""
        done = self._running
        record: dict[str, Any] = {
            "epoch": self.epoch + 1,
            **self.task.means(done),
            "learning_rate": self._rate(),
            "seconds": done.seconds,
            "images_per_second": done.seen / max(done.seconds, 1e-9),
        }
        if held is not None:
            record.update({f"validation_{k}": v for k, v in self._evaluate(held).items()})
        self.history.append(record)
        if self.optimizer is not None:
            self.optimizer.learning_rate.observe(record)
        self.epoch, self.position, self._running = self.epoch + 1, 0, Running()
        return record

    def _evaluate(self, feed: feeds.Feed) -> dict[str, float]:
        program, total = self._program("evaluation"), Running()
        with closing(feed.in_order()) as chunks:  # type: ignore[type-var]
            for arrays, chunk in chunks:
                losses, counts = programs.run(program, arrays, [chunk])
                total.add(losses, counts, chunk.shape[1], 0.0)
        return self.task.means(total)

    def _applied(self, ends: np.ndarray) -> list[np.ndarray]:
        """The training program's last input: which micro-batches end with an update. None without accumulation."""
        return [ends.astype("int32")] if self.updating.accumulate > 1 else []

    def _rate(self) -> float:
        """The learning rate of the last update."""
        assert self.optimizer is not None
        return self.optimizer.learning_rate.at(max(int(get_value(self.optimizer.counter)) - 1, 0))

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

    def _lay_out(self, steps_per_epoch: int, epochs: int) -> None:
        """Make the recipe's optimizer where the user gave none, its learning rate for a run of `epochs`."""
        if self.optimizer is None:
            self.plan = Plan(epochs, self.task.recipe)
            self.optimizer = self.task.recipe.build(steps_per_epoch, epochs)
        elif self.epoch < epochs:
            rate = self.plan.rate(steps_per_epoch, epochs)
            self.plan = replace(self.plan, epochs=epochs)
            if rate is not None:
                self._change_rate(rate)
        check_rate(self.optimizer, steps_per_epoch * epochs if self.epoch < epochs else 0)

    def _change_rate(self, rate: Schedule) -> None:
        """Go on with another schedule, in a new training program over the same variables and their values."""
        assert self.optimizer is not None
        self.optimizer.learning_rate = rate
        if self._graph is not None:
            before, self._graph = self._graph.state, None
            for old, new in zip(before, self._training().state, strict=True):
                set_value(new, get_value(old))
        self._programs = {}

    def _watch(self, watchers: Watchers, validated: bool) -> None:
        """The callbacks begin: what its history will have is known, and the callbacks get the state they left."""
        keys = ["loss", *self.task.measures]
        self._watched = [*keys, "learning_rate", "seconds", *(f"validation_{k}" for k in keys if validated)]
        self.stopped, self._watchers = None, watchers
        assert self.optimizer is not None
        for monitor in self.optimizer.learning_rate.monitors():
            self.require(monitor)
        watchers.begin(self, self._resumed)
        self._resumed = {}

    def _training(self) -> programs.Graph:
        """The training step's graph, made once: a second one would draw other dropout masks."""
        if self._graph is None:
            assert self.optimizer is not None
            self._graph = self.task.training(self.optimizer, self.augment, self.updating)
        return self._graph

    def _averages(self) -> dict[Tensor, Tensor]:
        """Each parameter's moving average, once there is a training step that moves it."""
        return {} if self._graph is None else self._graph.averages

    def _program(self, which: str, shown: bool = False) -> Compiled:
        averages = self._averages() if which != "training" else {}
        key = (which, bool(averages))
        if key not in self._programs:
            size, tune = max(self.batch, feeds.EVALUATION), False
            if which == "training":
                graph, size, tune = self._training(), self.batch, self.tune
            elif which == "evaluation":
                graph = self.task.evaluation(averages, self.updating.precision)
            else:
                graph = self.task.prediction(averages, self.updating.precision)
            self._programs[key] = graph.compile(self.device, self.threads, size, None, tune, shown, self._precision)
        return self._programs[key]

    def _variables(self) -> list[Tensor]:
        state: list[Tensor] = []
        if self.optimizer is not None:
            made = self._training().state
            state = [*self.optimizer.state(), *made]
        drawn = [] if self.augment is None else self.augment.buffers()
        return [*self.model.parameters(), *self.model.buffers(), *drawn, *state]

    def _interrupted(self, checkpoint: Any) -> str:
        where = f"training stopped in epoch {self.epoch + 1} after {self.position} steps"
        if checkpoint is None:
            return f"{where}; this trainer can go on with fit, or be saved with save"
        self.save(checkpoint)
        return f"{where}, saved to {checkpoint}; kw.Trainer.resume({str(checkpoint)!r}) goes on from there"
