"""The page of the gallery: for each section that is drawn its title, picture, caption and table."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .room import Section

HEAD = """
What networks trained here see, dream, imitate and get wrong ([vision](vision.md)), with the weights behind the
[results](results.md). Made by `python -m kernelwright.bench.gallery` after `python -m kernelwright.bench.results`; with
the names of sections it draws these anew: {names}.

Photographs are those that ship with scikit-image (`pip install "kernelwright[gallery]"`), whose documentation says
whose they are: the coffee cup by Rachel Michetti, by courtesy of Pikolo Espresso Bar, CC0; the astronaut Eileen Collins
by NASA, public domain; stained tissue of a colon (`ihc`) by the Center for Microscopy and Molecular Imaging (CMMI), no
known copyright restrictions; gravel by CC0Textures, CC0. Small images are of the test sets of MNIST and CIFAR-10.
"""


def write(told: Mapping[str, Any], page: Path, sections: Mapping[str, Section]) -> None:
    """The page of the sections in `told`, {name: {"numbers": ...}}, in the order of `sections`."""
    drawn = {name: section for name, section in sections.items() if name in told}
    parts = ["# Gallery\n", wrapped(HEAD.format(names=", ".join(f"`{name}`" for name in drawn)))]
    for name, section in drawn.items():
        numbers = told[name]["numbers"]
        parts.append(f"## {section.title}\n\n![{section.title.lower()}](gallery_{name}.png)\n")
        parts.append(wrapped(section.caption.format(**numbers)))
        if "table" in numbers:
            parts.append(f"```text\n{numbers['table']}\n```\n")
    page.write_text("\n".join(parts))


def wrapped(text: str) -> str:
    """Paragraphs in lines of at most 120 characters, broken between words, not before a per cent sign."""
    paragraphs = [" ".join(each.split()).replace(" %", "\N{NO-BREAK SPACE}%") for each in text.strip().split("\n\n")]
    lines = [textwrap.fill(each, 120, break_on_hyphens=False, break_long_words=False) for each in paragraphs]
    return "\n\n".join(lines).replace("\N{NO-BREAK SPACE}", " ") + "\n"
