"""A planned program as the plain data that the runtime executes.

What is in it is the same for every target; kernels that are called with a table of sizes and addresses are of one kind.
Leans on the runtime's `Program`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .... import runtime
from ....runtime.sizes import Poly
from ... import dtypes
from ...loops.kernels import Buffer, Kernel, Loop
from ...lowering.kernel_order import MemoryPlan
from ...shapes import poly
from ..base import Planned, Source
from .store import symbol


def artefact(
    name: str,
    planned: Planned,
    order: MemoryPlan,
    sources: Sequence[Source],
    keys: Sequence[str],
    cycles: Sequence[tuple[float, Poly] | None],
    objects: Mapping[str, bytes],
) -> tuple[runtime.Program, list[Any]]:
    """(program, the states it runs over). sources, keys, cycles: of each kernel in `order`; objects: code by key."""
    number = numbered(planned, order.kernels)
    specs = [
        runtime.KernelSpec(k.name, key, symbol(key), arguments(source, number), meet, cycles=cost)
        for k, meet, source, key, cost in zip(order.kernels, order.barriers, sources, keys, cycles)
    ]
    return program(name, planned, order, specs, objects)


def program(
    name: str,
    planned: Planned,
    order: MemoryPlan,
    specs: Sequence[runtime.Kernel],
    objects: Mapping[str, bytes],
) -> tuple[runtime.Program, list[Any]]:
    """(program, the states it runs over). specs: each of the kernels, as a kind that the runtime knows."""
    kernels = order.kernels
    number = numbered(planned, kernels)
    states = [b for b in number if b.kind == "state"]
    made = runtime.Program(
        name,
        tuple(buffer_spec(b, order.lifetimes.get(b, (0, 0))) for b in number),
        tuple(specs),
        tuple(number[b] for b in planned.inputs),
        tuple(number[b] for b in planned.returned),
        tuple(number[b] for b in states),
        planned.limits.inputs,
        planned.size_checks,
        planned.limits.computed,
        objects=dict(objects),
        written=frozenset(number[b] for k in kernels for b in k.writes() if b.kind == "state"),
        loops=tuple(_loop(loop, ends, kernels, number) for loop, ends in order.loops.items()),
    )
    return made, [b.node.attrs.state for b in states]


def _loop(
    loop: Loop, ends: tuple[int, int], kernels: Sequence[Kernel], number: Mapping[Buffer, int]
) -> runtime.LoopSpec:
    """A loop as data. ends: its first and its last kernel."""
    used = dict.fromkeys(b for k in kernels[ends[0] : ends[1] + 1] for b in [*k.reads(), *k.writes()])
    slices = tuple((number[b], number[b.whole]) for b in used if b.whole is not None)
    return runtime.LoopSpec(*ends, poly(loop.length), loop.reverse, slices)


def numbered(planned: Planned, kernels: Sequence[Kernel]) -> dict[Buffer, int]:
    """Every buffer's number: inputs first, then what is returned, then the rest as kernels use it."""
    used = [each for k in kernels for b in [*k.reads(), *k.writes()] for each in (b.memory, b)]
    return {b: i for i, b in enumerate(dict.fromkeys([*planned.inputs, *planned.returned, *used]))}


def arguments(source: Source, number: Mapping[Buffer, int]) -> tuple[runtime.Arg, ...]:
    """What a kernel is given: sizes, then buffers by their numbers."""
    sizes = [runtime.SizeArg(poly(d)) for d in source.names.sizes]
    return (*sizes, *(runtime.BufferArg(number[b]) for b in source.names.buffers))


def buffer_spec(b: Buffer, life: tuple[int, int]) -> runtime.BufferSpec:
    """A buffer as data. life: the first and the last phase that use it."""
    data = b.node.attrs.value.array if b.kind == "constant" else None
    words = dtypes.stored(b.dtype)
    shape, slack = tuple(map(poly, b.shape)), poly(b.slack) if b.gap else ()
    kind: Any = "temp" if b.kind == "carry" else b.kind
    return runtime.BufferSpec(b.name, words, shape, b.order, kind, *life, data, slack)
