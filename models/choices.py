"""What people give a trainer by word or by object: the optimizer, the loss, and the numbers of a fit.

Leans on `optimizers` and `losses` for what the words mean, on `checks` for numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import losses, optimizers
from .checks import SettingError, function, path, whole
from .outputs import tried

FIT = {
    "x": "data=(images, labels)",
    "y": "data=(images, labels)",
    "validation_data": "here it is validation",
    "validation_split": "give validation=(images, labels)",
    "batch_size": "the batch is given to the Trainer: kw.Trainer(model, batch=64)",
    "verbose": "here it is progress=True or False",
    "initial_epoch": "a trainer that was loaded knows its epoch",
}
TRAINER = {
    "batch_size": "here it is batch",
    "lr": "kw.Trainer(model, kw.optim.SGD(0.1))",
    "learning_rate": "kw.Trainer(model, kw.optim.SGD(0.1))",
    "criterion": "here it is loss",
}


def optimizer_of(given: Any) -> optimizers.Optimizer | None:
    """The optimizer given: one of `kw.optim`, the name of one, or None for the recipe's. Raises SettingError else."""
    if given is None or isinstance(given, optimizers.Optimizer):
        return given
    if isinstance(given, str):
        return optimizers.named(given)
    if isinstance(given, optimizers.LBFGS):
        raise SettingError("Trainer: LBFGS is for one batch of data; call its minimize with the data instead")
    hint = f", not the class {given.__name__}: make one of it" if isinstance(given, type) else f", not {given!r}"
    raise SettingError(f'Trainer: the optimizer is one of kw.optim, such as kw.optim.Adam(), or "adam"{hint}')


def loss_of(given: Any) -> Callable[..., Any]:
    """The loss given: a function (outputs, targets) -> scalar, or the name of one. Raises SettingError else."""
    if isinstance(given, str):
        return losses.named(given)
    result: Callable[..., Any] = function('Trainer: the loss, where it is not a name such as "mse",', given)
    return result


def device_of(given: Any) -> str:
    """The name of a device, which the compiler then knows or refuses."""
    if isinstance(given, str):
        return given
    raise SettingError(f'Trainer: the device is "cpu", "cuda" or "reference", not {given!r}')


def epochs_of(given: Any) -> int:
    """The epochs of a fit, in all."""
    return whole("fit: epochs", given, hint="; images and labels are one argument: fit((images, labels))")


def file_of(what: str, given: str | Path | None) -> Path | None:
    """A file to write, tried now, or None."""
    return None if given is None else tried(what, path(f"fit: {what}", given))


def callbacks_of(given: Any) -> Sequence[Any]:
    """The callbacks of a fit, as a list. Raises SettingError where they are not in one."""
    if isinstance(given, (list, tuple)):
        return given
    raise SettingError(f"fit: callbacks are a list, as in callbacks=[{type(given).__name__}(...)], not {given!r}")
