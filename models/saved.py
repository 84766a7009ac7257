"""A model's file: its values by name, and which network they are of. What reads it is `load_model`.

A network of `kw.models` is built again from its name and options; of any other the file says what it is called and
takes, and the user's code builds it. Leans on `runtime.checkpoint` for the file; it holds no code.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..runtime import checkpoint as storage
from ..runtime.checkpoint import CheckpointError
from . import initializers as init
from . import scaling
from .checks import SettingError
from .layer import Layer
from .named_state import StateError

if TYPE_CHECKING:
    from .model import Model

KIND, FORMAT = "model", 1


def describe(model: Model) -> dict[str, Any]:
    """What the file says of the network, as plain data."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "name": model.name,
        "input_shape": list(model.sides),
        "classes": model.classes,
        "dtype": model.dtype,
        "scaling": scaling.described(model.scaling),
        "built_by": _as_json(model.built_by),
    }


def load_model(path: str | os.PathLike[str], model: Model | Layer | None = None) -> Model:
    """The model that `Model.save` wrote to `path`.

    model: where its values go, for networks that are not of `kw.models`: the same network, as a model or as a layer,
    which becomes a model of the file's input shape and classes. Raises CheckpointError for a file that cannot be read
    or is of another network, and where `model` is needed and not given.
    """
    from .model import Model

    values, said = storage.load(path)
    if said.get("kind") != KIND or said.get("format") != FORMAT:
        hint = "; kw.Trainer.resume reads a trainer's checkpoint" if "optimizer_made" in said else ""
        raise CheckpointError(f"{path} is not a model's file of format {FORMAT}{hint}")
    if isinstance(model, Layer):
        with storage.understanding(path), init.precision(said["dtype"]):
            model = Model(said["name"], model, tuple(said["input_shape"]), said["classes"])
    elif model is None:
        with storage.understanding(path):
            model = _built(said, path)
    elif not isinstance(model, Model):
        raise SettingError(f"load_model: the model is a kw.models.Model or a layer, not {model!r}")
    with storage.understanding(path):
        theirs, scaled = (said["name"], tuple(said["input_shape"]), said["classes"]), scaling.of(said.get("scaling"))
    if theirs != (model.name, model.sides, model.classes):
        raise CheckpointError(f"{path} is of {theirs[0]} {theirs[1]} with {theirs[2]} classes, not of {model!r}")
    try:
        model.load_state_dict(values)
    except StateError as error:
        raise CheckpointError(f"{path}: {error}") from None
    model.scaling = scaled
    return model


def _built(said: dict[str, Any], path: Any) -> Model:
    """The network of `kw.models` that the file names, built anew."""
    from .networks import registry

    if said["built_by"] is None or said["built_by"][0] not in registry.names():
        raise CheckpointError(
            f"{path}: {said['name']!r} is not one of kw.models.names(): build the same network and give it, "
            "kw.load_model(path, model)"
        )
    name, options = said["built_by"]
    with init.precision(said["dtype"]):
        return registry.build(name, **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})


def _as_json(built_by: tuple[str, dict[str, Any]] | None) -> Any:
    """How the network was built, None where an option is no plain data."""
    try:
        return json.loads(json.dumps(built_by))
    except TypeError:
        return None
