"""Printed kernels checked by running them as Python at small sizes: bounds, results written once, races.

Every distinct kernel runs for one and for three threads. Each access has to lie within its buffer (or in the readable
slack after it), every element of a result is written once, by one thread, and no thread touches what another writes
in the same stretch between barriers. Sizes of the text stay as they are: a kernel that is too long is seen in part, and
one with very large buffers not at all; the trace names both. Leans on `traced` for runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from ....runtime.sizes import symbols
from ...graph.node import location
from ...loops.kernels import Buffer, Kernel
from ...rewriting.verify import VerifyError
from ...shapes import poly, value
from ..base import Source
from .traced import Run, Sizes, Watch, count_of, run, too_large

THREADS = 3


def verify_kernels(kernels: Sequence[Kernel], sources: Sequence[Source], barriers: Sequence[bool]) -> list[str]:
    """Check printed kernels in running order; barriers: whether threads meet after each.

    Returns a note for each kernel that was not seen whole. Raises VerifyError, which names the kernel, the access, the
    line of its source and the user's lines.
    """
    notes: dict[str, None] = {}
    for sizes, threads in _trials(sources):
        runs: dict[object, Run | None] = {}
        seen: list[Run | None] = []
        for kernel, source in zip(kernels, sources):
            key = _key(source, sizes)
            if key not in runs:
                runs[key] = found = None if too_large(source, sizes) else run(source, sizes, threads)
                if found is None or not found.complete:
                    notes[f"{kernel.name} is too {'large' if found is None else 'long'} to be run whole"] = None
            seen.append(runs[key])
            if (found := runs[key]) is not None:
                _legal(kernel, source, found, sizes, _at(sizes, threads))
        for stretch in _stretches(barriers):
            _races([(kernels[i], sources[i], seen[i]) for i in stretch], sizes, threads)
    return list(notes)


def _trials(sources: Sequence[Source]) -> Iterator[tuple[Sizes, int]]:
    """(values of the symbols, threads). Symbols have values of their own, so that strides are told apart."""
    dims = [d for s in sources for b in s.names.buffers for d in b.shape] + [d for s in sources for d in s.names.sizes]
    names = sorted(set().union(*(symbols(poly(d)) for d in dims)))
    shapes = [d for s in sources for b in s.names.buffers for d in b.shape]
    for first, counts in ((3, (1, THREADS)), (5, (THREADS,) if names else ())):
        sizes = {name: first + i for i, name in enumerate(names)}
        while any(value(d, sizes) < 0 for d in shapes) and max(sizes.values()) < 100:
            sizes = {name: size + 8 for name, size in sizes.items()}
        yield from ((sizes, threads) for threads in counts)


def _key(source: Source, sizes: Sizes) -> object:
    """Kernels alike in this do the same."""
    buffers = tuple(
        (b.kind, b.dtype, count_of(b, sizes), b.order, b.gap, id(b) if b.kind == "constant" else 0)
        for b in source.names.buffers
    )
    return source.text, tuple(value(d, sizes) for d in source.names.sizes), buffers


# ---------------------------------------------------------------- results


def _legal(kernel: Kernel, source: Source, found: Run, sizes: Sizes, where: str) -> None:
    """No access was out of bounds or wrote again, and every element of what the kernel writes is written."""
    if found.fault:
        raise VerifyError(_message(kernel, source, found.fault, found.line, where))
    if not found.complete:
        return
    written = set(kernel.writes())
    for buffer, writes in zip(source.names.buffers, found.writes):
        if buffer not in written:
            continue
        missing = np.flatnonzero(writes[_places(buffer, sizes)] == 0)
        if missing.size:
            place = int(_places(buffer, sizes)[missing[0]])
            fault = f"{buffer.name}[{place}] is never written, nor are {missing.size - 1} more elements"
            raise VerifyError(_message(kernel, source, fault, _store(source, buffer), where))


def _places(buffer: Buffer, sizes: Sizes) -> np.ndarray:
    """Where the elements lie, (elements,): all but the gaps."""
    place = np.zeros((), np.int64)
    for dim, stride in zip(buffer.shape, buffer.strides):
        place = np.add.outer(place, np.arange(value(dim, sizes)) * value(stride, sizes))
    return place.reshape(-1)


def _store(source: Source, buffer: Buffer) -> int:
    """The first line that stores to a buffer."""
    name = source.names.buffers[buffer]
    lines = enumerate(source.text.splitlines(), 1)
    return next((i for i, line in lines if re.match(rf" *{name}\[.*\] = ", line)), 1)


# ---------------------------------------------------------------- races


def _stretches(barriers: Sequence[bool]) -> Iterator[list[int]]:
    """The numbers of the kernels between barriers."""
    stretch: list[int] = []
    for i, meet in enumerate(barriers):
        stretch.append(i)
        if meet or i == len(barriers) - 1:
            yield stretch
            stretch = []


def _races(stretch: Sequence[tuple[Kernel, Source, Run | None]], sizes: Sizes, threads: int) -> None:
    """No element that one thread writes is touched by another."""
    written = {b for kernel, _, found in stretch if found is not None for b in kernel.writes()}
    for buffer in written:
        users = [
            (kernel, source, found, list(source.names.buffers).index(buffer))
            for kernel, source, found in stretch
            if found is not None and buffer in source.names.buffers
        ]
        writes = np.bitwise_or.reduce([found.writes[i] for _, _, found, i in users])
        touched = np.bitwise_or.reduce([found.reads[i] | found.writes[i] for _, _, found, i in users])
        clash = np.flatnonzero((writes != 0) & ((touched & ~writes != 0) | (writes & (writes - 1) != 0)))
        if clash.size:
            _refuse(users, buffer, int(clash[0]), sizes, threads)


def _refuse(
    users: Sequence[tuple[Kernel, Source, Run, int]], buffer: Buffer, e: int, sizes: Sizes, threads: int
) -> None:
    accesses = [
        (thread, write, user)
        for user in users
        for write, masks in ((True, user[2].writes), (False, user[2].reads))
        for thread in range(threads)
        if masks[user[3]][e] >> thread & 1
    ]
    thread, _, first = next(a for a in accesses if a[1])
    other, write, second = next(a for a in accesses if a[0] != thread)
    fault = (
        f"{buffer.name}[{e}] is {'written' if write else 'read'} by thread {other}, and written by thread {thread} "
        f"in {first[0].name} without a barrier between them"
    )
    kernel, source, _, number = second
    line = run(source, sizes, threads, Watch(number, e, other, write)).line
    raise VerifyError(_message(kernel, source, fault, line, _at(sizes, threads)))


# ---------------------------------------------------------------- words


def _at(sizes: Sizes, threads: int) -> str:
    known = "".join(f"{name} = {size}, " for name, size in sizes.items())
    return f"{known}{threads} thread{'s' * (threads > 1)}"


def _message(kernel: Kernel, source: Source, fault: str, line: int, where: str) -> str:
    text = source.pretty(kernel.name).splitlines()
    users = ", ".join(dict.fromkeys(str(location(node)) for node in kernel.nodes)) or "no line of yours"
    said = f"\n  line {line}: {text[line - 1].strip()}" if 0 < line <= len(text) else ""
    return f"the printed kernel {kernel.name} ({where}): {fault}{said}\n  computed at {users}\n" + "\n".join(text)
