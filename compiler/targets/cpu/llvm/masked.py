"""Short loops as whole vectors behind masks, without a scalar rest.

LLVM vectorises a loop as whole vectors and then a scalar loop over what is left: of ten trips it runs all ten one by
one. Generated source says `masked()` in the body of a loop of few trips; the loop then gets the metadata that lets LLVM
mask the lanes past the end instead, on machines where masks are as fast as whole vectors. `frontend` calls `mark_loops`
once a kernel's module is complete. Leans on `machine` for what the machine can do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..machine import target

_noted: WeakKeyDictionary[ir.Module, list[ir.Block]] = WeakKeyDictionary()


@intrinsic
def masked(typingctx: Any) -> Any:
    """Mark the innermost loop around: its last vector is masked."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        _noted.setdefault(builder.module, []).append(builder.block)
        return context.get_dummy_value()

    return types.none(), emit


def mark_loops(module: ir.Module) -> None:
    """Attach the metadata to the way back of every noted loop that has no loop inside."""
    noted = _noted.pop(module, []) if target().masks else []
    for function in module.functions:
        inside = [block for block in noted if block.parent is function]
        if not inside:
            continue
        loops = dict(_loops(function))
        for block in inside:
            around = [latch for latch, blocks in loops.items() if block in blocks]
            innermost = min(around, key=lambda latch: len(loops[latch]), default=None)
            if innermost is None or any(loops[other] < loops[innermost] for other in loops):
                continue
            if "llvm.loop" not in innermost.terminator.metadata:
                innermost.terminator.set_metadata("llvm.loop", _predicated(module))


def _predicated(module: ir.Module) -> ir.MDValue:
    """A loop's own metadata node, which asks for masks."""
    wishes = (
        module.add_metadata(["llvm.loop.vectorize.predicate.enable", ir.Constant(ir.IntType(1), 1)]),
        module.add_metadata(["llvm.loop.unroll.disable"]),
    )
    node = module.add_metadata([f"loop {len(module.metadata)}", *wishes])
    node.operands = (node, *wishes)  # LLVM tells loops apart by a first operand that is the node itself
    return node


def _loops(function: ir.Function) -> Iterator[tuple[ir.Block, set[ir.Block]]]:
    """The loops of a function: the block that leads back to the head, and all blocks."""
    before: dict[ir.Block, list[ir.Block]] = {block: [] for block in function.blocks}
    for block in function.blocks:
        for following in _successors(block):
            before[following].append(block)
    for latch, head in _ways_back(function):
        blocks, waiting = {head}, [latch]
        while waiting:
            block = waiting.pop()
            if block not in blocks:
                blocks.add(block)
                waiting += before[block]
        yield latch, blocks


def _ways_back(function: ir.Function) -> Iterator[tuple[ir.Block, ir.Block]]:
    """Edges that lead to a block on the present path of a depth-first walk."""
    entry = function.entry_basic_block
    path, seen = {entry}, {entry}
    stack = [(entry, iter(_successors(entry)))]
    while stack:
        block, rest = stack[-1]
        following = next(rest, None)
        if following is None:
            path.discard(block)
            stack.pop()
        elif following in path:
            yield block, following
        elif following not in seen:
            seen.add(following)
            path.add(following)
            stack.append((following, iter(_successors(following))))


def _successors(block: ir.Block) -> list[ir.Block]:
    end = block.terminator
    return [x for x in end.operands if isinstance(x, ir.Block)] if end is not None else []
