"""Receptive fields: which pixels can reach a value of a network, read off its graph.

Each op's loop form says at which indices it reads its operands, so that a box of places in a value leads to a box in
each operand, and so on down to the images: strides, padding, pooling, joins and branches need no rules of their own.
Leans on the loop form and on `features` for layers by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...compiler.errors import InputError
from ...compiler.graph.node import toposort
from ...compiler.graph.tensor import Tensor, input
from ...compiler.loops import expressions as loops
from ..checks import SettingError, sizes, whole
from .features import Network, features

Span = tuple[int, int]
"""(first, last) place along an axis, both in it."""
Box = tuple[Span, ...]


def receptive_field(
    network: Network,
    shape: Sequence[int],
    layer: str,
    position: Sequence[int] = (),
    channel: int | None = None,
    dtype: str = "float32",
) -> tuple[slice, slice]:
    """(rows, columns) of the smallest rectangle of the image that holds every pixel which can change a layer's value
    at `position`, so that `image[:, rows, columns]` is what is seen there.

    shape, dtype: (channels, height, width) of the images, and of what numbers they are. layer: as in `features`;
    position: (row, column) in it, () for a dense layer. channel: one of the layer's, by default all; those of joined
    branches see different parts. Only the part inside the image counts. A reshape that cuts through rows may give a
    larger rectangle. Raises SettingError for a layer, position or channel that there is not, InputError where no pixel
    reaches the value.
    """
    given = sizes("receptive_field: shape", shape)
    if not isinstance(given, tuple) or len(given) != 3:
        raise SettingError(f"receptive_field: shape is (channels, height, width) of an image, not {shape!r}")
    x = input("images", (1, *given), dtype)
    value = features(network, x, layer)
    places = tuple(position)
    if len(places) != max(value.rank - 2, 0):
        what = "(row, column)" if value.rank == 4 else f"{max(value.rank - 2, 0)} numbers"
        raise SettingError(f"receptive_field: position in {layer}, {value.brief()}, is {what}, not {position!r}")
    spans = [(0, _int(n) - 1) for n in value.shape]
    for axis, place in enumerate(places, 2):
        spans[axis] = (whole(f"receptive_field: position in {layer}", place, 0, spans[axis][1]),) * 2
    if channel is not None:
        spans[1] = (whole(f"receptive_field: channel of {layer}", channel, 0, spans[1][1]),) * 2
    reached = boxes_below(value, tuple(spans)).get(x)
    if reached is None:
        raise InputError(f"receptive_field: no pixel reaches {layer} at {places}")
    (top, bottom), (left, right) = reached[2:]
    return slice(top, bottom + 1), slice(left, right + 1)


def boxes_below(value: Tensor, box: Box) -> dict[Tensor, Box]:
    """For every node that can change `value` inside `box`: the smallest box of its places that does. All sizes are
    numbers."""
    found: dict[Tensor, Box] = {value: box}
    for node in reversed(toposort([value])):
        if node in found:
            for operand, part in _reads(node, found[node]):
                known = found.get(operand)
                found[operand] = part if known is None else tuple(map(_hull, known, part))
    return found


def _reads(node: Tensor, box: Box) -> list[tuple[Tensor, Box]]:
    """The parts of a node's operands that its values inside `box` are computed from."""
    if node.op.lower is None:
        return [(operand, tuple((0, _int(n) - 1) for n in operand.shape)) for operand in node.inputs]
    axes = [loops.Axis(n) for n in node.shape]
    spans = dict(zip(axes, box, strict=True))
    found: list[tuple[Tensor, Box]] = []

    def read(k: int, index: Sequence[loops.Index]) -> loops.Expr:
        operand = node.inputs[k]
        part = [_inside(_span(i, spans), _int(n)) for i, n in zip(index, operand.shape, strict=True)]
        if None not in part:
            found.append((operand, tuple(span for span in part if span is not None)))
        return loops.load(operand, tuple(index), operand.dtype)

    node.op.lower(node, tuple(map(loops.at, axes)), read, loops.Axis)
    return found


def _span(index: loops.Index, spans: Mapping[loops.Axis, Span]) -> Span | None:
    """What an index runs over where the axes run over theirs; None for one that is read from data."""
    low = high = _int(index.const)
    for atom, by in index.terms:
        span = _atom(atom, spans)
        if span is None:
            return None
        ends = sorted((span[0] * _int(by), span[1] * _int(by)))
        low, high = low + ends[0], high + ends[1]
    return low, high


def _atom(atom: loops.Atom, spans: Mapping[loops.Axis, Span]) -> Span | None:
    if isinstance(atom, loops.Axis):
        return spans.get(atom, (0, _int(atom.extent) - 1))
    if isinstance(atom, loops.Dynamic):
        return None
    inner, by = _span(atom.index, spans), _int(atom.by)
    if inner is None:
        return None
    first, last = inner[0] // by, inner[1] // by
    if isinstance(atom, loops.Div):
        return first, last
    return (inner[0] % by, inner[1] % by) if first == last else (0, by - 1)


def _inside(span: Span | None, size: int) -> Span | None:
    """The part of a span inside of [0, size): reads outside of it are padding, or another operand of a join. None
    where there is no part."""
    if span is None:
        return (0, size - 1) if size else None
    low, high = max(span[0], 0), min(span[1], size - 1)
    return (low, high) if low <= high else None


def _hull(a: Span, b: Span) -> Span:
    return min(a[0], b[0]), max(a[1], b[1])


def _int(size: Any) -> int:
    """A size or a factor, all of which are numbers here."""
    return int(size)
