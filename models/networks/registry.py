"""The registry of networks, which `kw.models.names()` lists.

A builder returns a fresh `Model` with random weights drawn from `seed`, its usual data and its training recipe. Its
name and the first line of its docstring are what people see. Leans on `model`, and on `smallest` for images that are
too small.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ...compiler.graph.node import user_location
from ...runtime.errors import KernelwrightError
from ..checks import SettingError
from ..model import Model
from .smallest import too_small

Builder = TypeVar("Builder", bound=Callable[..., Model])
_BUILDERS: dict[str, Callable[..., Model]] = {}


def register(builder: Builder) -> Builder:
    """Decorator: the function builds the network of its own name, and its models know how they were built."""
    signature = inspect.signature(builder)

    @functools.wraps(builder)
    def noted(*given: Any, **named: Any) -> Model:
        try:
            model = builder(*given, **named)
        except KernelwrightError as error:
            options = signature.bind(*given, **named)
            options.apply_defaults()
            usual = signature.parameters["input_shape"].default if "input_shape" in signature.parameters else None
            reason = too_small(builder, options.arguments, usual)
            raise error if reason is None else SettingError(reason) from None
        except TypeError:
            sides = signature.bind(*given, **named).arguments.get("input_shape") or ()
            if None not in sides:
                raise
            raise SettingError(
                f"{builder.__name__} counts with the sides of its images while it is built, and cannot take "
                f"input_shape={tuple(sides)}: give numbers, or take a network that ends in a mean over pixels, such as "
                f"resnet18 (at {user_location()})"
            ) from None
        options = signature.bind(*given, **named)
        options.apply_defaults()
        model.built_by = (builder.__name__, dict(options.arguments))
        return model

    _BUILDERS[builder.__name__] = noted
    return noted  # type: ignore[return-value]


def names() -> list[str]:
    """The networks that there are, by name."""
    return sorted(_BUILDERS)


def build(name: str, **options: Any) -> Model:
    """The network called `name`. Raises KeyError naming those that there are."""
    if name not in _BUILDERS:
        raise KeyError(f"there is no network {name!r}; there are {', '.join(names())}")
    return _BUILDERS[name](**options)


def build_for(name: str, input_shape: tuple[int, ...], classes: int, **options: Any) -> Model:
    """The network called `name` for such images and so many classes, as far as its builder lets these be chosen.

    Raises KeyError as `build`.
    """
    wanted = {"input_shape": input_shape, "classes": classes}
    taken = inspect.signature(_BUILDERS[name]).parameters if name in _BUILDERS else {}
    return build(name, **{key: value for key, value in wanted.items() if key in taken}, **options)
