"""Sizes known only at run time: polynomials in named symbols such as the batch size.

Leans on nothing. A polynomial is a tuple of terms, each the sorted factors that are multiplied and an integer
coefficient: `2*n*m + 3` is `((("m", "n"), 2), ((), 3))`. The constant c is `(((), c),)` and zero is `()`. A factor is
a symbol's name, or a quotient rounded down, `(polynomial, divisor)`: `(h + 1) // 2`, the height after a stride of 2, is
`(((((((), 1), (("h",), 1)), 2),), 1),)`. Quotients lie in each other only where sizes were enlarged in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

Factor: TypeAlias = "str | tuple[Poly, int]"
Poly: TypeAlias = "tuple[tuple[tuple[Factor, ...], int], ...]"


def evaluate(poly: Poly, env: Mapping[str, int]) -> int:
    """The value of `poly` where each symbol has its value in `env`."""
    total = 0
    for factors, coefficient in poly:
        for factor in factors:
            coefficient *= env[factor] if isinstance(factor, str) else evaluate(factor[0], env) // factor[1]
        total += coefficient
    return total


def order(factors: Iterable[Factor]) -> tuple[str, ...]:
    """By what factors, and products of them, are sorted: names as they are, quotients by their text."""
    return tuple(f if isinstance(f, str) else repr(f) for f in factors)


def single_symbol(poly: Poly) -> str | None:
    """The symbol's name where `poly` is exactly one symbol, which a shape can therefore bind."""
    if len(poly) == 1 and len(poly[0][0]) == 1 and poly[0][1] == 1:
        factor = poly[0][0][0]
        return factor if isinstance(factor, str) else None
    return None


def symbols(poly: Poly) -> set[str]:
    """Every symbol that `poly` mentions, within quotients too."""
    found: set[str] = set()
    for factors, _ in poly:
        for factor in factors:
            found |= {factor} if isinstance(factor, str) else symbols(factor[0])
    return found


def describe(poly: Poly) -> str:
    """`poly` as a person writes it: `2*m*n + 3`, `(h + 1) // 2`."""
    terms = []
    for factors, coefficient in poly:
        texts = [factor if isinstance(factor, str) else _quotient(*factor) for factor in factors]
        if len(texts) == 1 and coefficient == 1 and len(poly) == 1:
            return texts[0]
        texts = [text if isinstance(factor, str) else f"({text})" for text, factor in zip(texts, factors)]
        terms.append("*".join(texts if coefficient == 1 and texts else [str(coefficient), *texts]))
    return " + ".join(terms).replace("+ -", "- ") or "0"


def _quotient(poly: Poly, by: int) -> str:
    text = describe(tuple(reversed(poly)))
    return f"{text} // {by}" if single_symbol(poly) else f"({text}) // {by}"


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
