"""What a layer is: a function of a tensor that owns variables, built the first time it is called.

A layer learns its input channels from its first call and names its variables by the scope it is called in
(`block1.conv1.weight`). Leans on the graph's scopes, on `members` for what belongs to a layer, and on `initializers`
for the random numbers in force.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np

from ..compiler.graph.node import scope, user_location
from ..compiler.graph.tensor import Tensor, input
from ..compiler.graph.variable import variable
from ..runtime.awaited import Awaited
from ..runtime.errors import KernelwrightError
from ..runtime.locks import fork_safe_lock
from . import initializers as init
from . import named_state
from .blame import blame_layer
from .checks import SettingError, flag
from .members import members, trainable, variables
from .shown import arguments, nested

Trace = list[tuple[str, "Layer", Tensor]]
_TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
_TRAINING: ContextVar[bool | None] = ContextVar("training", default=None)
_BUILDING = fork_safe_lock()
_OWN = ("_given", "_parameters", "_buffers", "_updates", "_heads", "_last_input")
"""Attributes of every layer that hold tensors without owning them."""


class LayerError(KernelwrightError, ValueError):
    """A layer used in a way that it cannot be."""


class Layer:
    """A part of a network. Subclasses write `forward`, and `build` where they own variables.

    Layers and variables kept as attributes, or in lists, tuples and dicts of them, belong to this layer: the variables
    of its children are its own too. A variable of floats is a parameter, one of integers or bools is state; what is
    not to be trained otherwise is made with `buffer`. A child in a list is named by its place: `blocks.0.weight`.
    """

    kind: str = ""
    """The name used where none is given; empty for layers that open no scope of their own."""
    state_names: ClassVar[Mapping[str, str | None]] = {}
    """What state dicts call variables that have another name there than here; None for those that are not in them."""
    state_ignored: ClassVar[tuple[str, ...]] = ()
    """Names in PyTorch's state dicts of this layer for which there is no use here."""
    name: str | None
    built: bool

    def __new__(cls, *given: Any, **named: Any) -> Any:
        """Every layer has these, also one whose `__init__` does not call this class's."""
        layer = object.__new__(cls)
        layer.name, layer.built, layer._given = None, False, (given, named)
        layer._parameters, layer._buffers, layer._updates, layer._heads = {}, {}, {}, []
        return layer

    _given: tuple[tuple[Any, ...], dict[str, Any]]
    _parameters: dict[str, Tensor]
    _buffers: dict[str, Tensor]
    _updates: dict[Tensor, Tensor]
    _heads: list[tuple[float, Tensor]]

    def __init__(self, name: str | None = None):
        if name is not None and not isinstance(name, str):
            raise LayerError(f"{type(self).__name__}: the name is text, not {name!r}")
        self.name = name

    # -------------------------------------------------------- what subclasses write
    def build(self, x: Tensor) -> None:
        """Make the variables, once, for an input like `x`."""

    def forward(self, x: Tensor, training: bool) -> Any:
        """The layer's value: a tensor, or a tuple or dict of them. A subclass may take several tensors, and leave
        `training` out; layers called inside have it all the same."""
        raise LayerError(f"{type(self).__name__} has no forward: write forward(self, x) or forward(self, x, training)")

    def parameter(self, name: str, value: Any) -> Tensor:
        """A new trainable variable of this layer, of the dtype in force; a placeholder inside `init.undrawn`."""
        full, array = self._full_name(name), value if isinstance(value, Awaited) else np.asarray(value)
        made = variable(full, array, init.dtype()) if init.drawing() else input(full, array.shape, init.dtype())
        self._parameters[name] = made
        return made

    def buffer(self, name: str, value: Any) -> Tensor:
        """A new variable that training keeps up to date but gradients do not touch."""
        self._buffers[name] = variable(self._full_name(name), np.asarray(value))
        return self._buffers[name]

    def __repr__(self) -> str:
        """The layers inside of it, a line each, as the call that makes each."""
        parts = list(members({k: v for k, v in vars(self).items() if k not in _OWN}, Layer))
        given, named = self._given
        call = f"{type(self).__name__}({'' if parts else ', '.join(arguments(given, named))})"
        return nested(call, parts)

    # -------------------------------------------------------- what users call
    def __call__(self, x: Tensor | None = None, *more: Any, training: bool | None = None, **named: Tensor) -> Tensor:
        """The layer applied to the tensors that its `forward` takes, by place or by name; most take one, `x`.

        `training`, which may also stand after the tensors, chooses batch statistics and dropout over their inference
        forms. None: as the layer that this one is called in, and inference outside of any. Gives what `forward` does:
        a tensor, or a tuple or dict of them. Raises LayerError for what is no tensor, and for a `forward` that cannot
        be called so or gives anything else.
        """
        given = [] if x is None and named else [x, *more]
        if training is None and len(given) > 1 and not isinstance(given[-1], Tensor):
            training = given.pop()
        for value in [*given, *named.values()]:
            if not isinstance(value, Tensor):
                what = type(value).__name__
                several = isinstance(value, (tuple, list, dict))
                instead = "take the tensor of it that is meant" if several else "use kw.input, and kw.compile to run it"
                raise LayerError(f"a layer takes a tensor, not {what}: {instead}")
        mode = bool(_TRAINING.get()) if training is None else _mode(training)
        options: dict[str, Any] = dict(named)
        if _takes_training(type(self).forward, type(self).__name__, len(given), tuple(named)):
            options["training"] = mode
        label, token = self.name or self.kind, _TRAINING.set(mode)
        try:
            with scope(label) if label else nullcontext():
                y = self._value(given, options, named)
                trace = _TRACE.get()
                if trace is not None and isinstance(y, Tensor) and not any(True for _ in self.children()):
                    trace.append((user_location().scope, self, y))
        finally:
            _TRAINING.reset(token)
        return y

    def _value(self, given: Sequence[Any], options: dict[str, Any], named: Mapping[str, Tensor]) -> Tensor:
        """What `forward` gives, after `build` where it is the first. Errors name the layer and the user's line."""
        forward: Callable[..., Any] = self.forward
        try:
            if not self.built:
                self._build_once(given, named)
            y: Tensor = forward(*given, **options)
            parts = y.values() if isinstance(y, dict) else y if isinstance(y, (tuple, list)) else (y,)
            wrong = [type(part).__name__ for part in parts if not isinstance(part, Tensor)]
            if wrong or not parts:
                what = wrong[0] if wrong else "nothing"
                raise LayerError(f"{type(self).__name__}.forward gives {what}, not a tensor or a tuple or dict of them")
        except KernelwrightError as error:
            blame_layer(error, type(self).__name__)
            raise
        return y

    def _build_once(self, given: Sequence[Any], named: Mapping[str, Tensor]) -> None:
        """Build where no other thread that calls the layer has: variables made twice would be two networks."""
        with _BUILDING:
            if not self.built:
                self._name_children()
                if type(self).build is not Layer.build:
                    self.build(*given, **named)
                self.built = True

    def children(self) -> Iterator[Layer]:
        """The layers inside this one, in the order they were set."""
        return (layer for _, layer in members(self._attributes(), Layer))

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """(path, layer) of the layers inside this one, as state dicts name them: `head`, `blocks.0`."""
        yield from members(self._attributes(), Layer)

    def named_variables(self) -> Iterator[tuple[str, Tensor]]:
        """(name, variable) of this layer's own variables, parameters first."""
        made = {**self._parameters, **self._buffers}
        known = {id(v) for v in made.values()}
        yield from made.items()
        yield from ((n, v) for n, v in variables(self._attributes()) if id(v) not in known)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and running statistics by PyTorch's names, in PyTorch's shapes.

        Raises LayerError before the first call.
        """
        return named_state.state_dict(self)

    def load_state_dict(self, values: Mapping[str, Any], strict: bool = True) -> named_state.Loaded:
        """Set parameters and running statistics to `values`: arrays by name as in `state_dict`, NumPy's or PyTorch's.

        Raises StateError, before anything is changed, listing all that is missing, unexpected or of another shape.
        strict: with False what fits is loaded, and (missing_keys, unexpected_keys) says what was not. Raises
        LayerError before the first call.
        """
        return named_state.load_state_dict(self, values, flag("load_state_dict: strict", strict))

    def parameters(self) -> list[Tensor]:
        """The trainable variables, in order. Raises LayerError before the first call, when sizes are unknown."""
        return list(dict.fromkeys(p for layer in self.walk() for p in layer._owned()[0]))

    def buffers(self) -> list[Tensor]:
        """State that is not trained: running statistics, generators and counters."""
        return list(dict.fromkeys(b for layer in self.walk() for b in layer._owned()[1]))

    def updates(self) -> dict[Tensor, Tensor]:
        """What the last call with `training=True` leaves in the buffers, for those who build programs from graphs that
        they rewrite; `kw.compile` finds it by itself."""
        return {variable: new for layer in self.walk() for variable, new in layer._updates.items()}

    def heads(self) -> list[tuple[float, Tensor]]:
        """(weight, logits) of each auxiliary classifier in the last call with `training=True`; training adds their
        weighted losses to the network's own."""
        return [head for layer in self.walk() for head in layer._heads]

    def walk(self) -> Iterator[Layer]:
        """This layer and all inside it. Raises LayerError where one has not been built."""
        waiting, seen = [self], set[int]()
        while waiting:
            layer = waiting.pop()
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            if not layer.built:
                raise LayerError(
                    f"{layer.name or type(layer).__name__} has no variables yet: call it once on a tensor, so that it "
                    "learns its input's shape"
                )
            yield layer
            waiting += reversed(list(layer.children()))

    def __getstate__(self) -> dict[str, Any]:
        """For `pickle` and `copy.deepcopy`: all but what the last call left, which is of that call's graph."""
        return {**vars(self), "_updates": {}, "_heads": [], "_last_input": None}

    def _attributes(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _OWN}

    def _owned(self) -> tuple[list[Tensor], list[Tensor]]:
        """(parameters, buffers) of this layer without its children's."""
        parameters, buffers = list(self._parameters.values()), list(self._buffers.values())
        known = {id(v) for v in [*parameters, *buffers]}
        found = [v for _, v in variables(self._attributes()) if id(v) not in known]
        return parameters + [v for v in found if trainable(v)], buffers + [v for v in found if not trainable(v)]

    def _full_name(self, name: str) -> str:
        path = user_location().scope
        return f"{path}.{name}" if path else name

    def _name_children(self) -> None:
        for path, layer in members(self._attributes(), Layer):
            if layer.name is None:
                layer.name = path


def _mode(training: Any) -> bool:
    try:
        return flag("the second argument of a layer's call, training,", training)
    except SettingError as error:
        raise LayerError(str(error)) from None


def inside_training() -> bool | None:
    """The mode of the layer call that is under way, None outside of any."""
    return _TRAINING.get()


@functools.cache
def _takes_training(forward: Callable[..., Any], owner: str, count: int, named: tuple[str, ...]) -> bool:
    """Whether `forward` takes the mode besides `count` tensors by place and those that are `named`. Raises LayerError
    where it cannot be called so."""
    signature = inspect.signature(forward)
    takes = "training" in signature.parameters
    options: dict[str, Any] = {**dict.fromkeys(named), **({"training": False} if takes else {})}
    try:
        signature.bind("self", *range(count), **options)
    except TypeError as error:
        tensors = "one tensor" if count == 1 and not named else f"{count + len(named)} tensors"
        names = f" ({', '.join(named)} by name)" if named else ""
        raise LayerError(
            f"{owner}.forward{signature}: it is called with {tensors}{names}, and with `training` where it has that "
            f"({error}): write forward(self, x) or forward(self, x, training), with a parameter for each tensor"
        ) from None
    return takes


def traced(layer: Layer, x: Tensor) -> Trace:
    """The innermost layers called for `layer(x)`: (path, layer, value), in order."""
    trace: Trace = []
    token = _TRACE.set(trace)
    try:
        layer(x)
    finally:
        _TRACE.reset(token)
    return trace
