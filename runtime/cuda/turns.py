"""A program's kernels in the order in which one step runs them: those of a loop again for each of its turns.

Places of sequences, which a loop moves along, have an address of their own at every turn; nothing else differs between
turns. Leans on `resolve`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..program import LoopSpec, Program
from ..resolve import Resolved
from ..sizes import evaluate

Addresses = Mapping[int, int]


def turns(program: Program, resolved: Resolved, addresses: Addresses) -> Iterator[tuple[int, Addresses]]:
    """Each kernel's number, and the addresses of all buffers as it finds them. addresses: those that do not move."""
    done = 0
    for loop in program.loops:
        yield from ((i, addresses) for i in range(done, loop.first))
        yield from _of_loop(loop, resolved, addresses)
        done = loop.last + 1
    yield from ((i, addresses) for i in range(done, len(program.kernels)))


def _of_loop(loop: LoopSpec, resolved: Resolved, addresses: Addresses) -> Iterator[tuple[int, Addresses]]:
    places = range(evaluate(loop.length, resolved.sizes))
    for place in reversed(places) if loop.reverse else places:
        moved = {part: addresses[whole] + place * resolved.nbytes[part] for part, whole in loop.slices}
        found = {**addresses, **moved}
        yield from ((i, found) for i in range(loop.first, loop.last + 1))
