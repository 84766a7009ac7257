"""The `kernelwright` command with some arguments: in this process, or in one of its own as a shell starts it.

What a process of its own shows besides (exit codes as a shell sees them, signals, its own cache) is tested in a few
places; everything else in this process, which imports the package and keeps compiled programs once.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from unittest.mock import patch

from kernelwright.cli import main


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """What it prints on both streams. It must end with `code`; what it does not catch, the test does not either."""
    argv, out, err = ["kernelwright", *map(str, arguments)], io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            found: object = 0
        except SystemExit as end:
            found = end.code or 0
    return _checked(subprocess.CompletedProcess(argv, found, out.getvalue(), err.getvalue()), code)


def run_process(*arguments: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, with these variables of its environment changed."""
    command = [sys.executable, "-m", "kernelwright.cli", *map(str, arguments)]
    return _checked(subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}), code)


def _checked(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done
