"""Imports run models -> compiler -> runtime, never the other way, and reach outside for declared dependencies only."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import kernelwright

ROOT = Path(kernelwright.__file__).parent
BELOW = {"runtime": {"runtime"}, "compiler": {"compiler", "runtime"}, "models": {"models", "compiler", "runtime"}}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME_MAY_USE = {"llvmlite", "numpy", "platformdirs", "safetensors"}


IMPORTED_AS = {"pillow": "PIL", "scikit-learn": "sklearn", "numba-cuda": "numba", "cuda-core": "cuda"}


def packages(requirements: list[str]) -> set[str]:
    """What is imported for these requirements: the name that is required, or that in the table."""
    names = [re.split(r"[^\w.-]", each)[0] for each in requirements]
    return {IMPORTED_AS.get(name, name).replace("-", "_") for name in names}


REQUIRED = packages(PROJECT["dependencies"])
OPTIONAL = packages([each for extra in PROJECT["optional-dependencies"].values() for each in extra])


def absolute(path: Path, node: ast.ImportFrom) -> list[str]:
    """The full names that a `from ... import ...` may name: the module, or modules in it."""
    if node.level == 0:
        return [node.module or ""]
    here = ["kernelwright", *path.relative_to(ROOT).parts[:-1]]
    base = here[: len(here) - node.level + 1] + (node.module.split(".") if node.module else [])
    return [".".join(base)] if len(base) > 1 else [".".join([*base, alias.name]) for alias in node.names]


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(full name of what is imported, line, is it imported with the file?)"""
    tree = ast.parse(path.read_text())
    inner = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f) if n is not f}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = absolute(path, node)
        else:
            continue
        yield from ((name, node.lineno, id(node) not in inner) for name in names)


def wrong(path: Path) -> list[str]:
    """The imports of a file that its place does not allow."""
    layer = path.relative_to(ROOT).parts[0]
    out = []
    for name, line, at_once in imports(path):
        package, *rest = name.split(".")
        if package == "kernelwright":
            allowed = rest[0] in BELOW[layer] if rest else False
        elif layer == "runtime":
            allowed = package in RUNTIME_MAY_USE or package in sys.stdlib_module_names
        else:
            allowed = package in sys.stdlib_module_names or package in (REQUIRED if at_once else REQUIRED | OPTIONAL)
        if not allowed:
            out.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    return out


@pytest.mark.parametrize("layer", BELOW)
def test_each_layer_imports_itself_and_what_is_below(layer: str) -> None:
    files = sorted((ROOT / layer).rglob("*.py"))
    assert files
    assert [each for path in files for each in wrong(path)] == []


@pytest.mark.parametrize(
    "text, place, seen",
    [
        ("from ..compiler import graph", "runtime/program.py", "kernelwright.compiler"),
        ("from .. import compiler", "runtime/program.py", "kernelwright.compiler"),
        ("from ....models.layer import Layer", "compiler/graph/ops/source.py", "kernelwright.models.layer"),
        ("def f():\n    import kernelwright.models", "compiler/graph/tensor.py", "kernelwright.models"),
        ("import numba", "runtime/loader.py", "numba"),
        ("import torch", "models/layer.py", "torch"),
    ],
)
def test_an_import_of_what_is_above_is_found(
    text: str, place: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert [each.split()[-1] for each in wrong(path)] == [seen]


FLOORS = (
    {"errors.py", "dtypes.py", "shapes.py", "config.py", "uncollected.py"},
    {"loops"},
    {"graph"},
    {"rewriting"},
    {"passes.py", "lowering"},
    {"targets"},
    {"targets/shared"},
    {"targets/cpu", "targets/cuda"},
    {"pipeline.py"},
)
"""The rooms of compiler/ in processing order: each imports itself and what stands before it, and a target no other."""


def floor(parts: Sequence[str]) -> tuple[int, str]:
    """(number, room) of a module of compiler/ by the parts of its name."""
    names = ["/".join(parts[:2]), parts[0], f"{parts[0]}.py"]
    return next((i, name) for name in names for i, rooms in enumerate(FLOORS) if name in rooms)


def upwards(path: Path) -> list[str]:
    """The imports of a file of compiler/ from above, or from another room of its floor."""
    inside = path.relative_to(ROOT / "compiler")
    here = floor([part.removesuffix(".py") for part in inside.parts])
    out = []
    for name, line, _ in imports(path):
        if name.startswith("kernelwright.compiler."):
            there = floor(name.split(".")[2:])
            if there[0] > here[0] or (there[0] == here[0] and there[1] != here[1] and here[0] > 0):
                out.append(f"{inside}:{line} imports {name}")
    return out


def test_inside_the_compiler_imports_run_down() -> None:
    files = [path for path in sorted((ROOT / "compiler").rglob("*.py")) if path.name != "__init__.py"]
    assert len(files) > 80
    assert [each for path in files for each in upwards(path)] == []


def test_an_import_from_above_inside_the_compiler_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "compiler" / "lowering" / "layout.py"
    path.parent.mkdir(parents=True)
    path.write_text("from ..targets.cpu.planning import plan\nfrom ..loops.kernels import Kernel\n")
    assert upwards(path) == ["lowering/layout.py:1 imports kernelwright.compiler.targets.cpu.planning"]
