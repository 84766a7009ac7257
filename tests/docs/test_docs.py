"""The documentation runs: every python block of README.md, CONTRIBUTING.md and docs/, and the examples.

The blocks of one file run in order in one process and share their names, as a reader would paste them. A block under
`<!-- not run -->` is skipped: it shows lines to be added to a file of the package.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<skip><!-- not run -->\n+)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#|mailto:)([^)#]+)")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = {
    "train_lenet5.py": ["1"],
    "read_a_kernel.py": [],
    "augment.py": [],
    "covariate_shift.py": ["1"],
    "batch_norm.py": ["--epochs", "1", "--count", "320"],
    "parameters.py": ["--sizes", "8", "16"],
    "svm_features.py": ["--epochs", "1", "--counts", "20"],
    "transformer_sort.py": ["--epochs", "1", "--count", "640"],
    "character_lstm.py": ["--epochs", "1", "--count", "640"],
    "unet_shapes.py": ["--epochs", "1", "--count", "100"],
    "vae_digits.py": ["--epochs", "1", "--count", "200"],
    "table_embeddings.py": ["--epochs", "1", "--count", "200"],
    "resnet20_cifar10.py": ["--help"],
}
LONG = {  # more than 5 s with an empty kernel cache
    "train_lenet5.py",
    "augment.py",
    "covariate_shift.py",
    "batch_norm.py",
    "svm_features.py",
    "transformer_sort.py",
    "character_lstm.py",
    "unet_shapes.py",
    "vae_digits.py",
    "table_embeddings.py",
    "README.md",
    "images.md",
    "training.md",
}
NEEDS = {"augment.py": "matplotlib"}  # what an example needs beyond the package itself
SECONDS = 300


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> str:
    """The page's python blocks as one program, on their own lines so that a traceback points into the page."""
    text = page.read_text()
    lines: list[str] = []
    for found in FENCE.finditer(text):
        if found["skip"] is None:
            lines += [""] * (text.count("\n", 0, found.start("code")) - len(lines))
            lines += found["code"].splitlines()
    return "\n".join(lines)


def marked(value: object, name: str) -> object:
    return pytest.param(value, marks=pytest.mark.slow) if name in LONG else value


def run(arguments: list[str], folder: Path) -> str:
    """The output of a Python process, which must succeed."""
    environment = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", [marked(p, p.name) for p in PAGES if blocks(p)], ids=named)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    script = tmp_path / f"page_{page.stem}.py"  # not the name of a module that it imports
    script.write_text(blocks(page))
    run([str(script)], tmp_path)


@pytest.mark.parametrize("name", [marked(name, name) for name in EXAMPLES])
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    assert run([str(ROOT / "examples" / name), *EXAMPLES[name]], tmp_path)


def test_every_example_is_tested() -> None:
    assert {p.name for p in (ROOT / "examples").glob("*.py")} == set(EXAMPLES)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_blocks_are_python(page: Path) -> None:
    for found in FENCE.finditer(page.read_text()):
        compile(found["code"], named(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing
