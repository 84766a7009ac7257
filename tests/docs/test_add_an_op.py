"""docs/add_an_op.md is true: its three ops, added to a copy of the package from the page, pass the suites."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADDITION = re.compile(r"<!-- add to (\S+) -->\n<!-- not run -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package with the page's additions, each in the one file that the page names."""
    copy = tmp_path / "kernelwright"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "results", "*.egg-info", "*-cache")
    shutil.copytree(ROOT, copy, ignore=left_out)
    added = ADDITION.findall((ROOT / "docs" / "add_an_op.md").read_text())
    assert len(added) == len({place for place, _ in added}) == 4
    for place, code in added:
        (copy / place).write_text(f"{(copy / place).read_text()}\n{code}")
    return tmp_path


def check(package: Path, names: list[str], tests: list[str], marked: str = "slow or not slow") -> None:
    """Run what the tests have for these names; each of them has to have some in each file or folder."""
    environment = {**os.environ, "PYTHONPATH": str(package), "KERNELWRIGHT_CACHE": str(package / "cache")}
    for place in tests:
        path = str(package / "kernelwright" / "tests" / place)
        command = [sys.executable, "-m", "pytest", "-q", "-rp", "-p", "no:cacheprovider", "-m", marked]
        command += ["-k", " or ".join(names), path]
        done = subprocess.run(
            command, cwd=package / "kernelwright", env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        passed = [line for line in done.stdout.splitlines() if line.startswith("PASSED")]
        assert [name for name in names if not any(f"[{name}" in line for line in passed)] == [], (place, passed)


def test_a_formula_is_one_addition(package: Path) -> None:
    check(package, ["hardswish"], ["ops/test_op_table.py", "cuda/test_cuda_ops.py"], "not slow")


@pytest.mark.slow
def test_the_three_ops_of_the_page_pass_every_suite(package: Path) -> None:
    names = ["hardswish", "logsumexp", "cumsum"]
    check(package, names, ["ops/test_op_table.py", "cuda/test_cuda_ops.py", "codegen/test_front_ends.py"])
    check(package, names, ["codegen/test_scalar_functions.py"])
    check(package, names[:1], ["codegen/test_mathlib.py", "rules/test_rules.py"])
