"""What the networks of the history reach on real data: each recipe trained, tested once, and the page of results.

    python -m kernelwright.bench.results [RECIPE ...] [--minutes 60] [--folder benchmarks] [--page docs/results.md]

Every run is a `kernelwright train` of its own, on all training data (`--validation 0`), so nothing watches it, and the
test images are looked at once, at the end. A run that is finished is not repeated; one that was stopped (Ctrl-C, or
because the minutes are over) goes on from its checkpoint the next time. Each writes `results/training/RECIPE.json` in
the folder; from these files the page and its pictures are drawn. Data sets are looked for as `kernelwright train` does.
Leans on `published` for the runs, on `results_page` for what is made of them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..compiler.config import threads
from ..models.data import load
from ..models.evaluation import evaluate, trained
from ..models.recipe_files import read
from . import machine, results_page
from .contenders import BenchError
from .published import RUNS, Run

GRACE = 120
"""Seconds that a run has to save itself once it is told to stop."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises BenchError for a recipe that has no run here or a run that fails."""
    parser = argparse.ArgumentParser(prog="python -m kernelwright.bench.results", description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="Default: all that are not finished.")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="Stop after so long; run again to go on.")
    parser.add_argument("--folder", type=Path, default=Path("benchmarks"), help="Where results/training/ is.")
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="Weights, and runs under way.")
    chosen = parser.parse_args(arguments)
    known = [run.recipe for run in RUNS]
    if strange := [name for name in chosen.recipes if name not in known]:
        raise BenchError(f"there is no run {strange[0]!r}; there are {', '.join(known)}")
    until = time.monotonic() + 60 * chosen.minutes
    outcomes = chosen.folder / "results" / "training"
    for place in (outcomes, chosen.checkpoints, chosen.page.parent):
        place.mkdir(parents=True, exist_ok=True)
    for run in [run for run in RUNS if run.recipe in (chosen.recipes or known)]:
        if (outcomes / f"{run.name}.json").exists():
            continue
        if not train(run, chosen.checkpoints, until - time.monotonic()):
            print(f"the minutes are over in {run.name}; the same command goes on from there")
            break
        told = judged(run, chosen.checkpoints, chosen.page.parent)
        (outcomes / f"{run.name}.json").write_text(json.dumps(told, indent=1) + "\n")
        results_page.write(outcomes, chosen.page)
    print(f"{results_page.write(outcomes, chosen.page)} of {len(RUNS)} runs are on {chosen.page}")


def command(run: Run) -> list[str]:
    """What somebody types to train this recipe as the page has it."""
    return ["kernelwright", "train", read(run.recipe).network, "--recipe", run.recipe, "--validation", "0"]


def train(run: Run, checkpoints: Path, seconds: float) -> bool:
    """Train a recipe from its checkpoint, if there is one, until it ends; False where the seconds end first.

    Raises BenchError where the process fails.
    """
    saved, outcome = checkpoints / f"{run.name}.safetensors", checkpoints / f"{run.name}.json"
    if outcome.exists():
        return True
    if seconds <= 0:
        return False
    resumed = ["--resume", str(saved)] if saved.exists() else command(run)[3:]
    line = [sys.executable, "-m", "kernelwright.cli", "train", read(run.recipe).network, *resumed]
    process = subprocess.Popen([*line, "--checkpoint", str(saved), "--json", str(outcome)])
    try:
        status = process.wait(None if seconds == float("inf") else seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as stop:
        process.send_signal(signal.SIGTERM)
        process.wait(GRACE)
        outcome.unlink(missing_ok=True)
        if isinstance(stop, KeyboardInterrupt):
            raise
        return False
    if status:
        outcome.unlink(missing_ok=True)
        raise BenchError(f"{' '.join(line)} ended with status {status}")
    return True


def judged(run: Run, checkpoints: Path, pictures: Path) -> dict[str, Any]:
    """The outcome of a run: how it was trained, what it reached, where. Its worst mistakes become a picture where the
    page shows them."""
    settings = read(run.recipe)
    told = json.loads((checkpoints / f"{run.name}.json").read_text())
    model = trained(settings.network, checkpoints / f"{run.name}.safetensors")
    found = evaluate(model, load(settings.data, None, model.input_shape), progress=False)
    if run.name in results_page.SHOWN:
        results_page.draw_mistakes(found, pictures / results_page.SHOWN[run.name])
    measures = found.as_data()
    kept = ("examples", "top1", "confused", "calibration", "classes")
    return {
        "recipe": run.name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(command(run)),
        "machine": machine.describe(),
        "threads": threads(),
        "parameters": model.size(),
        "epochs": told["epochs"],
        "training_seconds": sum(each["seconds"] for each in told["history"]),
        "test": {key: measures[key] for key in kept},
        "history": told["history"],
    }


if __name__ == "__main__":
    main()
