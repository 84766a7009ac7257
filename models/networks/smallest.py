"""The smallest images that a network can see, found by building it: what an error says of images that are too small.

Nothing is declared for this: whether a network fits an image is what the shape rules of its layers say. Leans on
`initializers` for building without drawing weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...runtime.errors import KernelwrightError
from .. import initializers as init


def too_small(builder: Callable[..., Any], options: Mapping[str, Any], usual: Any) -> str | None:
    """Why `builder` refused the images of these options, where that is their size or number of axes; else None.

    usual: an input shape that the builder takes by default, or None where it has none.
    """
    given = options.get("input_shape")
    if not isinstance(given, tuple) or not isinstance(usual, tuple) or None in given:
        return None
    name, axes = builder.__name__, "channels, height, width"
    if len(given) != len(usual):
        text = f"{name}: images are ({axes}), such as {usual}, not {given}"
        return text if _fits(builder, options, usual) else None
    least = _smallest(builder, options, usual)
    if least is None or min(given[1:]) >= least:
        return None
    text = f"{name}: images of {least}x{least} pixels or more are needed, not {'x'.join(map(str, given[1:]))}"
    without = _smallest(builder, {**options, "heads": False}, usual) if options.get("heads") else None
    return text if without is None else f"{text}; heads=False takes them from {without}x{without}"


def _smallest(builder: Callable[..., Any], options: Mapping[str, Any], usual: tuple[int, ...]) -> int | None:
    """The least side of square images that the builder takes with these options, up to that of its `usual` images.

    No layer gives more places for a smaller image, so that what fits one image fits all larger ones. None where not
    even the usual size is taken, or there are no sides, and what is wrong is something else.
    """
    channels, *sides = options["input_shape"]
    if not sides or not _fits(builder, options, (channels, *usual[1:])):
        return None
    low, high = 0, max(usual[1:])  # low does not fit, high does
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(builder, options, (channels, *[middle] * len(sides))):
            high = middle
        else:
            low = middle
    return high


def _fits(builder: Callable[..., Any], options: Mapping[str, Any], shape: tuple[int, ...]) -> bool:
    with init.undrawn():
        try:
            builder(**{**options, "input_shape": shape})
        except KernelwrightError:
            return False
    return True
