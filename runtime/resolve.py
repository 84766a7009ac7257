"""A program for one set of input shapes, wherever its memory lies: sizes bound, every buffer's shape and bytes.

Leans on `sizes` to bind the symbols.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .errors import RuntimeShapeError
from .program import Program
from .sizes import Poly, channels_last, describe, evaluate, single_symbol, symbols

Shape = tuple[int, ...]


class Shaped(Protocol):
    """An array, wherever it lies."""

    @property
    def shape(self) -> tuple[Any, ...]: ...


@dataclass(frozen=True)
class Steps:
    """How often the program runs in one call, and which inputs and whether outputs have a leading axis of steps."""

    count: int = 1
    inputs: frozenset[int] = frozenset()
    outputs: bool = False


@dataclass(frozen=True)
class Resolved:
    """Sizes by symbol; shape and bytes of each buffer, in one step."""

    steps: Steps
    sizes: dict[str, int]
    shapes: list[Shape]
    nbytes: list[int]

    def over_steps(self, shape: Shape) -> Shape:
        """The shape in which an output of this shape is returned."""
        return (self.steps.count, *shape) if self.steps.outputs else shape


def resolve(program: Program, shapes: Sequence[Shape], steps: Steps) -> Resolved:
    """`program` for inputs of `shapes` (of one step each). Raises RuntimeShapeError where they do not fit."""
    sizes = bind_sizes(program, shapes)
    concrete = [tuple(evaluate(poly, sizes) for poly in buffer.shape) for buffer in program.buffers]
    counts = [math.prod(shape) + evaluate(b.slack, sizes) for b, shape in zip(program.buffers, concrete)]
    nbytes = [count * np.dtype(b.dtype).itemsize for b, count in zip(program.buffers, counts)]
    return Resolved(steps, sizes, concrete, nbytes)


def step_shapes(
    program: Program, inputs: Sequence[Shaped], steps: int, per_step: frozenset[int]
) -> tuple[list[Shape], Steps]:
    """The shapes that the inputs have in one step, and what is stacked over the steps.

    Raises RuntimeShapeError where an input that changes with the step has no leading axis of them.
    """
    if steps < 1:
        raise ValueError(f"a program runs for at least one step, not {steps}")
    shapes = []
    for index, array in enumerate(inputs):
        if index in per_step and array.shape[:1] != (steps,):
            name = program.buffers[program.inputs[index]].name
            raise RuntimeShapeError(
                f"input {name!r}: expected a leading axis of {steps} steps, got shape {array.shape}"
            )
        shapes.append(array.shape[1:] if index in per_step else array.shape)
    return shapes, Steps(steps, per_step, steps > 1 or bool(per_step))


def bind_sizes(program: Program, shapes: Sequence[Shape]) -> dict[str, int]:
    """The value of each size symbol, or `RuntimeShapeError` where the inputs' shapes do not fit."""
    sizes: dict[str, int] = {}
    if len(shapes) != len(program.inputs):
        names = ", ".join(program.buffers[position].name for position in program.inputs)
        raise RuntimeShapeError(f"{program.name} takes {len(program.inputs)} inputs ({names}), got {len(shapes)}")
    expected = [program.buffers[position].shape for position in program.inputs]
    for position, wanted, shape in zip(program.inputs, expected, shapes, strict=True):
        if len(wanted) != len(shape):
            raise RuntimeShapeError(_mismatch(program.buffers[position].name, wanted, shape, sizes))
        for poly, size in zip(wanted, shape, strict=True):
            symbol = single_symbol(poly)
            if symbol is not None:
                sizes.setdefault(symbol, size)
    for position, wanted, shape in zip(program.inputs, expected, shapes, strict=True):
        if any(evaluate(poly, sizes) != size for poly, size in zip(wanted, shape)):
            raise RuntimeShapeError(_mismatch(program.buffers[position].name, wanted, shape, sizes))
    for check in program.size_checks:
        if evaluate(check.room, sizes) < 0:
            raise RuntimeShapeError(f"{check.what}, with {_known(sizes)}")
    return sizes


def _mismatch(name: str, wanted: tuple[Poly, ...], got: Shape, sizes: dict[str, int]) -> str:
    expected = "(" + ", ".join(describe(poly) for poly in wanted) + ("," if len(wanted) == 1 else "") + ")"
    known = _known(sizes)
    sizes_known = [evaluate(poly, sizes) if symbols(poly) <= sizes.keys() else None for poly in wanted]
    advice = channels_last(got, sizes_known)
    return f"input {name!r}: expected shape {expected}{' with ' + known if known else ''}, got {got}{advice}"


def _known(sizes: dict[str, int]) -> str:
    return ", ".join(f"{symbol} = {size}" for symbol, size in sorted(sizes.items()))
