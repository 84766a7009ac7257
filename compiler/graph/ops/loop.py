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


def _gradients(nodes: Sequence[Tensor], by_nodes: Sequence[Tensor], wanted: Sequence[bool]) -> Sequence[Tensor | None]:
    """The gradient by each input that is wanted: the loop the other way, over the states before each turn."""
    from ..recurrences import looped

    first, body = nodes[0], nodes[0].attrs.body
    given = {(n.attrs.result, n.attrs.number): g for n, g in zip(nodes, by_nodes, strict=True)}
    count = len(body.states)
    smooth = [i for i, x in enumerate(body.states) if dtypes.is_float(x.dtype)]
    kept = [i for i in range(len(body.outputs)) if ("stacked", i) in given]
    marks = {i: _mark(f"by_state{i}", body.states[i]) for i in smooth}
    marks_out = {i: _mark(f"by_output{i}", body.outputs[i]) for i in kept}
    targets = [x for i, x in enumerate(body.given) if (i in smooth) or (i >= count and wanted[i])]
    found = _of_body(body, targets, marks, marks_out)
    slices = [x for x in body.slices if x in found]
    outer = [x for x in body.outer if x in found and full_value(found[x]) != 0]
    place = dict(zip(body.given, first.inputs, strict=True))

    def whole(kind: str, i: int) -> Tensor:
        return result(first.inputs, body, first.attrs.length, first.attrs.reverse, kind, i)

    walked: dict[Any, Tensor] = {x: whole("before", i) for i, x in enumerate(body.states)}
    walked |= {x: place[x] for x in body.slices}
    walked |= {x: whole("stacked", i) for i, x in enumerate(body.outputs) if x.inputs and x not in walked}
    turning = depending([found[x] for x in outer], {*walked, *marks.values(), *marks_out.values()})
    read = {x: operands(found[x], turning) for x in outer}
    summed_inside = [x for x in outer if not read[x]]
    sequence = walked | {marks_out[i]: given["stacked", i] for i in kept}
    needed_after = [x for x in dict.fromkeys(y for parts in read.values() for y in parts) if x not in sequence]
    stacked_here = list(dict.fromkeys([*(found[x] for x in slices), *needed_after]))
    later = [i for i in smooth if ("before", i) in given]
    known = [*walked]
    sequences = [*walked.values(), *(given["stacked", i] for i in kept), *(given["before", i] for i in later)]
    starts = [given.get(("final", i), zeros_like(body.states[i])) for i in smooth]
    starts += [zeros_like(x) for x in summed_inside]

    def step(states: Sequence[Tensor], places: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        by_before = dict(zip(later, places[len(known) + len(kept) :]))
        table: dict[Any, Tensor] = dict(zip(known, places)) | {x: place[x] for x in body.outer}
        table |= dict(zip((marks[i] for i in smooth), states))
        table |= dict(zip((marks_out[i] for i in kept), places[len(known) :]))
        by_states = [found.get(body.states[i], zeros_like(body.states[i])) for i in smooth]
        values = substituted([*by_states, *(found[x] for x in summed_inside), *stacked_here], table)
        new = [g + by_before[i] if i in by_before else g for i, g in zip(smooth, values)]
        sums = [total + g for total, g in zip(states[len(smooth) :], values[len(smooth) :])]
        return [*new, *sums], values[len(smooth) + len(summed_inside) :]

    finals, stacked = looped(step, starts, sequences, first.attrs.length, not first.attrs.reverse)
    made = dict(zip(stacked_here, stacked))
    by_given = dict(zip([*(body.states[i] for i in smooth), *summed_inside], finals))
    by_given |= {x: made[found[x]] for x in slices}
    outside = {x: place[x] for x in body.outer}
    by_given |= {x: summed(found[x], sequence | made, outside, first.attrs.length) for x in outer if read[x]}
    return [by_given.get(x) if needed else None for x, needed in zip(body.given, wanted)]


def _mark(name: str, like: Tensor) -> Tensor:
    """What stands for a gradient in the gradient of a body."""
    return apply("input", (), name=name, shape=like.shape, dtype=like.dtype)


def _of_body(
    body: Body, targets: Sequence[Tensor], states: dict[int, Tensor], outputs: dict[int, Tensor]
) -> dict[Any, Tensor]:
    """The gradients of one turn by the targets that have any, for gradients by its results that the marks stand for."""
    from ..autodiff import pulled_back

    results = [*(body.new_states[i] for i in states), *(body.outputs[i] for i in outputs)]
    gradients, _ = pulled_back(results, targets, [*states.values(), *outputs.values()], {})
    return {x: gradients[x] for x in targets if x in gradients}


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
