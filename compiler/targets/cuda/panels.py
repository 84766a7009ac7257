"""How an operand of a contraction on tensor cores comes to shared memory: which way round, by which copies, and where
each element lies.

Leans on `contraction` for the matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Axis, Condition, Expr, Index
from ...loops.kernels import address
from ...loops.products import is_zero
from ...shapes import divide, product
from .alignment import begins_aligned

LINE = 128
COPY = 16
"""Bytes of the widest copy that does not pass through registers; the others are of 8 and of 4."""


@dataclass(frozen=True)
class SharedPanel:
    """How an operand lies in shared memory: `size` rows (or columns) by `depth` terms of type `words`, the side that it
    is contiguous along innermost. `vector` elements are copied at a time without passing through registers; 0: each
    element is computed by a thread, which stores it. `packed`: fragments round two float32 to a word of bfloat16.
    `swizzled`: in lines of `LINE` bytes, whose pieces of 16 bytes lie in an order that changes from line to line.
    `rounded`: elements pass through registers, where they are rounded to tf32, to lines along the terms, whichever way
    they lie in memory. Copies of neighbouring rows are `turned` then.
    `cached`: copies leave what they bring in the level-1 cache, since other stages bring it again."""

    operand: Expr
    axes: tuple[Axis, ...]
    along_terms: bool
    vector: int
    words: str = dtypes.FLOAT32
    packed: bool = False
    swizzled: bool = False
    rounded: bool = False
    cached: bool = False

    @property
    def itemsize(self) -> int:
        return dtypes.ITEMSIZE[self.words]

    @property
    def nbytes(self) -> int:
        """Bytes of a copy; 0 where elements are computed."""
        return self.vector * self.itemsize

    @property
    def by_matrices(self) -> bool:
        """Are fragments loaded by `ldmatrix`? It moves words of 4 bytes, and transposes those of 2."""
        return not self.packed and (self.along_terms or self.itemsize == 2)

    @property
    def lines_of_terms(self) -> bool:
        """Do lines in shared memory lie along the terms?"""
        return self.along_terms or self.rounded

    @property
    def turned(self) -> int:
        """Neighbouring rows that are copied together and go to as many lines of terms: of n groups of such rows, row e
        of group i to line e * n + i, so that neighbouring threads store to different banks. Else 1."""
        return max(1, self.vector) if self.rounded and not self.along_terms else 1

    def pitch(self, size: int, depth: int) -> int:
        """Elements from one row (or term) to the next, so that what a warp reads at once lies in 32 different banks and
        each line begins on 16 bytes."""
        if self.itemsize == 2:
            by, rest = 16, 8
        elif self.packed:
            by, rest = (16, 8) if self.along_terms else (8, 4)
        else:
            by, rest = (8, 4) if self.along_terms else (16, 8)
        line = depth if self.along_terms else size
        return line + (rest - line) % by

    def room(self, size: int, depth: int) -> int:
        """Bytes of one stage."""
        if self.swizzled:
            return size * depth * self.itemsize
        return self.pitch(size, depth) * (size if self.along_terms else depth) * self.itemsize

    def steps(self, size: int, depth: int) -> tuple[int, int]:
        """Bytes from one row (or column) to the next, and from one term to the next."""
        line = LINE if self.swizzled else self.pitch(size, depth) * self.itemsize
        return (line, self.itemsize) if self.lines_of_terms else (self.itemsize, line)

    def place(self, tile: str, line: str, fast: str, line_step: int, fast_step: int) -> str:
        """The address of element `fast` of a line, as text."""
        if not self.swizzled:
            return f"{tile} + {line} * {line_step} + {fast} * {fast_step}"
        if self.lines_of_terms:
            piece = COPY // self.itemsize
            within = f" + {fast} % {piece} * {self.itemsize}" if self.rounded else ""
            return f"{tile} + {line} * {LINE} + ({fast} // {piece} ^ {line} % 8) * 16{within}"
        return f"{tile} + {fast} // 64 * {64 * LINE} + {line} * {LINE} + ({fast} // 8 % 8 ^ {line} % 8) * 16"

    def __str__(self) -> str:
        how = f"by {self.nbytes} bytes" if self.vector else "computed"
        return f"{how} through registers" if self.rounded and self.vector else how


def panel(operand: Expr, axes: tuple[Axis, ...], summed: tuple[Axis, ...], precision: str) -> SharedPanel:
    """The better of the two ways round: contiguous copies first, then along what lies contiguous in memory."""

    def worth(found: SharedPanel) -> tuple[int, bool]:
        last = summed[-1] if found.along_terms else axes[-1]
        return found.nbytes, any(address(e).coefficient(last) == 1 for e in loops.loads([operand]))

    return max((_panel(operand, axes, way, summed, precision) for way in (True, False)), key=worth)


def _panel(
    operand: Expr, axes: tuple[Axis, ...], along_terms: bool, summed: tuple[Axis, ...], precision: str
) -> SharedPanel:
    fast = summed if along_terms else axes
    load = copied(operand, summed)
    if load is not None and load[1].data[0].dtype == dtypes.FLOAT32:
        packed = precision == dtypes.BFLOAT16
        return SharedPanel(operand, axes, along_terms, _vector(*load, fast), dtypes.FLOAT32, packed)
    words = precision if precision == dtypes.BFLOAT16 else dtypes.FLOAT32
    vector = _vector(*load, fast) if load is not None and load[1].data[0].dtype == words else 0
    return SharedPanel(operand, axes, along_terms, vector, words)


def narrow(operand: Expr) -> bool:
    """Is every value of the operand one that bfloat16 holds?"""
    while operand.kind == "guard" and is_zero(operand.args[1]):
        operand = operand.args[0]
    if operand.kind == "load":
        return bool(operand.data[0].dtype == dtypes.BFLOAT16)
    return operand.kind == "call" and operand.data == "round_bfloat16"


def copied(operand: Expr, summed: Sequence[Axis]) -> tuple[tuple[Condition, ...], Expr] | None:
    """(conditions, load) of an operand that is an element of memory or, where a condition does not hold, zero; its
    places and conditions are sums of a part of the rows' and one of the terms'."""
    conditions: tuple[Condition, ...] = ()
    while operand.kind == "guard" and is_zero(operand.args[1]):
        conditions += tuple(operand.data)
        operand = operand.args[0]
    if operand.kind != "load" or operand.data[0].dtype not in (dtypes.FLOAT32, dtypes.BFLOAT16):
        return None
    indices = [address(operand), *(c.index for c in conditions)]
    return (conditions, operand) if all(parted(i, summed) for i in indices) else None


def parted(index: Index, summed: Iterable[Axis]) -> tuple[Index, Index] | None:
    """An index as (what does not change from term to term, what the terms add); None where an atom has both, or is read
    from data."""
    terms = set(summed)
    if any(_from_data(atom) for atom, _ in index.terms):
        return None
    over = {atom: Index([(atom, 1)]).axes for atom, _ in index.terms}
    if any(axes & terms and axes - terms for axes in over.values()):
        return None
    moving = Index([(atom, c) for atom, c in index.terms if over[atom] & terms])
    return Index([(atom, c) for atom, c in index.terms if not over[atom] & terms], index.const), moving


def _from_data(atom: loops.Atom) -> bool:
    if isinstance(atom, Axis):
        return False
    return isinstance(atom, loops.Dynamic) or any(_from_data(a) for a, _ in atom.index.terms)


def _vector(conditions: Sequence[Condition], load: Expr, fast: Sequence[Axis]) -> int:
    """Elements per copy along the last of `fast`: as many as always exist together on a boundary of as many bytes; 0
    where that is less than 4 bytes."""
    buffer = load.data[0]
    itemsize = dtypes.ITEMSIZE[buffer.dtype]
    widths = [nbytes // itemsize for nbytes in (COPY, COPY // 2)]
    place, stride, aligned = address(load), product(()), begins_aligned(buffer)
    found = 4 // itemsize if itemsize == 4 else 0
    for i in range(len(fast) - 1, -1, -1):
        run = fast[i:]
        if place.coefficient(fast[i]) != stride or not place.affine_in(run):
            break
        stride = stride * fast[i].extent
        if any(c.index.axes & set(run) for c in conditions):
            break
        rest = [c for a, c in place.terms if a not in run] + [place.const, stride]
        whole = [n for n in (*widths, 4 // itemsize) if aligned and all(divide(c, n) is not None for c in rest)]
        found = max([found, *whole])
    return found
