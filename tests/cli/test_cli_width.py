"""Tables fit the terminal from 60 columns on, and are whole where output goes to a file."""

import functools
import json

import pytest
from command import run

import kernelwright as kw
from kernelwright.compiler.targets.shared.inspect import grid

COMMANDS = [["models"], ["summary", "lenet5"], ["kernels", "perceptron"]]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_tables_fit_sixty_columns_and_are_whole_in_a_pipe(arguments, monkeypatch, tmp_path):
    monkeypatch.setattr(kw.models, "build", functools.cache(kw.models.build))  # the two lists are of the same networks
    piped = run(*arguments).stdout.splitlines()
    monkeypatch.setenv("COLUMNS", "60")
    narrow = run(*arguments, "--json", tmp_path / "out.json").stdout.splitlines()
    assert max(map(len, narrow)) <= 60 and len(narrow) == len(piped)
    assert not any("…" in line for line in piped if arguments[0] != "kernels")
    if arguments == ["models"]:
        listed = json.loads((tmp_path / "out.json").read_text())["models"]
        assert {m["name"]: m["parameters"] for m in listed}["lenet5"] == 61706


def test_words_are_cut_and_numbers_are_not():
    rows = [("name", "count", "what"), ("a" * 30, "1,234,567", "b" * 50), ("c", "8", "d")]
    text = grid(rows, right=(1,), width=60).splitlines()
    assert max(map(len, text)) == 60
    assert text[2].split() == ["a" * 22 + "…", "1,234,567", "b" * 23 + "…"]
    assert grid(rows, right=(1,), width=200).splitlines()[2].split() == list(rows[1])
