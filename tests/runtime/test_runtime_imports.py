"""The runtime executes an artefact: it imports nothing that compiles Python."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import kernelwright.runtime

FOLDER = Path(kernelwright.runtime.__file__).parent
OUTSIDE = {"llvmlite", "numpy", "platformdirs", "safetensors"}


def test_the_runtime_imports_itself_and_little_else() -> None:
    allowed = OUTSIDE | set(sys.stdlib_module_names)
    for path in FOLDER.glob("**/*.py"):
        depth = len(path.relative_to(FOLDER).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert 1 <= node.level <= depth or (node.level == 0 and (node.module or "").split(".")[0] in allowed), (
                    path
                )
            elif isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] in allowed for alias in node.names), path
