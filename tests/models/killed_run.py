"""A training run in a process of its own, which kills itself at a chosen moment: python killed_run.py FOLDER [MOMENT].

It continues from FOLDER/run.safetensors where that exists. MOMENT: a name of MOMENTS, at the second checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

import kernelwright as kw
from kernelwright.models import batches

MOMENTS = ("half written", "before the rename", "after the rename", "within an epoch", "after a log line")
EPOCHS = 4


def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.random((40, 1, 8, 8), dtype="float32"), rng.integers(0, 4, 40).astype("int32")


def trainer() -> kw.Trainer:
    from small_network import small

    rate = kw.optim.WarmUp(3, kw.optim.Plateau(0.02, patience=0, factor=0.5, monitor="loss", threshold=10.0))
    made = kw.Trainer(
        small(), kw.optim.Adam(rate, groups=kw.optim.NO_DECAY), device="reference", batch=4, accumulate=4, ema=0.9
    )
    made._pace = batches.Pace(most=2)
    return made


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: str) -> list[kw.Callback]:
    """Prepare to die at `moment`; returns callbacks for fit."""
    fsync, replace, saves = os.fsync, os.replace, []

    def synced(descriptor: int) -> None:
        if len(saves) == 1 and moment == "half written":
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            die()
        fsync(descriptor)

    def renamed(source: str, target: str) -> None:
        if Path(target).suffix == ".safetensors":
            if len(saves) == 1 and moment == "before the rename":
                die()
            saves.append(target)
        replace(source, target)
        if len(saves) == 2 and moment == "after the rename":
            die()

    os.fsync, os.replace = synced, renamed

    class Dying(kw.Callback):
        def after_steps(self, t: kw.Trainer) -> None:
            if moment == "within an epoch" and t.epoch == 1 and t.position >= 5:
                die()

        def after_epoch(self, t: kw.Trainer, record: dict) -> None:
            if moment == "after a log line" and t.epoch == 2:
                die()

    return [Dying()]


def main(folder: Path, moment: str | None) -> None:
    path, t = folder / "run.safetensors", trainer()
    if path.exists():
        t.load(path)
    watchers = [
        kw.callbacks.EarlyStopping("loss", patience=3, threshold=10.0),
        kw.callbacks.JSONLines(folder / "log.jsonl"),
    ]
    if moment:
        watchers += arm(moment)
    t.fit(problem(), EPOCHS + 9, checkpoint=path, callbacks=watchers, progress=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
