"""The files that a kernel's key is made of are all those that decide its object code.

A file that is forgotten there leaves kernels of an older compiler in the cache, without any error.
"""

import ast
from pathlib import Path

import pytest

import kernelwright
from kernelwright.compiler.targets.cpu.assemble import GENERATOR
from kernelwright.compiler.targets.cuda.build import GENERATOR as CUDA_GENERATOR

ROOT = Path(kernelwright.__file__).parent
NO_CODE = {"errors.py", "__init__.py"}
"""What has no part in the code that comes out."""


def imported(path: Path) -> set[Path]:
    """The files of compiler/ that a file imports, at its head or inside a function."""
    package = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else [])]
            for name in [[*base, alias.name] for alias in node.names] + [base]:
                file = ROOT.joinpath(*name).with_suffix(".py")
                if file.exists() and name[0] == "compiler":
                    found.add(file)
    return found


def reached(start: Path) -> set[Path]:
    seen, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += imported(path)
    return {path for path in seen if path.name not in NO_CODE}


@pytest.mark.parametrize(
    ("entry", "files"),
    [("compiler/targets/cpu/llvm/build.py", GENERATOR), ("compiler/targets/cuda/build.py", CUDA_GENERATOR)],
)
def test_the_key_holds_every_file_that_makes_code(entry, files):
    found = reached(ROOT / entry)
    assert len(found) > 3
    assert sorted(found - {Path(f) for f in files}) == []
    assert all(Path(f).exists() for f in files)
