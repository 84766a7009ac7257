"""A trainer's checkpoint: what of it is written besides arrays, and how another trainer goes on from there.

The two functions here are `Trainer.save` and `Trainer.load` without the file. Leans on `snapshot` for the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..runtime.checkpoint import CheckpointError
from . import feeds, snapshot
from .losses import CrossEntropy, cross_entropy, smoothing_of
from .plan import Plan
from .running import Running
from .shown import History
from .updating import Updating

if TYPE_CHECKING:
    from .trainer import Trainer


def metadata(trainer: Trainer) -> dict[str, Any]:
    """All that a resumed run needs besides the arrays, as plain data."""
    made, loss = trainer.optimizer, trainer.loss
    return {
        **trainer.task.identity(trainer.augment),
        "optimizer_made": made is not None,
        "optimizer": None if made is None else snapshot.describe(made),
        "updating": asdict(trainer.updating),
        "label_smoothing": smoothing_of(loss),
        "seed": trainer.seed,
        "batch": trainer.batch,
        "plan": trainer.plan.describe(),
        "epoch": trainer.epoch,
        "position": trainer.position,
        "data": trainer._data,
        "running": asdict(trainer._running),
        "history": trainer.history,
        "notes": trainer.notes,
        "callbacks": {**trainer._resumed, **trainer._watchers.states()},
    }


def restore(trainer: Trainer, arrays: Mapping[str, Any], said: Mapping[str, Any], path: Any) -> None:
    """Set the trainer to what the checkpoint at `path` holds. Raises CheckpointError where it is of something else."""
    trainer.task.adopt(said, trainer.augment, path)
    _adopt(trainer, said, path)
    if said["optimizer_made"] and trainer.optimizer is None:
        if said["optimizer"] is None:
            raise CheckpointError(f"{path}: the optimizer is not one of kw.optim; give it to the Trainer")
        trainer.optimizer = snapshot.revive(said["optimizer"])
    if said["optimizer_made"]:
        trainer._training()
    snapshot.put(trainer._variables(), arrays, path)
    trainer.plan = Plan.revive(said.get("plan"), path)
    trainer.seed, trainer.batch = said["seed"], said["batch"]
    trainer.epoch, trainer.position = said["epoch"], said["position"]
    trainer.history, trainer._running = History(said["history"]), Running(**said["running"])
    trainer._resumed = dict(said.get("callbacks", {}))
    trainer._data, trainer.notes = said.get("data", {}), dict(said.get("notes", {}))


def check_data(trainer: Trainer, data: Any, path: Any) -> None:
    """Raises CheckpointError where the run of the checkpoint at `path` was trained with other data than `data`."""
    now = trainer.task.feed(data, "train", trainer.batch, trainer.seed).describe()
    changed = feeds.differences(trainer._data, now)
    if changed:
        raise CheckpointError(f"{path} was written for other data, which had {changed}")


def _adopt(trainer: Trainer, said: Mapping[str, Any], path: Any) -> None:
    """Take over how the checkpoint's run clips, averages and accumulates; refuse where this one does otherwise.

    Label smoothing is taken over where this trainer has the plain cross-entropy.
    """
    theirs, ours = Updating(**said.get("updating", {})), trainer.updating
    if theirs != ours and (ours != Updating() or trainer._graph is not None):
        raise CheckpointError(f"{path} was written with {theirs}, this trainer was made with {ours}")
    trainer.updating = theirs
    smoothing = said.get("label_smoothing", 0.0)
    if smoothing and trainer.loss in (cross_entropy, CrossEntropy()) and not trainer._programs:
        trainer.task.loss = CrossEntropy(smoothing)
