"""A step in image space against PyTorch: of a dream (GoogLeNet, Mordvintsev et al. 2015) and of a style transfer
(VGG-16, Gatys et al. 2015) on one picture.

    python -m kernelwright.bench.image_space [--size 512] [--rounds 7] [--folder benchmarks]

Both sides have the same random weights and start from the same picture, and take turns in one process; a step is the
objective, its gradient by the picture, and the change of the picture. PyTorch runs eagerly, with and without channels
last; its best counts. The outcome goes to `<date>-<time>-image-space.json` in the `results` of `--folder`. Leans on
torch, of the extra `bench`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import models
from ..compiler.config import threads
from ..compiler.graph.autodiff import grad
from ..compiler.graph.tensor import Tensor, input
from ..compiler.graph.variable import variable
from ..compiler.pipeline import compile
from ..models.model import Model
from ..models.vision.features import several
from ..models.vision.style import gram
from . import machine
from .networks import definition

RATE = 1e-3
STYLE, CONTENT = ("relu1", "relu3", "relu5", "relu8", "relu11"), "relu9"
"""The first of each of VGG's groups, and the second of the fourth (Gatys, Ecker, Bethge 2015, section 'Methods')."""
DREAM = "inception4c"
Run = Callable[[], float]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m kernelwright.bench.image_space", description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks"))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(threads())
    picture = np.random.default_rng(0).random((1, 3, chosen.size, chosen.size), dtype="float32")
    now = datetime.datetime.now(datetime.UTC)
    outcome: dict[str, Any] = {
        "date": now.date().isoformat(),
        "command": f"python -m kernelwright.bench.image_space --size {chosen.size} --rounds {chosen.rounds}",
        "machine": machine.describe(),
        "threads": threads(),
        "results": [raced(name, picture, chosen.rounds) for name in ("dream", "style")],
    }
    path = chosen.folder / "results" / f"{now:%Y-%m-%d-%H%M%S}-image-space.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(outcome, indent=1) + "\n")
    print(path)


def raced(name: str, picture: np.ndarray, rounds: int) -> dict[str, Any]:
    """The medians of each side's steps, taken in turns, and the objective before the first step."""
    model = models.build({"dream": "googlenet", "style": "vgg16"}[name])
    started = time.perf_counter()
    sides: dict[str, Run] = {"kernelwright": ours(name, model, picture)}
    first = {"kernelwright": sides["kernelwright"]()}
    ready = time.perf_counter() - started
    for side in ("torch eager", "torch eager, channels last", "torch compiled, channels last"):
        sides[side] = theirs(name, model, picture, "channels last" in side, "compiled" in side)
        first[side] = sides[side]()
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, step in sides.items():
            started = time.perf_counter()
            step()
            taken[side].append(time.perf_counter() - started)
    medians = {side: statistics.median(each) for side, each in taken.items()}
    best = min(each for side, each in medians.items() if side != "kernelwright")
    result = {"step": name, "network": model.name, "size": picture.shape[2], "objective": first, "seconds": medians}
    result |= {"ratio": best / medians["kernelwright"], "compiled_in": ready}
    print(json.dumps(result), flush=True)
    return result


def ours(name: str, model: Model, picture: np.ndarray) -> Run:
    """A step as one native call."""
    image = variable("image", picture)
    if name == "dream":
        (value,) = several(model, image, [DREAM])
        objective = -(value * value).mean()
        inputs: list[Tensor] = []
        arrays: list[np.ndarray] = []
    else:
        values = several(model, image, [*STYLE, CONTENT])
        wanted = [*(gram(each) for each in values[:-1]), values[-1]]
        arrays = list(compile([], [each * 0.5 for each in wanted])())
        inputs = [input(f"target{i}", each.shape) for i, each in enumerate(arrays)]
        objective = sum(((a - b) ** 2).mean() for a, b in zip(wanted, inputs))  # type: ignore[assignment]
    program = compile(inputs, [objective], {image: image - grad(objective, image) * RATE})
    return lambda: float(program.run(arrays)[0])


def theirs(name: str, model: Model, picture: np.ndarray, channels_last: bool, compiled: bool) -> Run:
    """The same in PyTorch, with the model's weights; `compiled`: the objective and its gradient by torch.compile."""
    net = definition(model.name)
    with torch.no_grad():
        for mine, given in zip(net.parameters(), model.state_dict().values(), strict=False):
            if mine.shape == given.shape:
                mine.copy_(torch.from_numpy(np.ascontiguousarray(given)))
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    net.eval()
    image = torch.from_numpy(picture.copy())
    if channels_last:
        net, image = net.to(memory_format=torch.channels_last), image.to(memory_format=torch.channels_last)
    image.requires_grad_(True)
    if name == "dream":
        trunk = nn.Sequential(net.first, *net.second[:2])

        def objective() -> Any:
            value = trunk(image)
            return -(value * value).mean()

    else:
        places = _relus(net)
        chosen = [places[int(layer.removeprefix("relu")) - 1] for layer in (*STYLE, CONTENT)]
        trunk = nn.Sequential(*list(net)[: max(chosen) + 1])

        def wanted() -> list[Any]:
            found, x = {}, image
            for place, layer in enumerate(trunk):
                x = layer(x)
                found[place] = x
            return [*(_gram(found[place]) for place in chosen[:-1]), found[chosen[-1]]]

        with torch.no_grad():
            targets = [each * 0.5 for each in wanted()]

        def objective() -> Any:
            return sum(((a - b) ** 2).mean() for a, b in zip(wanted(), targets, strict=True))

    loss = torch.compile(objective) if compiled else objective

    def step() -> float:
        image.grad = None
        value = loss()
        value.backward()
        with torch.no_grad():
            image.sub_(image.grad * RATE)  # type: ignore[operator]
        return float(value.detach())

    return step


def _relus(net: Any) -> list[int]:
    """The places of a Sequential's relus, which are then not done in place: their values are looked at."""
    places = [i for i, layer in enumerate(net) if isinstance(layer, nn.ReLU)]
    for i in places:
        net[i].inplace = False
    return places


def _gram(x: Any) -> Any:
    flat = x.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


if __name__ == "__main__":
    main()
