"""How much memory a program takes for one set of input shapes, before it runs.

Leans on `resolve` for the sizes of its buffers, on `packing` for how temporaries share one arena.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .packing import plan
from .program import Program
from .resolve import Shape, Steps, resolve


@dataclass(frozen=True)
class Memory:
    """Bytes. arena: that in which a run has all its temporaries; states: what is kept from run to run."""

    arena: int
    states: int


def memory(program: Program, shapes: Sequence[Shape]) -> Memory:
    """What runs on inputs of these shapes take. Raises RuntimeShapeError where the shapes do not fit the program."""
    nbytes = resolve(program, shapes, Steps()).nbytes
    temps = [i for i, buffer in enumerate(program.buffers) if buffer.kind == "temp"]
    lives = [(program.buffers[i].first, program.buffers[i].last) for i in temps]
    arena = plan([nbytes[i] for i in temps], lives)[1]
    return Memory(arena, sum(nbytes[i] for i in program.states))
