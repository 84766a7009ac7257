"""What a training run needs to continue, as arrays and JSON: written by `runtime.checkpoint`, read back with checks.

Arrays are parameters, buffers and optimizer state under their variables' names; the rest is metadata. Optimizers and
schedules are described as plain data, so that a run can be resumed without declaring them again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..compiler.graph.tensor import Tensor
from ..compiler.graph.variable import get_value, set_value
from ..runtime.checkpoint import CheckpointError
from . import optimizers, scaling, schedules
from .images.augment import Augment
from .model import Model

FORMAT = 2


def named(variables: Iterable[Tensor]) -> dict[str, Tensor]:
    """The variables by name; a name that comes again gets a number, in order."""
    out: dict[str, Tensor] = {}
    for v in variables:
        name, n = v.attrs.name, 2
        while name in out:
            name, n = f"{v.attrs.name}#{n}", n + 1
        out[name] = v
    return out


def values(variables: Iterable[Tensor]) -> dict[str, np.ndarray]:
    """Copies of the variables' values by name."""
    return {name: get_value(v) for name, v in named(variables).items()}


def put(variables: Iterable[Tensor], arrays: Mapping[str, np.ndarray], path: Any) -> None:
    """Set every variable from `arrays`. Raises CheckpointError, before anything is changed, where one does not fit."""
    wanted = named(variables)
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise CheckpointError(f"{path} has no {', '.join(missing[:3])}: it is of another network or optimizer")
    for name, v in wanted.items():
        if arrays[name].shape != v.shape:
            raise CheckpointError(f"{path}: {name} has shape {arrays[name].shape}, here it is {v.shape}")
    for name, v in wanted.items():
        set_value(v, arrays[name])


def describe(optimizer: optimizers.Optimizer) -> dict[str, Any] | None:
    """The optimizer as plain data; None for one that is not of `kw.optim`."""
    kind, rate = type(optimizer), optimizer.learning_rate
    if getattr(optimizers, kind.__name__, None) is not kind or not _known(rate):
        return None
    if any(callable(g.match) for g in optimizer.groups):
        return None
    hidden = ("learning_rate", "counter")
    options = {k: v for k, v in vars(optimizer).items() if k not in hidden and not k.startswith("_")}
    options["groups"] = [dataclasses.asdict(g) for g in optimizer.groups]
    return {"kind": kind.__name__, "options": options, "learning_rate": _describe_schedule(rate)}


def revive(description: Mapping[str, Any]) -> optimizers.Optimizer:
    """The optimizer that `describe` described, with fresh state."""
    rate = _revive_schedule(description["learning_rate"])
    options = dict(description["options"])
    options["groups"] = [optimizers.Group(**g) for g in options.get("groups", ())]
    result: optimizers.Optimizer = _class(description["kind"], optimizers.Optimizer)(rate, **options)
    return result


def _known(rate: schedules.Schedule) -> bool:
    inner = getattr(rate, "after", None)
    return getattr(optimizers, type(rate).__name__, None) is type(rate) and (inner is None or _known(inner))


def _describe_schedule(rate: schedules.Schedule) -> dict[str, Any]:
    fields = {f.name: getattr(rate, f.name) for f in dataclasses.fields(rate) if f.init}
    plain = {k: _describe_schedule(v) if isinstance(v, schedules.Schedule) else v for k, v in fields.items()}
    return {"kind": type(rate).__name__, **plain}


def _revive_schedule(description: Mapping[str, Any]) -> schedules.Schedule:
    options = {k: _revive_schedule(v) if isinstance(v, dict) else v for k, v in description.items() if k != "kind"}
    result: schedules.Schedule = _class(description["kind"], schedules.Schedule)(**options)
    return result


def _class(name: Any, base: type) -> Any:
    """The class of `kw.optim` that a checkpoint names. Raises ValueError for anything but a class of this kind."""
    found = getattr(optimizers, name, None) if isinstance(name, str) else None
    if not isinstance(found, type) or not issubclass(found, base):
        raise ValueError(f"{name!r} is no {base.__name__} of kw.optim")
    return found


def identity(model: Model, augment: Augment | None) -> dict[str, Any]:
    """What a checkpoint says of the network and the augmentation that it is of."""
    return {
        "format": FORMAT,
        "model": model.name,
        "input_shape": list(model.sides),
        "classes": model.classes,
        "scaling": scaling.described(model.scaling),
        "augment": None if augment is None else repr(augment),
    }


def check(metadata: Mapping[str, Any], model: Model, augment: Augment | None, path: Any) -> None:
    """Raises CheckpointError where a checkpoint is not of this network or augmentation."""
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a trainer's checkpoint of format {FORMAT}")
    theirs = (metadata["model"], tuple(metadata["input_shape"]), metadata["classes"])
    ours = (model.name, model.sides, model.classes)
    if theirs != ours:
        raise CheckpointError(
            f"{path} was written for {theirs[0]} {theirs[1]} with {theirs[2]} classes, "
            f"not for {ours[0]} {ours[1]} with {ours[2]}"
        )
    theirs_scaled = scaling.of(metadata.get("scaling"))
    if theirs_scaled != model.scaling:
        raise CheckpointError(
            f"{path} was written with scaling={theirs_scaled}, not {model.scaling}: give the model the same"
        )
    made, given = metadata.get("augment"), None if augment is None else repr(augment)
    if made != given:
        raise CheckpointError(f"{path} was written with augment={made}, not augment={given}: give the trainer the same")
