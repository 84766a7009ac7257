"""What there is to read of kernels that are alike: said of one of them, with gaps for the names of buffers.

A network of a thousand layers has a few hundred forms of kernels and tens of thousands of kernels, which differ in
little else than these names. Leans on `form` for what is alike, and on `kernel_text` for the names of axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...loops import expressions as loops
from ...loops.expressions import Expr
from ...loops.form import form
from ...loops.kernels import Buffer, Kernel
from ...shapes import Dim
from .kernel_text import renamed

_GAP = "\0"
_LINE = "\1"


@dataclass(frozen=True)
class Said:
    """Of kernels alike: their loops and values as one text with gaps, and what they compute and move in one run."""

    pieces: tuple[str, ...]
    gaps: tuple[int, ...]
    flops: Dim
    bytes: Dim

    def texts(self, names: Sequence[str]) -> list[str]:
        """The loops, then each value, where the buffers of the form have these names."""
        whole = list(self.pieces)
        whole[1::2] = [names[i] for i in self.gaps]
        return "".join(whole).split(_LINE)


class AlikeTexts:
    """What was said of the kernels of one program, by form."""

    def __init__(self) -> None:
        self._said: dict[object, Said] = {}

    def of(self, kernel: Kernel) -> tuple[Said, list[str]]:
        """What is said of it, and its loops and values as text."""
        known = kernel.fact(form)
        names = tuple(b.name for b in known.buffers)
        inside = names if "at(" in known.text else ()  # indices read from data show names of their own
        key = known.text, tuple(e.origin is not None for e in kernel.expressions), inside
        said = self._said.get(key) or self._said.setdefault(key, _said(kernel))
        return said, said.texts(names)


def _said(kernel: Kernel) -> Said:
    number = {b: f"{_GAP}{i}{_GAP}" for i, b in enumerate(kernel.fact(form).buffers)}
    text = _LINE.join([_loops(kernel, number), *_values(kernel, number)])
    pieces = renamed(text, kernel).split(_GAP)
    return Said(tuple(pieces), tuple(map(int, pieces[1::2])), kernel.flops(), kernel.bytes())


def _loops(kernel: Kernel, number: dict[Buffer, str]) -> str:
    """The space of a kernel and its stores."""
    space = "for " + ", ".join(f"{a} < {a.extent}" for a in kernel.axes) + ":\n" if kernel.axes else ""
    stores = kernel.stores_text(number)
    return space + "\n".join(("    " if space else "") + line for line in stores.splitlines())


def _values(kernel: Kernel, number: dict[Buffer, str]) -> list[str]:
    """Each expression that is the value of a node, by number: `v2 = sub(v0, v1)`."""
    names: dict[Expr, str] = {}
    found = []
    for e in kernel.expressions:
        if e.origin is not None:
            found.append(f"v{len(names)} = {loops.show(e, names, number)}")
            names[e] = f"v{len(names)}"
    return found


__all__ = ["AlikeTexts", "Said"]
