"""The source distribution holds what it takes to test it: packages, tests, pages, examples and stored numbers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools", "77")

ROOT = Path(__file__).resolve().parents[1]
NOT_SHIPPED = {".git", ".ci", ".venv", "build", "dist", "__pycache__"}
BUILD = "import sys; from setuptools.build_meta import build_sdist; print(build_sdist(sys.argv[1]))"


def left_out(folder: str, names: list[str]) -> set[str]:
    return {
        name for name in names if name in NOT_SHIPPED or name.startswith(".") or name.endswith((".pyc", ".egg-info"))
    }


def test_every_file_is_in_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "tree", ignore=left_out)
    wanted = {str(p.relative_to(tmp_path / "tree")) for p in (tmp_path / "tree").rglob("*") if p.is_file()}
    command = [sys.executable, "-c", BUILD, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path / "tree", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / done.stdout.split()[-1]) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert {"tests/conftest.py", "docs/data.md", "models/data/embedded/digits.xz", "py.typed"} <= found
    assert sorted(wanted - found) == []
