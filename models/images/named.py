"""Augmentation as text, for the command line and recipes: `rotate=10,scale=0.1,flip` is
`Augment(Rotate(10), Scale(0.1), Flip())`.

Steps stand between commas, in their order: a name, its first setting after "=", further ones by name after ":", as in
`crop=32:padding=4`. A setting is a number, a range `-5..10`, true, false, none, or a word; `fill=edge` is the Augment's
own. Leans on `steps` for what there is.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ..checks import SettingError, nearest
from . import steps
from .augment import Augment
from .colour import colour_pca

STEPS: dict[str, type[steps.Step]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(steps.Translate, steps.Flip, steps.Rotate, steps.Scale, steps.Shear, steps.Crop, steps.Dilate, steps.Erode),
        *(steps.Brightness, steps.Contrast, steps.Saturation, steps.Hue, steps.Lighting, steps.Cutout),
    )
}
"""Every step by its name here."""
WORDS = {"true": True, "false": False, "none": None}


def augmentation(text: str, images: Any = None, seed: int = 0) -> Augment:
    """The `Augment` that `text` names. seed: of its random numbers.

    images: float arrays (n, channels, height, width) whose principal colours `lighting` moves along; nothing else needs
    them. Raises SettingError naming what is not known, with the nearest that is, and what the steps refuse.
    """
    if not isinstance(text, str):
        raise SettingError(f"augment: a text such as 'rotate=10,flip', not {text!r}")
    made: list[steps.Step] = []
    fill: float | str = 0.0
    for item in filter(None, map(str.strip, text.split(","))):
        name, *settings = item.split(":")
        name, _, first = (each.strip() for each in name.partition("="))
        if name == "fill" and not settings:
            fill = _value(first)
        elif name in STEPS:
            made.append(_step(name, first, settings, images))
        else:
            raise SettingError(f"augment: there is no step {name!r}; {nearest(name, [*STEPS, 'fill'])}")
    if not made:
        raise SettingError(f"augment: {text!r} names no step; there are {', '.join(STEPS)}")
    return Augment(*made, fill=fill, seed=seed)


def _step(name: str, first: str, settings: list[str], images: Any) -> steps.Step:
    kind = STEPS[name]
    options = {f.name: f.default is dataclasses.MISSING for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    if options.pop("pca", False):
        if images is None:
            raise SettingError(f"augment: {name} moves along the colours of a data set in memory; leave it out")
        given["pca"] = colour_pca(images)
    if first:
        given[next(iter(options))] = _value(first)
    for setting in settings:
        option, _, value = (each.strip() for each in setting.partition("="))
        if option not in options:
            raise SettingError(f"augment: {name} has no setting {option!r}; {nearest(option, list(options))}")
        given[option] = _value(value)
    missing = [option for option, needed in options.items() if needed and option not in given]
    if missing:
        raise SettingError(f"augment: {name} needs its {missing[0]}, as in {name}=4")
    return kind(**given)


def _value(text: str) -> Any:
    if text in WORDS:
        return WORDS[text]
    low, dots, high = text.partition("..")
    if dots:
        return _value(low), _value(high)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
