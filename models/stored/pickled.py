"""Plain data out of a pickle without unpickling it: a stack machine of the opcodes that `torch.save` writes.

Nothing that a pickle names is imported or called. A global becomes a `Global`, what it is called on a `Call`, and what
these mean is the caller's to say, by an allow-list. Opcodes are split by `pickletools`, which only parses; the machine
knows those of protocol 2 that build tuples, lists, dicts, numbers and strings, and refuses all others.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Refused(ValueError):
    """What is in a pickle that this reader does not take, or that makes no sense."""


class Global(NamedTuple):
    """A function or class that the pickle names, as `module name`."""

    name: str


Builder = Callable[..., Any]
"""Makes the value of a call in the pickle from its arguments; raises Refused."""

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
GIVEN = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
SHORT_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MARK = object()


def read(data: bytes, calls: Mapping[str, Builder], others: frozenset[str], stored: Builder) -> Any:
    """The value in a pickle of protocol 2.

    calls: what may be called, as `module name`, and what makes its value. others: further globals that may be named,
    which come as `Global`. stored: makes the value of a persistent id. Raises Refused for everything else, for
    damaged pickles and for what follows the pickle's end.
    """
    machine = _Machine(calls, others, stored)
    stream = io.BytesIO(data)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            machine.step(opcode.name, argument)
        value = machine.result()
    except Refused:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"a damaged pickle ({error})") from None
    if stream.tell() != len(data):
        raise Refused(f"{len(data) - stream.tell()} bytes after the pickle's end")
    return value


class _Machine:
    """The stack, and what was put aside by number."""

    def __init__(self, calls: Mapping[str, Builder], others: frozenset[str], stored: Builder):
        self.calls, self.others, self.stored = calls, others, stored
        self.stack: list[Any] = []
        self.aside: dict[int, Any] = {}

    def result(self) -> Any:
        (value,) = self.stack
        return value

    def step(self, name: str, argument: Any) -> None:
        """One opcode. Raises Refused for one that is not known, LookupError where nothing was put aside."""
        if name in GIVEN:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.aside[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.aside[argument])
        elif name in SHORT_TUPLES:
            self.stack.append(tuple(self._last(SHORT_TUPLES[name])))
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in ("PROTO", "STOP"):
            raise Refused(f"the pickle's opcode {name}, which torch.save does not write for values")

    def _last(self, count: int) -> list[Any]:
        """The last `count` values, taken off the stack."""
        if count > len(self.stack):
            raise Refused("a damaged pickle (its stack is too short)")
        start = len(self.stack) - count
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def _since_mark(self) -> list[Any]:
        """The values after the last mark, taken off the stack with it."""
        count = next((k for k, value in enumerate(reversed(self.stack)) if value is MARK), None)
        if count is None:
            raise Refused("a damaged pickle (no mark)")
        taken = self._last(count)
        self.stack.pop()
        return taken

    def _named(self, argument: str) -> None:
        if argument not in self.calls and argument not in self.others:
            raise Refused(f"{argument.replace(' ', '.')}, which is not of the kinds that a file of weights needs")
        self.stack.append(Global(argument))

    def _call(self, _: Any) -> None:
        function, arguments = self._last(2)
        if not isinstance(function, Global) or function.name not in self.calls or not isinstance(arguments, tuple):
            raise Refused(f"a call of {_shown(function)}")
        self.stack.append(self.calls[function.name](*arguments))

    def _state(self, _: Any) -> None:
        """Attributes of the object below: PyTorch gives dicts the versions of their layers, which say nothing here."""
        owner, _state = self._last(2)
        if not isinstance(owner, dict):
            raise Refused(f"attributes of {_shown(owner)}")
        self.stack.append(owner)

    def _append(self, values: list[Any]) -> None:
        self._below(list).extend(values)

    def _set(self, values: list[Any]) -> None:
        items = self._below(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, (str, int)):
                raise Refused(f"{_shown(key)} as a key")
            items[key] = value

    def _below(self, kind: type) -> Any:
        """The list or dict on the stack that takes further values."""
        owner = self._last(1)[0]
        if not isinstance(owner, kind):
            raise Refused(f"{_shown(owner)} in place of a {kind.__name__}")
        self.stack.append(owner)
        return owner


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.stack.append(MARK),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine._since_mark())),
    "APPEND": lambda machine, _: machine._append(machine._last(1)),
    "APPENDS": lambda machine, _: machine._append(machine._since_mark()),
    "SETITEM": lambda machine, _: machine._set(machine._last(2)),
    "SETITEMS": lambda machine, _: machine._set(machine._since_mark()),
    "GLOBAL": _Machine._named,
    "REDUCE": _Machine._call,
    "BUILD": _Machine._state,
    "BINPERSID": lambda machine, _: machine.stack.append(machine.stored(machine._last(1)[0])),
}


def _shown(value: Any) -> str:
    """What kind of value it is, without its parts, which may be many."""
    return value.name.replace(" ", ".") if isinstance(value, Global) else type(value).__name__
