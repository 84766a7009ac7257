"""Finished compilations on disk: a program whose graph was compiled before is read instead of being compiled again.

The key is a canonical text of all that decides the result: every node with its op, attributes, inputs, name and scope,
the orders of the variables, the typical sizes, the compiler's own source, and the machine. A line of the user's is a
number there (which nodes share it), so that moving code in a file changes no key; what is stored has the lines in the
order of these numbers, after the line that asks to compile. Kernels are stored by their own keys and shared; a program
that misses one of them is compiled again. Leans on `store` for the kernel cache and on the runtime's `Program`.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from .... import runtime
from ....runtime.locks import once
from ...graph.body import Body, body_of, with_bodies
from ...graph.node import location, name_of, toposort, user_location
from ...graph.ops.defined import Derivative
from ...graph.ops.registry import Op
from ...graph.tensor import ArrayConstant, Tensor
from ...passes import Trace
from ...shapes import Size
from .kernel_info import KernelInfo
from .store import kernel_cache

HARMLESS = frozenset(["CACHE", "CACHE_MB", "DATA", "HELPERS", "THREADS", "VERIFY"])
"""Settings (`config`) that do not change what a graph compiles to."""

Built = tuple[runtime.Program, Sequence[KernelInfo], list[Any], Trace]


@dataclass(frozen=True)
class Identity:
    """A graph's key, and what a stored program refers to by position: states, arrays and the user's lines.

    `graph` leaves the orders of variables out. In `key` a variable is free whose order a program of this very graph
    chose, so that the same graph gives the same program, and the same bits, each time; in `strict_key` it is fixed.
    """

    key: str
    strict_key: str
    graph: str
    states: list[Any]
    arrays: list[np.ndarray]
    lines: list[str]


class _Unknown(Exception):
    """An attribute or an op whose content cannot be told."""


def identify(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    updates: Mapping[Tensor, Tensor],
    sizes: Mapping[str, int],
    environment: str,
) -> Identity | None:
    """The identity of a compilation; None where the graph holds an op or an attribute from outside the compiler.

    environment: what decides the target's code besides the graph.
    """
    roots = [*inputs, *outputs, *updates, *updates.values()]
    nodes = list(with_bodies(toposort(roots)))
    number = {node: i for i, node in enumerate(nodes)}
    lines: dict[str, int] = {}
    known: dict[Any, str] = {}  # by op's name or by attributes
    text = [f"{compiler()} {environment} {settings()} {sorted(sizes.items())} {len(inputs)} {len(outputs)}"]
    try:
        for node in nodes:
            if node.op.name not in known:
                known[node.op.name] = _op(node.op)
            if node.attrs not in known:
                known[node.attrs] = _text(tuple(node.attrs.items()))
            where = location(node)
            line = lines.setdefault(str(where), len(lines))
            body = body_of(node)
            feeds = [number[i] for i in (*node.inputs, *(() if body is None else (*body.given, *body.results)))]
            text.append(
                f"{known[node.op.name]}{feeds}{node.dtype}|{known[node.attrs]}|{name_of(node)}|{where.scope}|{line}"
            )
    except _Unknown:
        return None
    text.append(str([number[y] for y in roots]))
    graph = hashlib.sha256("\n".join(text).encode()).hexdigest()
    states = [n.attrs.state for n in nodes if n.op.name == "variable"]
    orders = [state.order if state.claimed else None for state in states]
    chosen = [None if state.chosen_by == graph else order for state, order in zip(states, orders)]
    key, strict_key = (f"program-{hashlib.sha256(f'{graph}{o}'.encode()).hexdigest()[:40]}" for o in (chosen, orders))
    arrays = [n.attrs.value.array for n in nodes if n.op.name == "array"]
    here = str(user_location())  # constants that rewriting makes are said to be from here, be it a node's line or not
    return Identity(key, strict_key, graph, states, arrays, [here, *lines])


def load(identity: Identity, stored_object: Callable[[str], bytes | None]) -> Built | None:
    """The program stored under this identity (its checks are left out), its kernels for reading, its states, and what
    each pass did.

    None where it, or the code of one of its kernels, is not in the cache. stored_object: a kernel's code by its key.
    """
    stored = kernel_cache().load(identity.key)
    if stored is None and identity.strict_key != identity.key:
        stored = kernel_cache().load(identity.strict_key)
    if stored is None:
        return None
    program, states, arrays, infos, trace = stored
    objects: dict[str, bytes] = {}
    for key in program.keys:
        code = stored_object(key)
        if code is None:
            return None
        objects[key] = code
    buffers = list(program.buffers)
    for position, array in arrays.items():
        buffers[position] = replace(buffers[position], data=identity.arrays[array])
    program = replace(program, buffers=tuple(buffers), objects=objects)
    return program, SavedKernels(infos, identity.lines), [identity.states[i] for i in states], trace


def keep(
    identity: Identity, program: runtime.Program, infos: Sequence[KernelInfo], states: Sequence[Any], trace: Trace
) -> SavedKernels:
    """Store what `load` gives. Arrays of the graph are stored as their positions in it. Gives the kernels for reading
    as `load` would: packed, they are one object to Python's search for cycles, which takes time by the object."""
    place = {id(array): i for i, array in enumerate(identity.arrays)}
    arrays = {i: place[id(b.data)] for i, b in enumerate(program.buffers) if id(b.data) in place}
    buffers = tuple(replace(b, data=None) if i in arrays else b for i, b in enumerate(program.buffers))
    bare = replace(program, buffers=buffers, objects={}, checks=(), size_checks=(), computed_checks=())
    packed = zlib.compress(pickle.dumps((list(infos), identity.lines), pickle.HIGHEST_PROTOCOL), 1)
    index = {id(state): i for i, state in enumerate(identity.states)}
    kernel_cache().store(identity.strict_key, (bare, [index[id(s)] for s in states], arrays, packed, trace))
    return SavedKernels(packed, identity.lines)


class SavedKernels(Sequence[KernelInfo]):
    """The kernels of a stored program, unpacked when they are first looked at."""

    def __init__(self, packed: bytes, lines: Sequence[str]) -> None:
        self._packed = packed
        self._lines = lines
        self._infos: list[KernelInfo] | None = None

    def _all(self) -> list[KernelInfo]:
        if self._infos is None:
            infos, lines = pickle.loads(zlib.decompress(self._packed))
            today = {before: now for before, now in zip(lines, self._lines, strict=True) if before != now}
            self._infos = [_with_lines(info, lambda x: today.get(x, x)) for info in infos] if today else infos
        return self._infos

    @overload
    def __getitem__(self, index: int) -> KernelInfo: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[KernelInfo]: ...

    def __getitem__(self, index: int | slice) -> KernelInfo | Sequence[KernelInfo]:
        return self._all()[index]

    def __iter__(self) -> Iterator[KernelInfo]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


def _with_lines(info: KernelInfo, change: Callable[[Any], Any]) -> KernelInfo:
    """The kernel with each of the user's lines changed."""
    values = tuple(replace(v, line=change(v.line)) for v in info.values)
    return replace(info, lines=tuple(map(change, info.lines)), values=values)


@once
def compiler() -> str:
    """What decides a program besides its graph, the settings and the machine: the source of the compiler and of the
    runtime, whose format it has."""
    own = hashlib.sha256()
    here = Path(__file__).parents[2]
    for path in sorted([*here.rglob("*.py"), *here.parent.glob("runtime/*.py")]):
        own.update(path.read_bytes())
    return own.hexdigest()


def settings() -> list[tuple[str, str]]:
    """The settings that may change what a graph compiles to."""
    ours = [(k.removeprefix("KERNELWRIGHT_"), v) for k, v in os.environ.items() if k.startswith("KERNELWRIGHT_")]
    return sorted((k, v) for k, v in ours if k not in HARMLESS)


def _op(op: Op) -> str:
    """The op's name, where its row is the compiler's own."""
    ours = __name__.partition(".targets.")[0] + "."
    if not all(f is None or f.__module__.startswith(ours) for f in (op.infer, op.reference, op.lower, op.vjp)):
        raise _Unknown(op.name)
    return op.name


def _text(item: Any) -> str:
    """An attribute as text that is equal for equal values and for no others."""
    if item is None or isinstance(item, (bool, int, float, str)):
        return repr(item)
    if isinstance(item, tuple):
        return "(" + ",".join(map(_text, item)) + ")"
    if isinstance(item, Body):
        return f"body{len(item.states)},{len(item.slices)}"  # whose nodes are among the graph's
    if isinstance(item, Size):
        return f"Size{item.terms}"
    if isinstance(item, runtime.State):
        return f"state{item.shape}{item.dtype.str}"
    if isinstance(item, ArrayConstant):
        array = item.array
        return f"array{array.dtype.str}{array.shape}{hashlib.sha256(array.tobytes()).hexdigest()}"
    if isinstance(item, Derivative):
        return "derivative"  # of which the graph has been made
    if is_dataclass(item) and not isinstance(item, type):
        return type(item).__name__ + _text(tuple(getattr(item, f.name) for f in fields(item)))
    raise _Unknown(type(item).__name__)
