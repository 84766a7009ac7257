"""`kernelwright see rubbish`: images of noise that a network is sure of."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from ..judging import Weights
from ..options import Json, Threads
from .asked import Class, NetworkOption, Out, Seed, opened, told, working


def rubbish(
    network: NetworkOption,
    weights: Weights,
    wanted: Class = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps along the gradient's sign.")] = 20,
    step: Annotated[float, typer.Option(help="The change of each pixel in a step; pixels lie in [0, 1].")] = 0.02,
    seed: Seed = 0,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """Noise that a network is sure of: `kernelwright see rubbish --network mlp --weights F --out P`.

    One image for each class, or for --class alone; the picture shows it beside the noise that it began as.
    """
    from ...models import vision

    model = opened(network, weights, wanted, json_file, out)
    classes = np.arange(model.classes) if wanted is None else np.array([wanted])
    with working(f"noise for {len(classes)} classes"):
        found = vision.rubbish(model, model.input_shape, classes, steps, step, seed, threads=threads)
    lines: list[dict[str, Any]] = [
        {"image": f"class {label}", "noise": float(before), "confidence": float(after)}
        for label, before, after in zip(classes, found.doubt, found.confidence, strict=True)
    ]
    rows = [[old, new] for old, new in zip(found.noise, found.images, strict=True)]
    told("rubbish", model, lines, json_file, out, rows, seed=seed)
