"""Tables fit the terminal from 60 columns on, and are whole where output goes to a file."""

import os
import subprocess
import sys

import pytest

from kernelwright.compiler.targets.shared.inspect import grid

COMMANDS = [["models"], ["summary", "lenet5"], ["kernels", "perceptron"]]


def lines(arguments, columns=None):
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    environment |= {"COLUMNS": str(columns)} if columns else {}
    command = [sys.executable, "-m", "kernelwright.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_tables_fit_sixty_columns_and_are_whole_in_a_pipe(arguments):
    narrow, piped = lines(arguments, 60), lines(arguments)
    assert max(map(len, narrow)) <= 60 and len(narrow) == len(piped)
    assert not any("…" in line for line in piped if arguments[0] != "kernels")


def test_words_are_cut_and_numbers_are_not():
    rows = [("name", "count", "what"), ("a" * 30, "1,234,567", "b" * 50), ("c", "8", "d")]
    text = grid(rows, right=(1,), width=60).splitlines()
    assert max(map(len, text)) == 60
    assert text[2].split() == ["a" * 22 + "…", "1,234,567", "b" * 23 + "…"]
    assert grid(rows, right=(1,), width=200).splitlines()[2].split() == list(rows[1])
