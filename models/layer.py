"""What a layer is: a function of a tensor that owns variables, built the first time it is called.

A layer learns its input channels from its first call and names its variables by the scope it is called in
(`block1.conv1.weight`). Leans on the graph's scopes and on `initializers` for the random numbers in force.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..compiler.graph import scope, user_location
from ..compiler.tensor import Tensor, input
from ..compiler.variable import variable
from ..runtime.errors import KernelwrightError
from . import initializers as init

Trace = list[tuple[str, "Layer", Tensor]]
_TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)


class LayerError(KernelwrightError, ValueError):
    """A layer used in a way that it cannot be."""


class Layer:
    """A part of a network. Subclasses write `forward`, and `build` where they own variables.

    Layers kept as attributes (or in lists of them) are children: their variables are this layer's too.
    """

    kind: str = ""
    """The name used where none is given; empty for layers that open no scope of their own."""

    def __init__(self, name: str | None = None):
        self.name = name
        self.built = False
        self._parameters: dict[str, Tensor] = {}
        self._buffers: dict[str, Tensor] = {}
        self._updates: dict[Tensor, Tensor] = {}
        self._heads: list[tuple[float, Tensor]] = []

    # -------------------------------------------------------- what subclasses write
    def build(self, x: Tensor) -> None:
        """Make the variables, once, for an input like `x`."""

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """The layer's value."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def parameter(self, name: str, value: Any) -> Tensor:
        """A new trainable variable of this layer, of the dtype in force; a placeholder inside `init.undrawn`."""
        full, array = self._full_name(name), np.asarray(value)
        made = variable(full, array, init.dtype()) if init.drawing() else input(full, array.shape, init.dtype())
        self._parameters[name] = made
        return made

    def buffer(self, name: str, value: Any) -> Tensor:
        """A new variable that training keeps up to date but gradients do not touch."""
        self._buffers[name] = variable(self._full_name(name), np.asarray(value))
        return self._buffers[name]

    # -------------------------------------------------------- what users call
    def __call__(self, x: Tensor, training: bool = False) -> Tensor:
        """The layer applied to `x`; `training` chooses batch statistics and dropout over their inference forms."""
        if not isinstance(x, Tensor):
            raise LayerError(f"a layer takes a tensor, not {type(x).__name__}: use kw.input, and kw.compile to run it")
        label = self.name or self.kind
        with scope(label) if label else nullcontext():
            if not self.built:
                self._name_children()
                self.build(x)
                self.built = True
            y = self.forward(x, training)
            trace = _TRACE.get()
            if trace is not None and not any(True for _ in self.children()):
                trace.append((user_location().scope, self, y))
        return y

    def children(self) -> Iterator[Layer]:
        """The layers inside this one, in the order they were set."""
        for value in list(vars(self).values()):
            if isinstance(value, Layer):
                yield value
            elif isinstance(value, (list, tuple)):
                yield from (item for item in value if isinstance(item, Layer))

    def parameters(self) -> list[Tensor]:
        """The trainable variables, in order. Raises LayerError before the first call, when sizes are unknown."""
        return list(dict.fromkeys(p for layer in self.walk() for p in layer._parameters.values()))

    def buffers(self) -> list[Tensor]:
        """State that is not trained: running statistics and generators."""
        return list(dict.fromkeys(b for layer in self.walk() for b in layer._buffers.values()))

    def updates(self) -> dict[Tensor, Tensor]:
        """What the last call with `training=True` leaves in the buffers: pass it on to `kw.compile`."""
        return {variable: new for layer in self.walk() for variable, new in layer._updates.items()}

    def heads(self) -> list[tuple[float, Tensor]]:
        """(weight, logits) of each auxiliary classifier in the last call with `training=True`; training adds their
        weighted losses to the network's own."""
        return [head for layer in self.walk() for head in layer._heads]

    def walk(self) -> Iterator[Layer]:
        """This layer and all inside it. Raises LayerError where one has not been built."""
        if not self.built:
            raise LayerError(
                f"{self.name or type(self).__name__} has no variables yet: call it once on a tensor, so that it "
                "learns its input's shape"
            )
        yield self
        for child in self.children():
            yield from child.walk()

    def _full_name(self, name: str) -> str:
        path = user_location().scope
        return f"{path}.{name}" if path else name

    def _name_children(self) -> None:
        for key, value in vars(self).items():
            items = value if isinstance(value, (list, tuple)) else [value]
            for i, item in enumerate(items):
                if isinstance(item, Layer) and item.name is None:
                    item.name = key if item is value else f"{key}{i + 1}"


def traced(layer: Layer, x: Tensor) -> Trace:
    """The innermost layers called for `layer(x)`: (path, layer, value), in order."""
    trace: Trace = []
    token = _TRACE.set(trace)
    try:
        layer(x)
    finally:
        _TRACE.reset(token)
    return trace
