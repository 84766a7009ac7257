"""A planned program as the plain data that the runtime executes.

What is in it is the same for every target whose kernels are called with a table of sizes and addresses. Leans on the
runtime's `Program`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .... import runtime
from ....runtime.sizes import Poly
from ... import dtypes
from ...loops.kernels import Buffer
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
    used = [b for k in order.kernels for b in [*k.reads(), *k.writes()]]
    listed = list(dict.fromkeys([*planned.inputs, *planned.returned, *used]))
    number = {b: i for i, b in enumerate(listed)}
    specs = tuple(
        runtime.KernelSpec(k.name, key, symbol(key), arguments(source, number), meet, cycles=cost)
        for k, meet, source, key, cost in zip(order.kernels, order.barriers, sources, keys, cycles)
    )
    states = [b for b in listed if b.kind == "state"]
    program = runtime.Program(
        name,
        tuple(buffer_spec(b, order.lifetimes.get(b, (0, 0))) for b in listed),
        specs,
        tuple(number[b] for b in planned.inputs),
        tuple(number[b] for b in planned.returned),
        tuple(number[b] for b in states),
        planned.limits.inputs,
        planned.size_checks,
        planned.limits.computed,
        objects=dict(objects),
    )
    return program, [b.node.attrs.state for b in states]


def arguments(source: Source, number: Mapping[Buffer, int]) -> tuple[runtime.Arg, ...]:
    """What a kernel is given: sizes, then buffers by their numbers."""
    sizes = [runtime.SizeArg(poly(d)) for d in source.names.sizes]
    return (*sizes, *(runtime.BufferArg(number[b]) for b in source.names.buffers))


def buffer_spec(b: Buffer, life: tuple[int, int]) -> runtime.BufferSpec:
    """A buffer as data. life: the first and the last phase that use it."""
    data = b.node.attrs.value.array if b.kind == "constant" else None
    words = dtypes.stored(b.dtype)
    shape, slack = tuple(map(poly, b.shape)), poly(b.slack) if b.gap else ()
    return runtime.BufferSpec(b.name, words, shape, b.order, b.kind, *life, data, slack)  # type: ignore[arg-type]
