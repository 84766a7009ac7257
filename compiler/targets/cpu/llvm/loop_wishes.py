"""What kernels ask of LLVM for single loops, as metadata on the way back of each.

**Short loops are whole vectors behind masks, without a scalar rest.** LLVM vectorises a loop as whole vectors and then
a scalar loop over what is left: of ten trips it runs all ten one by one. Generated source says `masked()` in the body
of a loop of few trips; LLVM then masks the lanes past the end, on machines where masks are as fast as whole vectors.

**Loops over a thread's share stay as they stand**, neither vectorised nor unrolled nor peeled. A vector's lanes and the
rest after them are different code, which may round differently: a sum and a product become one multiply-add in one
place and not in the other, or short sums are regrouped. With one body, which of the trips are this thread's does not
show in the bits. Such loops are known by their bounds, in which `thread` stands.

`frontend` calls `mark_loops` once a kernel's module is complete. Leans on `machine` for what the machine can do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..machine import target

MASKED = (("llvm.loop.vectorize.predicate.enable", 1), ("llvm.loop.unroll.disable", None))
AS_IT_STANDS = (("llvm.loop.vectorize.enable", 0), ("llvm.loop.unroll.disable", None))

Wishes = tuple[tuple[str, int | None], ...]

_noted: WeakKeyDictionary[ir.Module, list[tuple[ir.Block, Wishes]]] = WeakKeyDictionary()


def note(builder: ir.IRBuilder, wishes: Wishes) -> None:
    """These are the wishes for the innermost loop around where the builder stands."""
    _noted.setdefault(builder.module, []).append((builder.block, wishes))


@intrinsic
def masked(typingctx: Any) -> Any:
    """Mark the innermost loop around: its last vector is masked."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        if target().masks:
            note(builder, MASKED)
        return context.get_dummy_value()

    return types.none(), emit


@intrinsic
def as_it_stands(typingctx: Any) -> Any:
    """Mark the innermost loop around: its body is not to be multiplied."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[Any, ...]) -> ir.Value:
        note(builder, AS_IT_STANDS)
        return context.get_dummy_value()

    return types.none(), emit


def shares(statement: ast.For) -> bool:
    """Is this a loop over a thread's share?"""
    return any(isinstance(each, ast.Name) and each.id == "thread" for each in ast.walk(statement.iter))


def marked(source: str) -> str:
    """The source whose loops over shares say `as_it_stands()`, for Numba's own front end."""
    tree = ast.parse(source)
    for statement in ast.walk(tree):
        if isinstance(statement, ast.For) and shares(statement):
            statement.body.insert(0, ast.Expr(ast.Call(ast.Name("as_it_stands", ast.Load()), [], [])))
    return ast.unparse(ast.fix_missing_locations(tree))


def mark_loops(module: ir.Module) -> None:
    """Attach the metadata to the way back of every noted loop; masks only where the loop has no loop inside."""
    noted = _noted.pop(module, [])
    for function in module.functions:
        inside = [(block, wishes) for block, wishes in noted if block.parent is function]
        if not inside:
            continue
        loops = dict(_loops(function))
        for block, wishes in inside:
            around = [latch for latch, blocks in loops.items() if block in blocks]
            innermost = min(around, key=lambda latch: len(loops[latch]), default=None)
            if innermost is None or (wishes is MASKED and any(loops[other] < loops[innermost] for other in loops)):
                continue
            if "llvm.loop" not in innermost.terminator.metadata:
                innermost.terminator.set_metadata("llvm.loop", _node(module, wishes))


def _node(module: ir.Module, wishes: Wishes) -> ir.MDValue:
    """A loop's own metadata node."""
    each = []
    for name, value in wishes:
        said = [] if value is None else [ir.Constant(ir.IntType(1), value)]
        each.append(module.add_metadata([name, *said]))
    node = module.add_metadata([f"loop {len(module.metadata)}", *each])
    node.operands = (node, *each)  # LLVM tells loops apart by a first operand that is the node itself
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
