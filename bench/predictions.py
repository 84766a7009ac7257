"""What the cost model predicts beside what is measured, kernel by kernel, of whole training steps.

    python -m kernelwright.bench.predictions [--folder FOLDER] NETWORK...

Writes `<date>-predictions.json` to the `results` of `benchmarks`, or of FOLDER: for each network, seconds and predicted
seconds by kind of kernel, and how much of the measured time stands within a factor of what was predicted. Every kernel
runs several times in a row, so that what fits into caches is there: so it is in what is predicted. Both are of the best
of several tries, as the limits of the machine are.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..compiler.targets.shared import inspect
from . import machine, ours, peak
from .networks import case

WITHIN = {"contractions": 1.3, "others": 1.5}
"""The factors, by kind of kernel."""
TRIES = 4


def of_network(name: str, threads: int) -> dict[str, Any]:
    """One network's training step, at the batch it is raced with."""
    raced = case(name)
    model = ours.network(name)
    program = ours.program(model, True, threads, raced.batch, raced.rate)
    rng = np.random.default_rng(0)
    images = rng.random((raced.batch, *model.input_shape), dtype="float32")
    arrays = [images, rng.integers(0, model.classes, raced.batch).astype("int32")]
    limits = peak.measure(threads)
    often = peak.repeats(TRIES * sum(program.profile(*arrays, repeats=1)), most=8)
    seconds = np.min([program.profile(*arrays, repeats=often) for _ in range(TRIES)], axis=0)
    rows = inspect.profile_rows(program, seconds.tolist(), limits, batch=raced.batch)
    return {"network": name, "batch": raced.batch, "kinds": by_kind(rows)}


def by_kind(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Kernels, seconds, predicted seconds, and the part of the seconds that stands `WITHIN` the factor."""
    out = {}
    for kind, factor in WITHIN.items():
        chosen = [r for r in rows if (r["fused"].count("contract") > 0) == (kind == "contractions")]
        seconds = sum(r["seconds"] for r in chosen)
        near = sum(r["seconds"] for r in chosen if 1 / factor <= r["predicted"] / max(r["seconds"], 1e-12) <= factor)
        out[kind] = {
            "kernels": len(chosen),
            "seconds": seconds,
            "predicted": sum(r["predicted"] for r in chosen),
            "within": near / seconds if seconds else 1.0,
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kernelwright.bench.predictions")
    parser.add_argument("networks", nargs="+", metavar="NETWORK")
    parser.add_argument("--folder", type=Path, default=Path("benchmarks"))
    given = parser.parse_args()
    threads = os.cpu_count() or 1
    rows = []
    for name in given.networks:
        rows.append(of_network(name, threads))
        print(rows[-1], flush=True)
    today = datetime.date.today().isoformat()
    command = " ".join(["python -m kernelwright.bench.predictions", *sys.argv[1:]])
    about = {"date": today, "command": command, "machine": machine.describe(), "threads": threads}
    (given.folder / "results").mkdir(parents=True, exist_ok=True)
    path = given.folder / "results" / f"{today}-predictions.json"
    path.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
