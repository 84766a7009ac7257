"""Every ImageNet network takes a few training steps on real photographs, read from an image folder.

    python -m kernelwright.bench.imagenet PHOTOGRAPHS [--networks NAME,...] [--batch 8] [--steps 5] [--folder DIR]

PHOTOGRAPHS is a folder of JPEG or PNG files, at least 320 pixels each way. Each becomes a class of random crops, in an
image folder that is removed at the end. Networks run one after the other, each in a process of its own, of their
published size with 1000 outputs, from random weights, with the loss of their recipe. The outcome goes to
`<date>-<time>-imagenet.json` in the `results` of `--folder` after each network, and is rendered into its `README.md`.
Needs the extra `images`. Leans on `ours` for the work of a step and on `report`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import models
from ..compiler.targets.shared.inspect import Roofline
from ..models import data
from ..models.data.images import MISSING, is_image
from ..models.optimizers import SGD
from ..models.trainer import Trainer
from ..runtime.threads import available_cores
from . import machine, ours, peak, report
from .contenders import BenchError
from .worker import peak_memory

NETWORKS = (
    *("alexnet", "zfnet", "vgg11", "vgg13", "vgg16", "vgg19", "googlenet", "bn_inception", "inception_v3"),
    *("inception_v4", "inception_resnet_v1", "inception_resnet_v2", "alexnet_torchvision", "googlenet_torchvision"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("mobilenet", "densenet121", "densenet169", "densenet201"),
)
LEAST, CROP, CROPS, MOST = 320, 300, 12, 8
RATE, MOMENTUM = 0.005, 0.9
SLOWER = dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19", "inception_resnet_v1", "inception_resnet_v2"), 0.0005)
"""Of networks that do not stand 0.005 with batches of 8: in five steps the losses of VGG-16 and 19 went from 7 to 13
and 25 and back, that of Inception-ResNet v2 from 7.5 to 5.3 and up to 10.1."""
MEMORY = 24e9
TIMEOUT = 1800


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises BenchError for photographs that cannot be used and networks that there are not."""
    parser = argparse.ArgumentParser(prog="python -m kernelwright.bench.imagenet", description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    names = chosen.networks.split(",")
    if strange := [name for name in names if name not in NETWORKS]:
        raise BenchError(f"there is no ImageNet network {strange[0]!r}; there are {', '.join(NETWORKS)}")
    if chosen.one:
        print(json.dumps(measure(names[0], chosen.photographs, chosen.batch, chosen.steps)))
        return
    with tempfile.TemporaryDirectory() as place:
        classes = crops(chosen.photographs, Path(place))
        print(f"{len(classes)} photographs: {', '.join(classes)}", flush=True)
        run(names, Path(place), chosen.batch, chosen.steps, chosen.folder, classes)


def crops(photographs: Path, folder: Path, seed: int = 0) -> list[str]:
    """An image folder of `train/NAME` and `test/NAME` for each of the first photographs; returns their names.

    Squares of random size (300 pixels at least) at random places, mirrored or not. Raises BenchError for fewer than
    two colour photographs of 320 pixels, or without Pillow.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise BenchError(MISSING) from None
    rng = np.random.default_rng(seed)
    names: list[str] = []
    for path in sorted(p for p in photographs.rglob("*") if is_image(p)):
        with Image.open(path) as file:
            if file.mode != "RGB" or min(file.size) < LEAST or len(names) == MOST:
                continue
            for i in range(CROPS + 1):
                side = int(rng.integers(CROP, min(file.size) + 1))
                left, top = (int(rng.integers(n - side + 1)) for n in file.size)
                image = file.crop((left, top, left + side, top + side)).resize((CROP, CROP))
                place = folder / ("train" if i < CROPS else "test") / path.stem
                place.mkdir(parents=True, exist_ok=True)
                (ImageOps.mirror(image) if rng.random() < 0.5 else image).save(place / f"{i:02}.png")
        names.append(path.stem)
    if len(names) < 2:
        raise BenchError(
            f"{photographs}: two colour photographs of {LEAST} pixels or more are needed, not {len(names)}"
        )
    return names


def run(names: Sequence[str], place: Path, batch: int, steps: int, folder: Path, classes: Sequence[str]) -> None:
    """One process per network; the file and the report are written after each."""
    threads = available_cores()
    limits: Roofline = peak.measure(threads)
    some = "" if tuple(names) == NETWORKS else f" --networks {','.join(names)}"
    now = datetime.datetime.now(datetime.UTC)
    outcome: dict[str, Any] = {
        "date": now.date().isoformat(),
        "command": f"python -m kernelwright.bench.imagenet PHOTOGRAPHS{some} --batch {batch} --steps {steps}",
        "machine": machine.describe(),
        "threads": threads,
        "peak_flops": limits.flops,
        "photographs": list(classes),
        "momentum": MOMENTUM,
        "results": [],
    }
    path = folder / "results" / f"{now:%Y-%m-%d-%H%M%S}-imagenet.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        command = [sys.executable, "-m", "kernelwright.bench.imagenet", str(place), "--networks", name, "--one"]
        command += ["--batch", str(batch), "--steps", str(steps)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            result: dict[str, Any] = {"network": name, "error": f"not done after {TIMEOUT} s"}
        else:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            result = json.loads(done.stdout) if done.returncode == 0 else {"network": name, "error": last}
        outcome["results"].append(result)
        path.write_text(json.dumps(outcome, indent=1) + "\n")
        print(json.dumps(result), flush=True)
    print(f"{path}, {report.write(folder)}")


def measure(name: str, place: Path, batch: int, steps: int) -> dict[str, Any]:
    """A network's losses, seconds of each step (the first with what comes before it), and memory."""
    model = models.build(name)
    loader = data.Loader(data.image_folder(place, model.input_shape).train, batch)
    rate = SLOWER.get(name, RATE)
    trainer = Trainer(model, SGD(rate, momentum=MOMENTUM), batch=batch)
    losses: list[float] = []
    seconds: list[float] = []
    while len(losses) < steps:
        for images, labels in loader:
            if len(labels) < batch or len(losses) == steps:
                continue
            started = time.perf_counter()
            losses.append(trainer.step(images, labels))
            seconds.append(time.perf_counter() - started)
    held = peak_memory()
    return {
        "network": name,
        "input": list(model.input_shape),
        "batch": batch,
        "parameters": model.size(),
        "flops": ours.flops(model, batch, training=True),
        "rate": rate,
        "losses": losses,
        "seconds": seconds,
        "median": statistics.median(seconds[1:] or seconds),
        "memory": held,
        "falls": bool(np.isfinite(losses).all() and losses[-1] < losses[0]),
        "fits": held <= MEMORY,
    }


if __name__ == "__main__":
    main()
