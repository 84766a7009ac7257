"""What README shows as output is what its code prints: every `text` block under a `python` block, line by line.

A line of `...` stands for lines left out; what is left must come in the same order.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kernelwright.compiler.targets.cpu.machine import lanes

pytestmark = pytest.mark.skipif(lanes("float32") != 16, reason="README shows kernels for vectors of 16 floats")
README = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def listings() -> list[tuple[str, str]]:
    """(code, shown) for each block of output and the code before it."""
    found, code = [], ""
    for language, text in BLOCK.findall(README.read_text()):
        if language == "python":
            code = text
        else:
            found.append((code, text))
    return found


def shown_in_order(shown: str, printed: str) -> list[str]:
    """The shown lines that are not among the printed ones, in order."""
    rest = iter([line.strip() for line in printed.splitlines()])
    return [line for line in shown.splitlines() if line.strip() != "..." and line.strip() not in rest]


@pytest.mark.parametrize(("code", "shown"), listings(), ids=lambda text: text.split("\n")[0][:30])
def test_what_readme_shows_is_what_its_code_prints(code: str, shown: str) -> None:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert shown_in_order(shown, ran.stdout) == []


def test_figures_of_the_training_listing() -> None:
    """README says between which losses the 20 steps go, and of how many kernels a step is."""
    code = next(code for code, _ in listings() if "step = kw.compile" in code)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    lines = ran.stdout.splitlines()
    losses = [float(line) for line in lines if "|" not in line]
    said = re.search(r"falls from ([\d.]+) to ([\d.]+) in these (\d+) steps. Of the (\d+) kernels", README.read_text())
    assert said is not None
    assert (f"{losses[0]:.2f}", f"{losses[-1]:.2f}") == said.groups()[:2]
    assert (len(losses), sum("|" in line for line in lines)) == (int(said[3]), int(said[4]))


def test_a_line_that_is_not_printed_is_found() -> None:
    assert shown_in_order("a\n...\nc\nb\n", "a\nb\nc\n") == ["b"]
