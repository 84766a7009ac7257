"""A network with trained values from a file: a model's file, the checkpoint of a training run, or one from elsewhere.

Leans on `saved`, `snapshot` and `weights` for the three.
"""

from __future__ import annotations

import os
from typing import Any

from ...runtime import checkpoint as storage
from ...runtime.checkpoint import CheckpointError
from .. import initializers as init
from .. import named_state, scaling, snapshot, weights
from ..model import Model
from ..networks.registry import build, build_for
from ..networks.torchvision_names import HEADS, scaling_of
from ..saved import KIND, load_model


def trained(network: str, path: str | os.PathLike[str]) -> Model:
    """The network called `network` with the values in `path`, which `Model.save` or `Trainer.save` wrote.

    It is built for the images and classes that the file names. Of a run with averaged weights these are taken, as its
    evaluations did. Files from elsewhere are those of `kw.load_weights`: the network is then built for its usual images
    and as many classes as the last layer's values have, without auxiliary classifiers; with torchvision's names it
    takes images from 0 to 1 as well, which it scales as torchvision's are.

    Raises CheckpointError for a file that cannot be read or is of another network.
    """
    values, said = weights.contents(path)
    if said is None:
        return _from_elsewhere(network, values, path)
    kept = said.get("name") if said.get("kind") == KIND else said.get("model")
    if not isinstance(kept, str):
        raise CheckpointError(f"{path} is neither a model's file nor the checkpoint of a classifier")
    if kept != network:
        raise CheckpointError(f"{path} holds the weights of {kept}, not of {network}")
    if said.get("kind") == KIND:
        return load_model(path)
    with storage.understanding(path):
        model = build_for(network, tuple(said["input_shape"]), said["classes"])
        model.scaling = scaling.of(said.get("scaling"))
        snapshot.check({**said, "augment": None}, model, None, path)
        _put(model, values, said, path)
    return model


def _from_elsewhere(network: str, values: dict[str, Any], path: Any) -> Model:
    options = {"heads": False} if network in HEADS else {}
    with init.undrawn():
        usual = build(network, **options)
    called = weights.called_in(usual, values)
    last = values.get(named_state.names(usual.net, called)[-1])
    classes = len(last) if last is not None and last.ndim else usual.classes
    model = build_for(network, usual.input_shape, classes, **options)
    weights.put(model, values, path)
    if called:
        model.scaling = scaling_of(network)
    return model


def _put(model: Model, values: dict[str, Any], said: dict[str, Any], path: Any) -> None:
    parameters = snapshot.named(model.parameters())
    if (said.get("updating") or {}).get("ema") is not None:
        averages = {name: values[f"average.{name}"] for name in parameters}
        values = {**values, **averages}
    snapshot.put([*model.parameters(), *model.buffers()], values, path)
