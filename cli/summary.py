"""The command `kernelwright summary`: a network's layers, and what it takes in memory.

Leans on typer; everything that takes time to import is imported by the command. `app` adds it.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, Any

import typer

from .options import Json, Network, Threads, network_of, write_json


def summary(
    network: Network,
    images: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="Its images (default: the network's): 3x299x299.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Count activations of so many images, and say what training takes.")
    ] = None,
    threads: Threads = None,
    json_file: Json = None,
) -> None:
    """Show a network's layers: output shapes, parameters, flops, activations.

    With --batch also what training takes in memory, counted by layers, and what the compiled step allocates; this
    compiles it.
    """
    model = _model(network, images)
    print(model.summary(batch or 1))
    outcome = {"network": network, "parameters": model.size(), "layers": [asdict(r) for r in model.rows()]}
    if batch is not None:
        from ..models.memory import training_memory

        taken = training_memory(model, batch, threads)
        print(taken)
        outcome["training"] = asdict(taken)
    write_json(json_file, outcome)


def _model(network: str, images: str | None) -> Any:
    """The network for such images. Raises BadParameter where these are no shape, SettingError where it does not take
    them."""
    from ..models.checks import SettingError
    from ..models.networks.registry import build_for
    from ..runtime.errors import KernelwrightError

    model = network_of(network, 0)
    if images is None:
        return model
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){2}", images):
        raise typer.BadParameter(f"--input is channels, height and width as in 3x224x224, not {images!r}")
    shape = tuple(map(int, images.split("x")))
    try:
        return build_for(network, shape, model.classes)
    except (KernelwrightError, ValueError) as error:
        raise SettingError(f"{network} cannot take images {images}: {error}") from None
