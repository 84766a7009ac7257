"""The tensor graph: frozen, interned nodes, where the user wrote each, and walks that never recurse.

Two nodes with the same op, inputs and attributes are the same object: common subexpressions are shared as they are
written, and whether two nodes are equal is asked with `is`. (`==` is the user's, and makes a tensor; dictionaries and
sets ask it only of objects of one hash, which two nodes never have.) What is not part of a node's identity (the user's
line, a name) lives in side tables. Leans on `ops.registry` for what an op is.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import sysconfig
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...runtime.locks import fork_safe_lock
from ..shapes import Shape, show
from .side_table import SideTable

if TYPE_CHECKING:
    import networkx as nx

    from .ops.registry import Op

_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_COMPILER = os.path.join(_PACKAGE, "compiler") + os.sep
_NOT_OURS = tuple(os.path.join(_PACKAGE, folder) + os.sep for folder in ("tests", "examples", "benchmarks"))
_LIBRARIES = tuple({sys.prefix, sys.base_prefix, *(sysconfig.get_path(p) for p in ("stdlib", "purelib", "scripts"))})


class Attrs:
    """An op's static parameters: immutable, hashable, read as attributes."""

    __slots__ = ("_hash", "_items", "_key")

    def __init__(self, **items: Any):
        object.__setattr__(self, "_items", tuple((name, items[name]) for name in sorted(items)))
        object.__setattr__(self, "_key", tuple((name, _typed(item)) for name, item in self._items))
        object.__setattr__(self, "_hash", hash(self._key))

    def __getattr__(self, name: str) -> Any:
        for key, item in self._items:
            if key == name:
                return item
        raise AttributeError(name)

    def items(self) -> tuple[tuple[str, Any], ...]:
        result: tuple[tuple[str, Any], ...] = self._items
        return result

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attrs) and self._key == other._key

    def __hash__(self) -> int:
        result: int = self._hash
        return result

    def __repr__(self) -> str:
        return ", ".join(f"{k}={show(v) if k == 'shape' else v}" for k, v in self._items)


def _typed(item: Any) -> Any:
    """The item with its type, so that 1, 1.0 and True differ, as do 0.0 and -0.0; a NaN equals itself."""
    if isinstance(item, tuple):
        return tuple(map(_typed, item))
    return type(item), repr(item) if isinstance(item, float) else item


@dataclass(frozen=True)
class Location:
    """Where the user wrote an expression: file, line, and the layer scope it was built in."""

    file: str
    line: int
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Node:
    """One operation's result. Make nodes with `tensor.apply`, never directly."""

    __slots__ = ("__weakref__", "attrs", "dtype", "inputs", "op", "shape")

    op: Op
    inputs: tuple[Any, ...]
    attrs: Attrs
    shape: Shape
    dtype: str

    _interned: ClassVar[weakref.WeakValueDictionary[tuple[Any, ...], Node]] = weakref.WeakValueDictionary()

    @classmethod
    def intern(cls, op: Op, inputs: tuple[Any, ...], attrs: Attrs, shape: Shape, dtype: str) -> Any:
        """The one node with this op, these inputs and attributes; made now where it does not exist yet."""
        key = (op.name, tuple(map(id, inputs)), attrs, dtype)
        node = cls._interned.get(key)
        if node is not None:
            return node
        where = user_location()
        with _INTERNING:  # two threads that write the same expression get the same node
            node = cls._interned.get(key)
            if node is None:
                node = object.__new__(cls)
                node.op, node.inputs, node.attrs, node.shape, node.dtype = op, inputs, attrs, shape, dtype
                _LOCATIONS[node] = where  # before other threads can see it
                cls._interned[key] = node
        return node

    @property
    def rank(self) -> int:
        return len(self.shape)

    def brief(self) -> str:
        """One line for messages: op, shape and dtype."""
        return f"{self.op.name}{show(self.shape)} {self.dtype}"


_INTERNING = fork_safe_lock()
_LOCATIONS: SideTable[Location] = SideTable()
_NAMES: SideTable[str] = SideTable()
_SCOPE: ContextVar[str] = ContextVar("scope", default="")


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Nodes made inside belong to the layer `name`; nested scopes join with a dot."""
    outer = _SCOPE.get()
    token = _SCOPE.set(f"{outer}.{name}" if outer else name)
    try:
        yield
    finally:
        _SCOPE.reset(token)


def user_location() -> Location:
    """The innermost line of the user's code; where there is none, of code without a file, our models or a library."""
    frame = sys._getframe(1)
    rest: dict[str, tuple[str, int]] = {}
    while frame is not None:
        file = frame.f_code.co_filename
        kind = _whose(file)
        if kind == "user":
            return _location(file, frame.f_lineno, _SCOPE.get())
        if kind != "compiler" and kind not in rest:  # the innermost of each kind
            rest[kind] = file, frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    found = next((rest[kind] for kind in ("typed", "models", "library") if kind in rest), None)
    return Location("<unknown>", 0) if found is None else _location(*found, _SCOPE.get())


@functools.lru_cache(4096)
def _location(file: str, line: int, scope: str) -> Location:
    """One object for all nodes of a place."""
    return Location(file, line, scope)


@functools.lru_cache(4096)
def _whose(file: str) -> str:
    """Whose code is in a file: "user", "typed" (no file at all), "compiler", "models" (all else of ours), "library"."""
    if file.startswith(_PACKAGE + os.sep) and not file.startswith(_NOT_OURS):
        return "compiler" if file.startswith(_COMPILER) else "models"
    if file.startswith(("<frozen ", *_LIBRARIES)):
        return "library"
    return "typed" if file.startswith("<") else "user"


def location(node: Node) -> Location:
    """Where the user wrote `node`."""
    return _LOCATIONS[node]


def set_location(node: Node, where: Location) -> None:
    """A node made again belongs where the first was written."""
    _LOCATIONS[node] = where


def inherit_location(new: Node, old: Node) -> None:
    """A node made by the compiler in place of `old` keeps the user's line (unless it has one of theirs)."""
    if new is not old and old in _LOCATIONS and not _LOCATIONS[new].scope:
        _LOCATIONS[new] = _LOCATIONS[old]


def set_name(node: Node, name: str) -> None:
    _NAMES[node] = name


def name_of(node: Node) -> str | None:
    """The user's name for the node, if any."""
    return _NAMES.get(node)


def toposort(outputs: Iterable[Node], leaf: Callable[[Node], bool] | None = None) -> list[Any]:
    """Every node that the outputs need, inputs first, in a deterministic order. Does not look past leaves."""
    order: list[Node] = []
    done: set[Node] = set()
    for root in outputs:
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, i = stack.pop()
            if node in done:
                continue
            children: Sequence[Node] = () if leaf is not None and leaf(node) else node.inputs
            while i < len(children) and children[i] in done:
                i += 1
            if i < len(children):
                stack.append((node, i + 1))
                stack.append((children[i], 0))
            else:
                done.add(node)
                order.append(node)
    return order


def consumers(order: Sequence[Node]) -> dict[Any, list[Any]]:
    """For each node of a topological order, the nodes that read it (once each, in order)."""
    users: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for child in dict.fromkeys(node.inputs):
            if child in users:
                users[child].append(node)
    return users


def to_networkx(outputs: Iterable[Node]) -> nx.DiGraph:
    """The graph as a networkx digraph (edges from producer to consumer), for analysis and drawing."""
    import networkx as nx

    graph = nx.DiGraph()
    for node in toposort(outputs):
        graph.add_node(node, op=node.op.name, shape=node.shape, dtype=node.dtype, name=name_of(node))
        graph.add_edges_from((child, node) for child in node.inputs)
    return graph
