"""`kernelwright see transfer`: how networks do on adversarial examples that were made for others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from ..options import DATA, Json, Threads, check_name, write_json
from ..training import try_outputs
from .asked import Folder, Seed, refuse, working
from .attack import METHODS, attacked

if TYPE_CHECKING:
    from ...models.model import Model

NEAREST = "nearest neighbour"


def transfer(
    networks: Annotated[
        list[str], typer.Argument(metavar="NETWORK:WEIGHTS...", help="Networks and their files: mlp:run.safetensors.")
    ],
    data: Annotated[str, typer.Option(help=DATA)] = "digits",
    folder: Folder = None,
    count: Annotated[int, typer.Option(min=1, help="The first so many test images.")] = 100,
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS[:-1])} or {METHODS[-1]}.")] = "lbfgs",
    epsilon: Annotated[float, typer.Option(help="The size of the change, where the method takes one.")] = 0.1,
    seed: Seed = 0,
    threads: Threads = None,
    json_file: Json = None,
) -> None:
    """Who is fooled by what was made for others: `kernelwright see transfer mlp:A.safetensors lenet5:B.safetensors`.

    Error rates on test images, a row for the network they were made for and a column for who is tested: the networks,
    and the nearest neighbour among the training images. The last row is noise of the same mean size.
    """
    from ...models import vision
    from ...models.data import Split, load

    if method not in METHODS:
        refuse(f"see transfer: --method is one of {', '.join(METHODS)}, not {method!r}")
    try_outputs(("the outcome", json_file))
    models = _opened(networks)
    shape = next(iter(models.values())).input_shape
    for name, model in models.items():
        if model.input_shape != shape:
            refuse(f"see transfer: {name} takes images of {model.input_shape}, the first network of {shape}")
    sets = load(data, folder, shape)
    train, test = sets.train, sets.test
    if not isinstance(train, Split) or not isinstance(test, Split) or test.labels.ndim != 1:
        refuse(f"see transfer: {data} is not held in memory with one class for each image; give digits or mnist, say")
    pixels, labels = np.asarray(test.images[:count], "float32"), np.asarray(test.labels[:count])
    with working(f"{method} on {len(pixels)} images for each of {len(models)} networks"):
        made = {
            name: attacked(method, model, pixels, labels, None, epsilon, seed, threads)
            for name, model in models.items()
        }
        nearest = vision.nearest_neighbour(train.images, train.labels)
        table = vision.transfer_table(made, {**models, NEAREST: nearest}, pixels, labels, seed)
    print(table)
    write_json(json_file, {"what": "transfer", "method": method, "data": data, "images": len(pixels), **table.data()})


def _opened(given: list[str]) -> dict[str, Model]:
    """The trained networks by name; one that comes again is called as it was typed."""
    from ...models.evaluation import trained

    found: dict[str, Model] = {}
    for typed in given:
        network, colon, file = typed.partition(":")
        if not colon:
            refuse(f"see transfer: {typed!r} is not NETWORK:WEIGHTS, as in mlp:run.safetensors")
        check_name(network)
        found[typed if network in found else network] = trained(network, Path(file))
    return found
