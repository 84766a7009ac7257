"""PyTorch's names for arguments: `dim` beside `axis`, `keepdim` beside `keepdims`, `padding` beside `pad`.

One table for functions, tensors' methods and layers. Where PyTorch's function of the same name gives something else
for its own arguments, these are refused with what to write: who types `x.max(dim=1)[0]` expects a pair. Leans on
`node` for the user's line.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import ShapeError
from .node import user_location

Function = TypeVar("Function", bound=Callable[..., Any])

OTHERS: dict[str, tuple[str, ...]] = {
    "axis": ("dim", "dims"),
    "axes": ("dim", "dims", "axis"),
    "axis1": ("dim1",),
    "axis2": ("dim2",),
    "keepdims": ("keepdim",),
    "shift": ("shifts",),
    "start": ("start_dim",),
    "ord": ("p",),
    "window": ("kernel_size",),
    "pad": ("padding",),
    "output_pad": ("output_padding",),
    "output_padding": ("output_pad",),
}
"""By the name of an argument here, what else it may be called."""


A_PAIR = "gives a pair there; here {} gives the values, {} the positions"
"""What `also_named` may say of a function."""


class Synonyms:
    """The other names of one function's arguments."""

    def __init__(self, signature: inspect.Signature):
        names = signature.parameters
        self.ours = {other: name for name in names for other in OTHERS.get(name, ()) if other not in names}
        self._placed = [name for name, p in names.items() if p.kind is p.POSITIONAL_OR_KEYWORD]

    def used(self, named: Mapping[str, Any]) -> list[str]:
        """Those of a call's names that are other names."""
        return [name for name in named if name in self.ours]

    def translated(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        """A call's named arguments under our names. Raises ValueError for an argument that is given twice."""
        out = dict(named)
        placed = dict(zip(self._placed, given))
        for other in self.used(named):
            name, value = self.ours[other], out.pop(other)
            if name in out or name in placed:
                raise ValueError(
                    f"{name}={out.get(name, placed.get(name))!r} and {other}={value!r} are one argument, given twice; "
                    "leave one out"
                )
            out[name] = value
        return out


def also_named(differs: str = "", unless: tuple[str, ...] = ()) -> Callable[[Function], Function]:
    """A decorator: the function takes its arguments by their other names, too. Raises ShapeError for one given twice.

    differs: why PyTorch's names are refused, and what to write; `unless`: names of arguments beside which they are not.
    """

    def decorate(call: Function) -> Function:
        synonyms = Synonyms(inspect.signature(call))
        label = call.__name__.strip("_")

        @functools.wraps(call)
        def named_either_way(*given: Any, **named: Any) -> Any:
            used = synonyms.used(named)
            if not used:
                return call(*given, **named)
            try:
                named = synonyms.translated(given, named)
            except ValueError as twice:
                raise ShapeError(f"{label}: {twice} (at {user_location()})") from None
            if differs and not any(name in named for name in unless):
                raise ShapeError(f"{label}: {used[0]} is PyTorch's name, which {differs} (at {user_location()})")
            return call(*given, **named)

        return named_either_way  # type: ignore[return-value]

    return decorate
