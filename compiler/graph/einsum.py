"""`kw.einsum`: sums of products by letters, as one contraction for each operand after the first.

Leans on `ops.contract`.
"""

from __future__ import annotations

from functools import reduce

from .. import dtypes
from ..errors import ShapeError
from ..shapes import Dim, show
from .arrangement import diagonal
from .node import user_location
from .ops.contract import Spec, axis_access
from .ops.movement import reshape, transpose
from .ops.reduce import sum_
from .tensor import Like, Tensor, apply, as_tensor, cast

DOTS = "αβγδεζηθικλμ"
"""Letters for the axes that `...` stands for, the last of them for the last axis."""


def einsum(subscripts: str, *operands: Like) -> Tensor:
    """The sum of products that the letters say, as in NumPy: `kw.einsum("bij,bjk->bik", x, y)`.

    A letter names an axis; equal letters go together, those that are not behind the arrow are summed. Without an arrow
    the result has the letters that stand once, in the alphabet's order. A letter twice in one operand takes its
    diagonal; `...` stands for all other axes, which have to be equal in all operands that have them. Operands are taken
    from left to right, two at a time, and promoted to one dtype. Raises ShapeError where letters and shapes do not fit.
    """
    tensors = [as_tensor(x) for x in operands]
    terms, result = _parsed(subscripts, tensors)
    dtype = reduce(dtypes.promote, [x.dtype for x in tensors])
    waiting = [_plain(cast(x, dtype), term) for x, term in zip(tensors, terms)]
    sizes: dict[str, Dim] = {}
    for x, term in waiting:
        for letter, size in zip(term, x.shape):
            if sizes.setdefault(letter, size) != size:
                shapes = ", ".join(show(t.shape) for t in tensors)
                raise _error(subscripts, f"axis {letter!r} has the sizes {sizes[letter]} and {size} in {shapes}")
    value, letters = waiting[0]
    for k, (other, others) in enumerate(waiting[1:], 2):
        needed = set(result).union(*(term for _, term in waiting[k:]))
        value, letters = _without(value, letters, needed | set(others))
        other, others = _without(other, others, needed | set(letters))
        kept = result if k == len(waiting) else "".join(c for c in dict.fromkeys(letters + others) if c in needed)
        value, letters = _product(value, letters, other, others, kept, sizes), kept
    value, letters = _without(value, letters, set(result))
    return transpose(value, [letters.index(c) for c in result])


def _error(subscripts: str, what: str) -> ShapeError:
    return ShapeError(f"einsum: {subscripts!r}: {what}\n  at {user_location()}")


def _parsed(subscripts: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """(the letters of each operand, of the result), with letters in place of `...`."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors) or not tensors:
        raise _error(subscripts, f"names {len(terms)} operands, and there are {len(tensors)}")
    spelled = [_spelled(subscripts, term, x) for term, x in zip(terms, tensors)]
    dots = max(("".join(c for c in term if c in DOTS) for term in spelled), key=len)
    if arrow:
        result = right.replace("...", dots)
    else:
        text = "".join(spelled)
        result = dots + "".join(sorted(c for c in set(text) - set(dots) if text.count(c) == 1))
    unknown = [c for c in result if c not in "".join(spelled)]
    if unknown or len(set(result)) != len(result):
        raise _error(subscripts, f"the result's letters must stand in an operand, once each, not {right!r}")
    return spelled, result


def _spelled(subscripts: str, term: str, x: Tensor) -> str:
    """An operand's letters, one for each of its axes."""
    letters = term.replace("...", "", 1)
    rest = x.rank - len(letters)
    if (letters and not (letters.isascii() and letters.isalpha())) or rest < 0 or (rest and letters == term):
        raise _error(subscripts, f"{term!r} does not name the {x.rank} axes of {show(x.shape)}")
    return term.replace("...", DOTS[len(DOTS) - rest :] if rest else "")


def _plain(x: Tensor, term: str) -> tuple[Tensor, str]:
    """The operand with every letter once: diagonals taken."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            if x.shape[first] != x.shape[second]:
                raise _error(term, f"axis {letter!r} has two sizes in {show(x.shape)}")
            x = diagonal(x, 0, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return x, term


def _without(x: Tensor, term: str, needed: set[str]) -> tuple[Tensor, str]:
    """The operand summed over the letters that nothing else needs."""
    axes = tuple(i for i, c in enumerate(term) if c not in needed)
    return (cast(sum_(x, axes), x.dtype) if axes else x), "".join(c for c in term if c in needed)


def _product(a: Tensor, left: str, b: Tensor, right: str, kept: str, sizes: dict[str, Dim]) -> Tensor:
    """The products of two operands, with the kept letters in their order, summed over the others."""
    summed = "".join(c for c in left if c not in kept)
    if not summed:
        return _spread(a, left, kept) * _spread(b, right, kept)
    place = {c: i for i, c in enumerate(kept + summed)}
    accesses = tuple(axis_access(*(place[c] for c in term)) for term in (left, right))
    spec = Spec(tuple(sizes[c] for c in kept), tuple(sizes[c] for c in summed), accesses)
    return apply("contract", (a, b), spec=spec)


def _spread(x: Tensor, term: str, kept: str) -> Tensor:
    """The operand with an axis for each kept letter, of size 1 for those that it has not."""
    x = transpose(x, [term.index(c) for c in kept if c in term])
    shape = iter(x.shape)
    return reshape(x, tuple(next(shape) if c in term else 1 for c in kept))
