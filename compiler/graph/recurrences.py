"""`scan`: a function applied turn after turn, along the first axis of sequences, to what it gave the turn before.

The function is called once, on tensors that stand for one turn, and what it writes becomes the body of a loop
(`body.py`): nothing is unrolled, and the length may be known in a run only. Leans on the op `scan`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from itertools import count
from typing import Any

from ..errors import ShapeError
from ..shapes import Dim, show
from .body import Body, substituted
from .companions import with_companions
from .node import location, toposort, user_location
from .ops.loop import result
from .tensor import Like, Tensor, apply, as_tensor, checked_shape

_NUMBER = count()
_INSIDE: ContextVar[bool] = ContextVar("inside a step", default=False)

Several = Any
"""A tensor, a list or tuple of tensors, or None."""


def scan(
    step: Callable[..., Any],
    states: Several,
    sequences: Several = None,
    length: Dim | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """A recurrence: (the states after the last turn, the outputs of all turns stacked along a new first axis).

    `step(states, places) -> (new states, outputs)` is called once, to see what a turn computes. `states` are what the
    first turn starts from, `sequences` what the turns walk along: at turn t `places` are `sequence[t]` of each. Either
    is one tensor or a list or tuple of them, as are the outputs, and what `step` is given and `scan` returns has the
    same form; None stands for none. New states have the shapes and dtypes of the states. `step` may read any other
    tensor; what of it depends neither on states nor on places is computed once, before the loop (so are random numbers:
    they are the same at every turn). length: how many turns, where there are no sequences. reverse: from the last place
    to the first; outputs stand at the places that they were made of.

    The compiled program runs one list of kernels over and over, in one native call; its size and the time to compile it
    do not depend on the length, which may be 0 or known in a run only. The gradient is a scan that runs the other way;
    it reads the states and the outputs of all turns and computes again what else it needs, so a value that is dear to
    compute is given as an output.

    Raises ShapeError for sequences of different lengths, and for new states of other shapes or dtypes than the states;
    TypeError for a step that gives no pair.
    """
    first, walked = _listed("states", states), _listed("sequences", sequences)
    turns = _length(walked, length)
    form: dict[str, Any] = {}

    def flat(before: Sequence[Tensor], places: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        given = step(_formed(states, before), _formed(sequences, places))
        if not isinstance(given, tuple) or len(given) != 2:
            raise TypeError(f"scan: step gives a pair (new states, outputs), not {given!r} (at {user_location()})")
        form["outputs"] = given[1]
        return _new_states(given[0], first), _listed("outputs", given[1])

    finals, stacked = looped(flat, first, walked, turns, bool(reverse))
    return _formed(states, finals), _formed(form["outputs"], stacked)


def looped(
    step: Callable[[list[Tensor], list[Tensor]], tuple[list[Tensor], list[Tensor]]],
    states: Sequence[Tensor],
    sequences: Sequence[Tensor],
    length: Dim,
    reverse: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    """`scan` of lists: (final states, stacked outputs)."""
    number = next(_NUMBER)
    marks = [_mark(f"scan{number} state{i}", x.shape, x.dtype) for i, x in enumerate(states)]
    places = [_mark(f"scan{number} place{i}", x.shape[1:], x.dtype) for i, x in enumerate(sequences)]
    inside_before = _INSIDE.set(True)
    try:
        new_states, outputs = step(marks, places)
    finally:
        _INSIDE.reset(inside_before)
    results = [*new_states, *outputs]
    order = toposort(results)
    inside = _depending(order, {*marks, *places})
    _check_inside(order, inside)
    used = [(x, mark) for x, mark in zip(sequences, places) if mark in set(order)]
    outer = _read_of_outside(order, results, inside)
    table = {mark: _mark(f"state{i}", mark.shape, mark.dtype) for i, mark in enumerate(marks)}
    table |= {mark: _mark(f"place{i}", mark.shape, mark.dtype) for i, (_, mark) in enumerate(used)}
    table |= {x: _mark(f"outer{i}", x.shape, x.dtype) for i, x in enumerate(outer)}
    closed = substituted(results, table)
    own, moving, same = (tuple(table[x] for x in part) for part in (marks, [mark for _, mark in used], outer))
    body = Body(own, moving, same, (), ()).with_results(closed)
    inputs = [*states, *(x for x, _ in used), *outer]
    finals = [result(inputs, body, length, reverse, "final", i) for i in range(len(states))]
    return finals, [result(inputs, body, length, reverse, "stacked", i) for i in range(len(outputs))]


def inside_step() -> bool:
    """Is the step of a scan being called, in which there can be no other scan?"""
    return _INSIDE.get()


def _mark(name: str, shape: Any, dtype: str) -> Tensor:
    """What stands for a value of a turn."""
    return apply("input", (), name=name, shape=shape, dtype=dtype)


def _depending(order: Sequence[Tensor], on: set[Any]) -> set[Any]:
    inside = set(on)
    for node in order:
        if any(x in inside for x in node.inputs):
            inside.add(node)
    return inside


def _read_of_outside(order: Sequence[Tensor], results: Sequence[Tensor], inside: set[Any]) -> list[Tensor]:
    """What the turns read that is the same in all of them, but for numbers, which are part of the body."""
    read = [x for node in order if node in inside for x in node.inputs] + list(results)
    outside = [x for x in dict.fromkeys(read) if x not in inside]
    return [x for x in outside if x.op.kind != "source" or x.op.lower is None]


def _check_inside(order: Sequence[Tensor], inside: set[Any]) -> None:
    """Raises ShapeError for what a turn cannot hold."""
    turning = [node for node in order if node in inside]
    for node in turning:
        if node.op.joint_vjp is not None:
            raise ShapeError(
                f"scan: a scan ({location(node)}) inside the step of another, whose states or places it reads, is not "
                f"supported; make one scan of both, over the states of both (at {user_location()})"
            )
        if node.op.name == "check_range":
            raise ShapeError(
                f"scan: {node.attrs.what}s that are computed from a turn's states or places ({location(node)}) are not "
                f"supported; gather from the sequences before the scan (at {user_location()})"
            )
    outside = [x for node in turning for x in node.inputs if x not in inside]
    extra = with_companions(turning, {}).keys() - with_companions(outside, {}).keys()
    if extra:
        raise ShapeError(
            f"scan: {next(iter(extra)).name} changes with each turn, as running statistics in training do, which is "
            f"not supported; hand it on as a state (at {user_location()})"
        )


# ---------------------------------------------------------------- what users give


def _listed(what: str, given: Several) -> list[Tensor]:
    if given is None:
        return []
    if isinstance(given, dict):
        raise TypeError(f"scan: {what} are a tensor, a list or a tuple of tensors, not a dict (at {user_location()})")
    return [as_tensor(x) for x in given] if isinstance(given, (list, tuple)) else [as_tensor(given)]


def _formed(like: Several, values: Sequence[Tensor]) -> Any:
    """The values in the form in which the user gave others."""
    if like is None:
        return None
    if isinstance(like, (list, tuple)):
        return list(values) if isinstance(like, list) else tuple(values)
    return values[0]


def _length(sequences: Sequence[Tensor], length: Any) -> Dim:
    if not sequences and length is None:
        raise ShapeError(f"scan: without sequences, length says how many turns (at {user_location()})")
    for x in sequences:
        if x.rank == 0:
            raise ShapeError(f"scan: {x.brief()} has no first axis to walk along (at {user_location()})")
    if length is None:
        turns = sequences[0].shape[0]
    else:
        (turns,) = checked_shape("scan", (length,))
    for x in sequences:
        if x.shape[0] != turns:
            others = ", ".join(f"{y.name or 'a sequence'} {show(y.shape)}" for y in sequences)
            raise ShapeError(
                f"scan: sequences have one length along axis 0, here {turns}; got {others} (at {user_location()})"
            )
    return turns


def _new_states(given: Several, states: Sequence[Tensor]) -> list[Tensor]:
    values: list[Like] = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    if len(values) != len(states):
        raise ShapeError(f"scan: step gives {len(values)} new states for {len(states)} states (at {user_location()})")
    new = [x if isinstance(x, Tensor) else as_tensor(x, y.dtype) for x, y in zip(values, states)]
    for i, (x, y) in enumerate(zip(new, states)):
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            raise ShapeError(
                f"scan: a state keeps its shape and dtype from turn to turn; state {i} is {show(y.shape)} {y.dtype} "
                f"({location(y)}), and step makes {show(x.shape)} {x.dtype} of it ({location(x)})"
            )
    return new


__all__ = ["inside_step", "looped", "scan"]
