"""A network with trained values from a file: a model's file, or the checkpoint of a training run.

Leans on `saved` and `snapshot` for the two formats.
"""

from __future__ import annotations

import os
from typing import Any

from ...runtime import checkpoint as storage
from ...runtime.checkpoint import CheckpointError
from .. import snapshot
from ..model import Model
from ..networks.registry import build_for
from ..saved import KIND, load_model


def trained(network: str, path: str | os.PathLike[str]) -> Model:
    """The network called `network` with the values in `path`, which `Model.save` or `Trainer.save` wrote.

    It is built for the images and classes that the file names. Of a run with averaged weights these are taken, as its
    evaluations did. Raises CheckpointError for a file that cannot be read or is of another network.
    """
    values, said = storage.load(path)
    kept = said.get("name") if said.get("kind") == KIND else said.get("model")
    if not isinstance(kept, str):
        raise CheckpointError(f"{path} is neither a model's file nor the checkpoint of a classifier")
    if kept != network:
        raise CheckpointError(f"{path} holds the weights of {kept}, not of {network}")
    if said.get("kind") == KIND:
        return load_model(path)
    with storage.understanding(path):
        model = build_for(network, tuple(said["input_shape"]), said["classes"])
        snapshot.check({**said, "augment": None}, model, None, path)
        _put(model, values, said, path)
    return model


def _put(model: Model, values: dict[str, Any], said: dict[str, Any], path: Any) -> None:
    parameters = snapshot.named(model.parameters())
    if (said.get("updating") or {}).get("ema") is not None:
        averages = {name: values[f"average.{name}"] for name in parameters}
        values = {**values, **averages}
    snapshot.put([*model.parameters(), *model.buffers()], values, path)
