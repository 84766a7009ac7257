"""What has to hold of indices, and of the sizes of a run: of inputs before it, of computed ones within it.

An index that is an input, or the same numbers moved or widened, is looked at before the run starts. One that is
computed (`labels - 1`, a cast of floats, `where`) has a flag in the program: a scalar that tells the first place where
it is out of range, and the value there, as one number. The runtime reads it when the run has ended. Leans on the op
rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ... import runtime
from .. import dtypes
from ..shapes import Dim, poly, product, show
from .body import with_bodies
from .node import inherit_location, location, toposort
from .ops.contract import Spec, windows
from .ops.elementwise import check_limit, clip, where
from .ops.movement import reshape
from .ops.reduce import MOST_POSITIONS
from .ops.slicing import slice_room
from .ops.source import iota
from .tensor import Tensor, apply, full_value


@dataclass(frozen=True, eq=False)
class Limits:
    """Checks of inputs; checks of computed indices, and the tensor that is the flag of each."""

    inputs: tuple[runtime.IndexCheck, ...]
    computed: tuple[runtime.ComputedCheck, ...]
    flags: tuple[Tensor, ...]


def limits(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Limits:
    """What has to hold of the indices that the outputs need. Raises IndexLimitError where a constant one is outside."""
    place = {x: i for i, x in enumerate(inputs)}
    before: dict[runtime.IndexCheck, None] = {}
    during: dict[tuple[Tensor, Dim], Tensor] = {}
    for node in toposort(outputs):
        if node.op.name != "check_range":
            continue
        limit, x = node.attrs.limit, _origin(node.inputs[0])
        if x in place:
            before[runtime.IndexCheck(place[x], poly(limit), node.attrs.what)] = None
        elif not _always_inside(x, limit, node):
            during.setdefault((node.inputs[0], limit), node)
    nodes = list(during.values())
    return Limits(tuple(before), tuple(map(_check, nodes)), tuple(map(_flag, nodes)))


def _origin(x: Tensor) -> Tensor:
    """The tensor whose numbers these are, all or (behind a gather) some of them."""
    while x.op.same_elements or x.op.name == "gather" or _widens(x):
        x = x.inputs[0]
    return x


def _widens(x: Tensor) -> bool:
    """A cast between integers that keeps every number."""
    if x.op.name != "cast" or not (dtypes.is_integer(x.dtype) and dtypes.is_integer(x.inputs[0].dtype)):
        return False
    return np.can_cast(np.dtype(x.inputs[0].dtype), np.dtype(x.dtype))


def _always_inside(x: Tensor, limit: Dim, node: Tensor) -> bool:
    """Is it known while compiling that no number of x is out of range?"""
    size: Dim
    if isinstance(limit, int) and (x.op.name == "array" or full_value(x) is not None):
        values = x.attrs.value.array if x.op.name == "array" else np.asarray(full_value(x))
        check_limit(values, limit, node.attrs.what, location(node))
        return True
    if x.op.name == "iota":
        size = x.attrs.size
    elif x.op.name == "argmax":
        size = product(x.inputs[0].shape[a] for a in x.attrs.axes)
    else:
        info = np.iinfo(x.dtype)
        return info.min == 0 and isinstance(limit, int) and info.max < limit
    return size == limit or (isinstance(size, int) and isinstance(limit, int) and size <= limit)


def _check(node: Tensor) -> runtime.ComputedCheck:
    shape = tuple(map(poly, node.shape))
    return runtime.ComputedCheck(shape, poly(node.attrs.limit), node.attrs.what, str(location(node)))


def _flag(node: Tensor) -> Tensor:
    """The scalar that `runtime.flags` reads: the least of position * 2**32 + value + 2**31 where the index is out of
    range, the value cut off at 32 bits; the greatest int64 where it is nowhere."""
    size = product(node.shape)
    values = reshape(node.inputs[0], (size,)).astype(dtypes.INT64)
    outside = (values < 0) | (values >= node.attrs.limit)
    told = iota(size, dtypes.INT64) * runtime.flags.PLACE + (clip(values, -(2**31), 2**31 - 1) + 2**31)
    flag: Tensor = apply("min", (where(outside, told, runtime.flags.NOWHERE),), axes=(0,))
    inherit_location(flag, node)
    return flag.named(f"{node.attrs.what}_in_range")


def size_checks(outputs: Sequence[Tensor]) -> tuple[runtime.SizeCheck, ...]:
    """What has to hold of the sizes of a run: slices lie inside, an extreme has elements, its position fits int32."""
    found: dict[runtime.SizeCheck, None] = {}
    for node in with_bodies(toposort(outputs)):
        for room, what in _rooms(node):
            found[runtime.SizeCheck(poly(room), f"{what} (at {location(node)})")] = None
    return tuple(found)


def _rooms(node: Tensor) -> list[tuple[Dim, str]]:
    """(what must not be negative, what does not fit where it is) of one node, as far as a run alone can tell."""
    if node.op.name == "slice":
        of = node.inputs[0].brief()
        return [(room, f"a slice of axis {axis} of {of} does not lie inside") for axis, room in slice_room(node)]
    if isinstance(getattr(node.attrs, "spec", None), Spec):
        return _window_rooms(node.inputs[0], node.attrs.spec)
    if node.op.name not in ("max", "min", "argmax"):
        return []
    shape = node.inputs[0].shape
    count = product(shape[a] for a in node.attrs.axes)
    if isinstance(count, int):
        return []
    axes = f"ax{'is' if len(node.attrs.axes) == 1 else 'es'} {', '.join(map(str, node.attrs.axes))}"
    what = f"{node.op.name} over {axes} of {show(shape)}"
    rooms: list[tuple[Dim, str]] = [(count - 1, f"{what}: the extreme of no elements does not exist")]
    if node.op.name == "argmax":
        rooms.append((MOST_POSITIONS - count, f"{what}: positions are int32, and there are more than {MOST_POSITIONS}"))
    return rooms


def _window_rooms(x: Tensor, spec: Spec) -> list[tuple[Dim, str]]:
    """Windows of a size that only a run knows: one place at least."""
    return [
        (spec.out[axis] - 1, f"no window of {window} fits into {x.brief()}, of which there would be {spec.out[axis]}")
        for axis, window in windows(spec)
        if not isinstance(spec.out[axis], int)
    ]
