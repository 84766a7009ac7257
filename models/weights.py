"""Weights from elsewhere: safetensors files and PyTorch's, with our names of layers or torchvision's.

Leans on `stored` for PyTorch's files, on `named_state` for what belongs where, and on `networks.torchvision_names`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..runtime import checkpoint as storage
from ..runtime.checkpoint import CheckpointError
from . import named_state
from .checks import SettingError, flag
from .layer import Layer
from .model import Model
from .named_state import Loaded, StateError
from .stored import torch_files

INSIDE = ("state_dict", "model_state_dict", "model")
"""Where checkpoints of training loops written for PyTorch keep the network's values."""
WRAPPED = "module."
"""What torch.nn.DataParallel puts before every name."""


def load_weights(model: Model | Layer, path: str | os.PathLike[str], strict: bool = True) -> Loaded:
    """Set a network's parameters and running statistics to the values in a file, converted to its dtypes.

    The file is one of safetensors, or what `torch.save` wrote of a state dict, alone or under `state_dict`,
    `model_state_dict` or `model`; it is read without PyTorch, and no code in it is run. The names in it are those of
    `state_dict()`, or for networks of `kw.models` that torchvision has too, torchvision's.

    strict: with False what fits is loaded, and (missing_keys, unexpected_keys) says what was not, in the file's names.
    Values of auxiliary classifiers that a network was built without are passed over. Raises CheckpointError for a file
    that cannot be read or is refused, and, before anything is changed, one that lists every value that is missing,
    unexpected or of another shape.
    """
    if not isinstance(model, (Model, Layer)):
        raise SettingError(f"load_weights: the model is a kw.models.Model or a layer, not {model!r}")
    flag("load_weights: strict", strict)
    values, said = contents(path)
    if said is not None and "optimizer_made" in said:
        raise CheckpointError(f"{path} is the checkpoint of a run, which kw.Trainer.resume reads")
    return put(model, values, path, strict)


def contents(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """(values by name, what the file says of itself if it is one of ours). Raises CheckpointError."""
    if torch_files.is_torch_file(path):
        return _values(torch_files.load(path), path), None
    if torch_files.is_old_torch_file(path):
        raise CheckpointError(
            f"{path} is in the format that PyTorch had before 1.6, which is not read here; with PyTorch, "
            "torch.save(torch.load(path, weights_only=True), path) writes today's"
        )
    return storage.load_any(path)


def put(model: Model | Layer, values: Mapping[str, Any], path: Any, strict: bool = True) -> Loaded:
    """`load_weights` of values that were read from `path`."""
    from .networks import torchvision_names

    net, called = (model.net, called_in(model, values)) if isinstance(model, Model) else (model, {})
    if isinstance(model, Model) and called:
        values = {name: values[name] for name in torchvision_names.without_heads(model, list(values))}
    try:
        return named_state.load_state_dict(net, values, strict, called)
    except StateError as error:
        raise CheckpointError(f"{path}: {error}") from None


def called_in(model: Model, values: Mapping[str, Any]) -> dict[str, str]:
    """What these values call the layers at their paths: torchvision's names if more of these fit than of ours."""
    from .networks import torchvision_names

    theirs = torchvision_names.paths(model)
    ours = len(values.keys() & set(named_state.names(model.net)))
    return theirs if len(values.keys() & set(named_state.names(model.net, theirs))) > ours else {}


def _values(saved: Any, path: Any) -> dict[str, Any]:
    """The values by name in what a file of PyTorch's holds; None for what is no tensor."""
    outer = saved if isinstance(saved, dict) else {}
    inside = next((outer[key] for key in INSIDE if isinstance(outer.get(key), dict)), outer)
    if not any(isinstance(value, np.ndarray) for value in inside.values()):
        what = f"a dict of {', '.join(map(str, list(outer)[:5]))}" if outer else f"a {type(saved).__name__}"
        raise CheckpointError(f"{path} holds {what}, not values by name as torch.save(model.state_dict(), path) writes")
    wrapped = all(str(name).startswith(WRAPPED) for name in inside)
    named = {str(name).removeprefix(WRAPPED) if wrapped else str(name): value for name, value in inside.items()}
    return {name: value if isinstance(value, np.ndarray) else None for name, value in named.items()}
