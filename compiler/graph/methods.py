"""Tensors' methods that are functions of the same name: `x.exp()` is `kw.exp(x)`.

The functions are in files that lean on `tensor`, so a method looks its function up when it is called. Leans on nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tensor import Tensor


def method(place: str, name: str, function: str = "") -> Callable[..., Any]:
    """A method called `name`: the function of that name, or of the name `function`, in a file of this folder."""

    def call(self: Tensor, *args: Any, **options: Any) -> Any:
        return getattr(import_module(f".{place}", __package__), function or name)(self, *args, **options)

    call.__name__ = name
    call.__qualname__ = f"Tensor.{name}"
    call.__doc__ = f"`{name}` of this tensor, as the function `{function or name}` of {place}.py says."
    return call
