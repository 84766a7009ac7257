"""What a loop runs at each turn: a closed graph from states and places of sequences to new states and outputs.

The results of a loop are ordinary nodes over the same inputs and the same body, each of which says which result it is;
whoever runs one of them runs the loop once for all. Leans on `tensor`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .copies import Row, as_rows, from_rows
from .node import location, name_of, set_location, set_name, toposort
from .tensor import Tensor, apply


@dataclass(frozen=True, eq=False, repr=False)
class Body:
    """`states`, `slices` and `outer` are inputs of the body's own: what comes from the turn before, the places of the
    sequences, and what is the same at every turn. `new_states` are like the states; `outputs` are kept of every turn.

    Two bodies of the same expressions are equal.
    """

    states: tuple[Tensor, ...]
    slices: tuple[Tensor, ...]
    outer: tuple[Tensor, ...]
    new_states: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def given(self) -> tuple[Tensor, ...]:
        """Its inputs, in the order of a loop's."""
        return (*self.states, *self.slices, *self.outer)

    @property
    def results(self) -> tuple[Tensor, ...]:
        return (*self.new_states, *self.outputs)

    def with_results(self, results: Sequence[Tensor]) -> Body:
        """A body that gives others of the same shapes."""
        count = len(self.states)
        return Body(self.states, self.slices, self.outer, tuple(results[:count]), tuple(results[count:]))

    @property
    def _key(self) -> tuple[Any, ...]:
        return (len(self.states), len(self.slices), *map(id, (*self.given, *self.results)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Body) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"body of {len(toposort(self.results))} nodes"

    def __reduce__(self) -> Any:
        """For `pickle` and `copy.deepcopy`: the same expressions."""
        counts = (len(self.states), len(self.slices), len(self.outer))
        return _revived, (*as_rows([*self.given, *self.results]), counts)


def _revived(rows: Sequence[Row], places: Sequence[int], counts: tuple[int, int, int]) -> Body:
    found = iter(from_rows(rows, places))
    states, slices, outer = (tuple(next(found) for _ in range(count)) for count in counts)
    return Body(states, slices, outer, (), ()).with_results(list(found))


def loop_of(node: Tensor) -> tuple[Any, ...]:
    """What the results of one loop have in common."""
    return (*map(id, node.inputs), node.attrs.body, node.attrs.length, node.attrs.reverse)


def body_of(node: Tensor) -> Body | None:
    """The body of the loop that a node is a result of; None where it is of none."""
    return node.attrs.body if node.op.joint_vjp is not None else None


def with_bodies(order: Iterable[Tensor]) -> Iterator[Tensor]:
    """The nodes, and those of each body once, before the first result of its loop."""
    seen: set[Any] = set()
    for node in order:
        body = body_of(node)
        if body is not None and body not in seen:
            inner = [x for x in toposort([*body.given, *body.results]) if x not in seen]
            seen.update((body, *inner))
            yield from inner
        yield node


def substituted(wanted: Sequence[Tensor], table: Mapping[Any, Tensor]) -> list[Tensor]:
    """The expressions with others in the places of the table's keys."""
    made: dict[Any, Tensor] = dict(table)
    for node in toposort(wanted, leaf=made.__contains__):
        if node in made:
            continue
        made[node] = _again(node, [made[x] for x in node.inputs], dict(node.attrs.items()))
    return [made[x] for x in wanted]


def in_bodies(wanted: Sequence[Tensor], change: Callable[[Sequence[Tensor]], list[Tensor]]) -> list[Tensor]:
    """The tensors with each loop's body changed: its results into equal ones."""
    order = toposort(wanted)
    bodies = dict.fromkeys(body for node in order if (body := body_of(node)) is not None)
    if not bodies:
        return list(wanted)
    changed = {body: body.with_results(change(body.results)) for body in bodies}
    made: dict[Any, Tensor] = {}
    for node in order:
        attrs, body = dict(node.attrs.items()), body_of(node)
        if body is not None:
            attrs["body"] = changed[body]
        made[node] = _again(node, [made[x] for x in node.inputs], attrs)
    return [made[x] for x in wanted]


def _again(node: Tensor, inputs: Sequence[Tensor], attrs: Mapping[str, Any]) -> Tensor:
    """The node over others, where the user wrote it and under its name."""
    if all(a is b for a, b in zip(inputs, node.inputs)) and attrs == dict(node.attrs.items()):
        return node
    new = apply(node.op.name, inputs, **attrs)
    set_location(new, location(node))
    name = name_of(node)
    if name is not None:
        set_name(new, name)
    return new
