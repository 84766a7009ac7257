"""Sizes known only at run time: polynomials in named symbols such as the batch size.

Leans on nothing. A polynomial is a tuple of terms, each the sorted names of the symbols multiplied and an integer
coefficient: `2*n*m + 3` is `((("m", "n"), 2), ((), 3))`. The constant c is `(((), c),)` and zero is `()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Poly = tuple[tuple[tuple[str, ...], int], ...]


def evaluate(poly: Poly, env: Mapping[str, int]) -> int:
    """The value of `poly` where each symbol has its value in `env`."""
    total = 0
    for names, coefficient in poly:
        for name in names:
            coefficient *= env[name]
        total += coefficient
    return total


def single_symbol(poly: Poly) -> str | None:
    """The symbol's name where `poly` is exactly one symbol, which a shape can therefore bind."""
    if len(poly) == 1 and len(poly[0][0]) == 1 and poly[0][1] == 1:
        return poly[0][0][0]
    return None


def symbols(poly: Poly) -> set[str]:
    """Every symbol that `poly` mentions."""
    return {name for names, _ in poly for name in names}


def describe(poly: Poly) -> str:
    """`poly` as a person writes it: `2*m*n + 3`."""
    terms = []
    for names, coefficient in poly:
        factors = list(names) if coefficient == 1 and names else [str(coefficient), *names]
        terms.append("*".join(factors))
    return " + ".join(terms).replace("+ -", "- ") or "0"


def channels_last(shape: Sequence[object], wanted: Sequence[object]) -> str:
    """The advice for images (n, height, width, channels) where (n, channels, height, width) are `wanted`.

    None in `wanted` stands for any size. Empty where the shape is another, or moving its last axis does not help.
    """
    if len(shape) != 4 or len(wanted) != 4:
        return ""
    moved = (shape[0], shape[3], shape[1], shape[2])
    if tuple(shape) == moved or any(size is not None and size != got for size, got in zip(wanted, moved)):
        return ""
    return "; if the channels are its last axis, .transpose(0, 3, 1, 2) puts them first"


def thin_images(shape: Sequence[object]) -> str:
    """`channels_last` where no window fits images that are 1 or 3 wide, as grey or colour channels would be."""
    return "".join(channels_last(shape, (None, channels, None, None)) for channels in (1, 3))
