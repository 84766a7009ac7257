"""`scan`: one result of a recurrence, whose body runs once for each place of its sequences (`recurrences.py`).

Its inputs are the first states, the sequences, and what the body reads of outside. `result` says what the node is of
the loop: "final", the state `number` after the last turn; "stacked", the output `number` of every turn along a first
axis; "before", the state `number` as each turn finds it, likewise. The gradient is a loop that runs the other way, over
what the states were before each turn, from which it computes the body's values again but for outputs, which are read;
gradients by what every turn multiplies with are one contraction after the loop (`turn_sums.py`). It is lowered by
`lowering/turns.py`. Leans on `body`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import dtypes
from ...errors import ShapeError
from ...shapes import show, value
from ..body import Body, substituted
from ..tensor import Tensor, apply, full_value, zeros_like
from .registry import Op, register
from .turn_sums import depending, operands, summed


def _infer(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    body: Body = attrs.body
    for i, (x, place) in enumerate(zip(inputs, body.given, strict=True)):
        moving = len(body.states) <= i < len(body.states) + len(body.slices)
        wanted = (attrs.length, *place.shape) if moving else place.shape
        if (x.shape, x.dtype) != (wanted, place.dtype):
            raise ShapeError(f"the body takes {show(wanted)} {place.dtype}, not {x.brief()}")
    of = {"final": body.new_states, "before": body.states, "stacked": body.outputs}[attrs.result][attrs.number]
    return of.shape if attrs.result == "final" else (attrs.length, *of.shape), of.dtype


def _reference(node: Tensor, env: Any, *arrays: np.ndarray) -> np.ndarray:
    from ..reference import evaluate

    body, count = node.attrs.body, len(node.attrs.body.states)
    states, sequences = list(arrays[:count]), arrays[count : count + len(body.slices)]
    outer = dict(zip(body.outer, arrays[count + len(body.slices) :], strict=True))
    length = value(node.attrs.length, env)
    kept: list[np.ndarray] = [np.zeros(0)] * length
    for t in reversed(range(length)) if node.attrs.reverse else range(length):
        feed = dict(zip(body.states, states)) | dict(zip(body.slices, (x[t] for x in sequences))) | outer
        results = evaluate(body.results, feed, env)
        kept[t] = {"stacked": results[count:], "before": states}.get(node.attrs.result, results)[node.attrs.number]
        states = results[:count]
    if node.attrs.result == "final":
        final: np.ndarray = states[node.attrs.number]
        return final
    shape = [value(d, env) for d in node.shape]
    return np.array(kept, dtypes.computed(node.dtype)).reshape(shape)


def result(of: Sequence[Tensor], body: Body, length: Any, reverse: bool, result: str, number: int) -> Tensor:
    """One result of the loop over the inputs `of`."""
    return apply("scan", of, body=body, length=length, reverse=reverse, result=result, number=number)


# ---------------------------------------------------------------- gradient


Key = tuple[str, int]
"""Which result of a loop: "final", "stacked" or "before", and its number."""


@dataclass(frozen=True)
class _Turn:
    """The gradient of one turn of the loop that `first` is a result of: `found` by what the body is given, where there
    is one, for gradients by its new states ("final") and outputs ("stacked") that `marks` stand for. `given` are the
    gradients by the loop's results."""

    first: Tensor
    given: dict[Key, Tensor]
    marks: dict[Key, Tensor]
    found: dict[Any, Tensor]

    @property
    def smooth(self) -> list[int]:
        """The states that have gradients."""
        return [number for kind, number in self.marks if kind == "final"]

    @property
    def later(self) -> list[int]:
        """Of these, the ones whose stack has a gradient of its own."""
        return [i for i in self.smooth if ("before", i) in self.given]


def _gradients(nodes: Sequence[Tensor], by_nodes: Sequence[Tensor], wanted: Sequence[bool]) -> Sequence[Tensor | None]:
    """The gradient by each input that is wanted: the loop the other way, over the states before each turn."""
    from ..recurrences import looped

    turn = _of_one_turn(nodes, by_nodes, wanted)
    first, body, found = turn.first, turn.first.attrs.body, turn.found
    known = _known(turn)
    outer = [x for x in body.outer if x in found and full_value(found[x]) != 0]
    turning = depending([found[x] for x in outer], {*known, *turn.marks.values()})
    read = {x: operands(found[x], turning) for x in outer}
    summed_inside = [x for x in outer if not read[x]]
    read_after = [x for x in dict.fromkeys(y for parts in read.values() for y in parts) if x not in known]
    slices = [x for x in body.slices if x in found]
    kept = list(dict.fromkeys([*(found[x] for x in slices), *read_after]))
    starts = [turn.given.get(("final", i), zeros_like(body.states[i])) for i in turn.smooth]
    starts += [zeros_like(x) for x in summed_inside]
    sequences = [*known.values(), *(turn.given["before", i] for i in turn.later)]
    step = _step(turn, [*known], summed_inside, kept)
    finals, stacked = looped(step, starts, sequences, first.attrs.length, not first.attrs.reverse)
    made = dict(zip(kept, stacked))
    by_given = dict(zip([*(body.states[i] for i in turn.smooth), *summed_inside], finals))
    by_given |= {x: made[found[x]] for x in slices}
    outside = _outside(first)
    by_given |= {x: summed(found[x], known | made, outside, first.attrs.length) for x in outer if read[x]}
    return [by_given.get(x) if needed else None for x, needed in zip(body.given, wanted)]


def _of_one_turn(nodes: Sequence[Tensor], by_nodes: Sequence[Tensor], wanted: Sequence[bool]) -> _Turn:
    """wanted: of each of the loop's inputs, whether its gradient is."""
    from ..autodiff import pulled_back

    body: Body = nodes[0].attrs.body
    given = {(n.attrs.result, n.attrs.number): g for n, g in zip(nodes, by_nodes, strict=True)}
    smooth = [i for i, x in enumerate(body.states) if dtypes.is_float(x.dtype)]
    kept = [i for i in range(len(body.outputs)) if ("stacked", i) in given]
    marks = {("final", i): _mark(f"by_state{i}", body.states[i]) for i in smooth}
    marks |= {("stacked", i): _mark(f"by_output{i}", body.outputs[i]) for i in kept}
    targets = [x for i, x in enumerate(body.given) if (i in smooth) or (i >= len(body.states) and wanted[i])]
    results = [*(body.new_states[i] for i in smooth), *(body.outputs[i] for i in kept)]
    gradients, _ = pulled_back(results, targets, [*marks.values()], {})
    return _Turn(nodes[0], given, marks, {x: gradients[x] for x in targets if x in gradients})


def _known(turn: _Turn) -> dict[Any, Tensor]:
    """What is there of all turns when the loop runs the other way, as stacks: what the body was given and its outputs,
    and the gradients by these."""
    first, body = turn.first, turn.first.attrs.body
    rest = first.attrs.length, first.attrs.reverse
    known: dict[Any, Tensor] = {x: result(first.inputs, body, *rest, "before", i) for i, x in enumerate(body.states)}
    known |= dict(zip(body.slices, first.inputs[len(body.states) :]))
    for i, x in enumerate(body.outputs):
        if x.inputs and x not in known:
            known[x] = result(first.inputs, body, *rest, "stacked", i)
    return known | {mark: turn.given[key] for key, mark in turn.marks.items() if key[0] == "stacked"}


def _outside(first: Tensor) -> dict[Any, Tensor]:
    """What the body reads of outside, by its inputs."""
    place = dict(zip(first.attrs.body.given, first.inputs, strict=True))
    return {x: place[x] for x in first.attrs.body.outer}


def _step(turn: _Turn, known: Sequence[Any], summed_inside: Sequence[Any], kept: Sequence[Tensor]) -> Any:
    """A turn of the loop the other way, as `looped` calls it: its states are the gradients by the float states and the
    sums so far by `summed_inside`; it walks along what is `known` of all turns and the gradients by stacks of states;
    its outputs are `kept`."""
    body, smooth, outside = turn.first.attrs.body, turn.smooth, _outside(turn.first)
    by_states = [turn.found.get(body.states[i], zeros_like(body.states[i])) for i in smooth]

    def step(states: Sequence[Tensor], places: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        by_before = dict(zip(turn.later, places[len(known) :]))
        table = dict(zip(known, places)) | outside | dict(zip((turn.marks["final", i] for i in smooth), states))
        values = substituted([*by_states, *(turn.found[x] for x in summed_inside), *kept], table)
        new = [g + by_before[i] if i in by_before else g for i, g in zip(smooth, values)]
        sums = [total + g for total, g in zip(states[len(smooth) :], values[len(smooth) :])]
        return [*new, *sums], values[len(smooth) + len(summed_inside) :]

    return step


def _mark(name: str, like: Tensor) -> Tensor:
    """What stands for a gradient in the gradient of a body."""
    return apply("input", (), name=name, shape=like.shape, dtype=like.dtype)


register(
    Op(
        "scan",
        "loop",
        _infer,
        _reference,
        None,
        vjp=lambda node, g: _gradients([node], [g], [dtypes.is_float(x.dtype) for x in node.inputs]),
        joint_vjp=_gradients,
        repeats=True,
        rounds=True,
    )
)
