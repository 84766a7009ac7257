"""Every function, file, option and setting that the pages for contributors name in backticks exists.

A file is looked up by the end of its path, a name by its definition anywhere in the sources, `Class.member` and
`module.name` in that class or file. What is no expression (a formula, a command) is looked through for options and
settings only.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import kernelwright

ROOT = Path(kernelwright.__file__).parent
PAGES = ("docs/architecture.md", "docs/cuda.md", "docs/add_an_op.md", "CONTRIBUTING.md")
FOLDERS = ("compiler", "runtime", "models", "bench", "cli", "tests", "examples")
NOT_OURS = {
    *("cp.async", "ldmatrix", "mma.sync", "vdpbf16ps", "vfmadd", "ymm", "zmm"),  # instructions and registers
    *("call", "nnan", "ninf", "noalias"),  # LLVM's
    *("None", "int", "is", "__all__", "__cuda_array_interface__"),  # Python's
    *("np.row_stack", "cfunc", "intrinsic", "pytest.mark.slow"),  # NumPy's, Numba's, pytest's
    *("cbrt", "f.where"),  # what one would add, and what is a name in the page's own example
}
GENERATED = re.compile(
    r"(?:acc|buf|size|sum|start)\d*|(?:outer|dot)_tile_\w+|matrix_[a-z]+(?:_\w+)?|[a-z]+\d+_at|[a-z]{1,3}"
)
"""Names in the text of kernels, and letters of formulas."""

Definitions = dict[str, set[str]]


def spans(text: str) -> list[str]:
    """What stands in backticks on a page, outside of blocks of code."""
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return list(dict.fromkeys(" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose)))


@cache
def files() -> list[str]:
    """The paths of the checkout, folders with a slash at their end."""
    found = [p for folder in (*FOLDERS, "docs", "benchmarks", ".ci") for p in (ROOT / folder).rglob("*")]
    found += [*ROOT.glob("*.*"), *(ROOT / folder for folder in (*FOLDERS, "docs", "benchmarks"))]
    return [f"{p.relative_to(ROOT)}{'/' * p.is_dir()}" for p in found if "__pycache__" not in p.parts]


@cache
def definitions() -> tuple[set[str], Definitions]:
    """(all names that the sources define, names by the class or the file that defines them)."""
    everything: set[str] = set()
    inside: Definitions = defaultdict(set)
    for name in files():
        if name.endswith(".py"):
            tree = ast.parse((ROOT / name).read_text())
            mine = set(defined(tree, texts=not name.startswith("tests/")))
            inside[Path(name).stem] |= mine
            everything |= mine
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    inside[node.name] |= set(defined(node))
    return everything, inside


def defined(tree: ast.AST, texts: bool = True) -> Iterator[str]:
    """Names of functions, classes, parameters, variables and attributes. texts: also those that stand in quotes, as the
    names of ops do."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif texts and isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).split(".")[-1]


def missing(span: str) -> list[str]:
    """What a span of code names that does not exist."""
    lost = [s for s in re.findall(r"KERNELWRIGHT_\w+", span) if s not in (ROOT / "compiler/config.py").read_text()]
    lost += [o for o in re.findall(r"(?<!\S)--([a-z][a-z-]+)", span) if not is_option(o)]
    if lost or span.startswith(("KERNELWRIGHT_", "--", "kernelwright ", "pip ", "ruff ", "from ", "<", ".ci/")):
        return lost
    if re.fullmatch(r"[\w./]+(?:\.py|\.md|\.json|/)", span):
        return [] if any(f"/{path}".endswith(f"/{span}") for path in files()) else [span]
    keyword = re.match(r"(\w+)=", span)
    if keyword:
        return [] if keyword[1] in definitions()[0] else [span]
    try:
        tree = ast.parse(span.lstrip("@."), mode="eval").body
    except SyntaxError:
        return []
    called = tree.func if isinstance(tree, ast.Call) else tree
    name = ast.unparse(called)
    if not isinstance(called, ast.Name | ast.Attribute) or name in NOT_OURS:
        return []
    return [] if exists(name.split(".")) else [span]


def is_option(name: str) -> bool:
    """Is it an option of the command line, by its text or as a parameter?"""
    sources = "".join(path.read_text() for path in sorted(ROOT.rglob("cli/**/*.py")))
    return f"--{name}" in sources or re.search(rf"^    {name.replace('-', '_')}: ", sources, re.MULTILINE) is not None


def exists(parts: list[str]) -> bool:
    everything, inside = definitions()
    if parts[-1].endswith("_") and len(parts) == 1:  # how names begin
        return any(name.startswith(parts[0]) for name in everything)
    if parts[0] in ("kw", "kernelwright"):
        parts = parts[1:]
    if len(parts) > 1 and parts[-2] in inside:
        return parts[-1] in inside[parts[-2]]
    return all(part in everything or part in inside or GENERATED.fullmatch(part) for part in parts)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page: str) -> None:
    found = spans((ROOT / page).read_text())
    assert len(found) > 30
    assert [lost for span in found for lost in missing(span)] == []


def test_the_tables_of_the_architecture_name_files_in_their_folders() -> None:
    base, folder, listed = ROOT, "", 0
    for line in (ROOT / "docs/architecture.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) != 3:
            continue
        if cells[0].startswith("folder"):
            base = ROOT / "compiler" if "compiler" in cells[0] else ROOT
            continue
        folder = cells[0].strip("`") or folder
        for name in re.findall(r"`([\w./]+(?:\.py|/))`", cells[1]):
            assert (base / folder / name).exists(), f"{folder}{name} of: {line}"
            listed += 1
    assert listed > 100


@pytest.mark.parametrize(
    "span",
    [
        *("lowering/tiles.py", "nowhere/", "KERNELWRIGHT_SPEED=3", "kernelwright kernels lenet5 --as-fast"),
        *("no_such_function", "Compiled.no_such_method(x)", "layout.no_such_name", "kw.no_such_name", "no_such_key=3"),
    ],
)
def test_what_does_not_exist_is_found(span: str) -> None:
    assert missing(span)
